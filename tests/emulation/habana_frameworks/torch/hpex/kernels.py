"""Fused kernels, by name alone: optimum-habana 1.21.2 imports them for other models when it adapts transformers.

Upstream's BLOOM calls none. Source: optimum/habana/transformers/integrations/gaudi_fused_sdpa_attention.py, models/bert,
models/xlm_roberta and models/minicpm of the wheel.
"""

from __future__ import annotations

from typing import NoReturn


class FusedSDPA:
    @staticmethod
    def apply(*arguments: object) -> NoReturn:
        raise NotImplementedError("FusedSDPA is a kernel of the device, and nothing stands in for it.")
