"""The vendor's extension of torch; importing it makes the device usable."""

from __future__ import annotations

from habana_frameworks import device as _device  # noqa: F401 - its import makes the device
from habana_frameworks.torch import core, hpu  # noqa: F401
