"""Which versions of drivers, packages and firmware count as one: builds of one release, and spellings of one version."""

from __future__ import annotations

import re


def release(version: str) -> str:
    """Return the release that a version is a build of: its leading dotted numbers, without +cpu, a0+git or -494."""
    return re.split(r"[^0-9.]", version)[0].rstrip(".")


def firmware_version(version: str) -> str:
    """Return a version of Gaudi's firmware in one spelling: the vendor's program writes fw-43.2.0 or fw43.2.0 for one version."""
    return version.replace("fw-", "fw")
