"""Resources of Kubernetes and their quantities as numbers (apimachinery/pkg/api/resource/quantity.go, without its exponents)."""

from __future__ import annotations

import math
import re

_FACTORS = {
    "": 1,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def is_extended(resource: str) -> bool:
    """Return whether a resource is an extended one, which a device plugin offers: its name has a domain.

    The resources of Kubernetes itself have none. Source: kubernetes.io/docs/concepts/configuration/manage-resources-containers.
    """
    return "/" in resource


def total(*texts: str) -> str:
    """Return the sum of sizes (``20Gi``, ``512Mi``) as a quantity of whole MiB, or of GiB where they are whole; rounded up."""
    mebibytes = math.ceil(sum(quantity(text) for text in texts) / _FACTORS["Mi"])
    return f"{mebibytes}Mi" if mebibytes % 1024 else f"{mebibytes // 1024}Gi"


def quantity(text: object) -> float:
    """Return a quantity (``690Gi``, ``88``, ``500m``) as a number of bytes, cores or devices; 0 for a text that is no quantity."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m|[kMGT]|[KMGT]i|)", str(text))
    return float(match.group(1)) * _FACTORS[match.group(2)] if match else 0.0
