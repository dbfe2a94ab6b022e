"""Ask an image what it holds: its Python, its C library, its packages, its distribution, its programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict

from runner.host.images import buildah

# Where the stack's own Python lies in an image, where its programs lie, and where the programs' sources with their licences.
PYTHON = "/opt/bench/bin/python"
PROGRAMS, SOURCES = "/opt/bench/bin", "/opt/bench/src"

# Run by an image's Python, with the kit on its path.
LIST_PACKAGES = "import json; from runner.bench.facts import inventory; print(json.dumps(inventory.listing()))"


class InstalledPackage(TypedDict):
    """A Python package of an image, as ``inventory.listing()`` of the bench describes it."""

    version: str
    license: str | None
    folder: str
    record_sha256: str


class DebianPackage(NamedTuple):
    """A package of the distribution, as dpkg names it."""

    name: str
    version: str
    architecture: str


class Distribution(NamedTuple):
    """The distribution of an image, such as ("debian", "12"): ID and VERSION_ID of its os-release."""

    vendor: str
    release: str


def python_version(image: str) -> str:
    """Return the version of an image's ``python3``, such as 3.12.1. Raises ``Unsupported`` where the image has none."""
    return buildah.ask(image, "python3", "-c", "import platform; print(platform.python_version())").strip()


def python_path(image: str) -> str:
    """Return the path of an image's ``python3``. Raises ``Unsupported`` where the image has none."""
    return buildah.ask(image, "sh", "-c", "command -v python3").strip()


def glibc_version(image: str) -> str:
    """Return the version of an image's C library, such as 2.36. Raises ``Unsupported`` where it is no glibc."""
    return buildah.ask(image, "getconf", "GNU_LIBC_VERSION").split()[1]


def python_packages(image: str, python: str, kit: Path | None = None) -> dict[str, InstalledPackage]:
    """Return name to description of every package that a Python of an image imports.

    ``kit`` is a folder with the runner, for an image that has none. Raises ``Unsupported`` where the image's Python fails.
    """
    command = (
        f"PYTHONPATH=/opt/kit${{PYTHONPATH:+:$PYTHONPATH}} PYTHONDONTWRITEBYTECODE=1 {python} -c '{LIST_PACKAGES}'"
    )
    volumes: Mapping[Path, str] = {kit: "/opt/kit"} if kit else {}
    packages: dict[str, InstalledPackage] = json.loads(buildah.ask(image, "sh", "-c", command, volumes=volumes))
    return packages


def distribution(image: str) -> Distribution:
    """Return what an image's distribution is. Raises ``Unsupported`` where the image does not say."""
    vendor, release = buildah.ask(image, "sh", "-c", '. /etc/os-release; echo "$ID $VERSION_ID"').split()
    return Distribution(vendor, release)


def debian_packages(image: str) -> list[DebianPackage]:
    """Return all packages of an image's distribution. Raises ``Unsupported`` where the image has no dpkg."""
    lines = buildah.ask(image, "dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\\n")
    return [DebianPackage(*line.split()) for line in lines.splitlines()]


def wheels_built(image: str) -> dict[str, str]:
    """Return name to sha256 of the wheels that the image's build made from sources."""
    return dict(line.split() for line in buildah.ask(image, "cat", "/opt/bench/built.txt").splitlines())


def program_sha256(image: str, program: str) -> str:
    """Return the sha256 of a compiled program of an image."""
    return buildah.ask(image, "sha256sum", f"{PROGRAMS}/{program}").split()[0]
