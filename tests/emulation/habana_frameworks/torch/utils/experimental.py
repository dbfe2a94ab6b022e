"""What the vendor's DeepSpeed and optimum-habana ask of the device."""

from __future__ import annotations

import enum


class synDeviceType(enum.Enum):
    """The products that optimum-habana 1.21.2 tells apart (optimum/habana/utils/misc.py), and one that is none of them."""

    synDeviceGaudi = 1
    synDeviceGaudi2 = 2
    synDeviceGaudi3 = 3
    EMULATED = 0


def _get_device_type() -> synDeviceType:
    """Return no product: optimum-habana 1.21.2 asks as it is imported, to choose a float8 range for another model."""
    return synDeviceType.EMULATED


def _is_fp16_supported() -> bool:
    return False
