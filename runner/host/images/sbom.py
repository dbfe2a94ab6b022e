"""Write the bill of materials of an image in CycloneDX 1.5: Python packages with the hash of their file, and the distribution's own.

The document is a few dozen keys of one fixed form, and the same image must give the same bytes. So it is written here: the
libraries for CycloneDX put in a random serial number and the time.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from runner.contract.files import sha256_of_file
from runner.contract.records import JsonObject
from runner.host.images.contents import PROGRAMS, SOURCES, DebianPackage, Distribution, InstalledPackage
from runner.host.readers.lockfile import PinnedProgram, PinnedSource


class CompiledProgram(NamedTuple):
    """A program of an image: its pin, the pin of its source, and the sha256 of what was compiled."""

    name: str
    pin: PinnedProgram
    source: PinnedSource
    sha256: str


def bill(
    stack: str,
    packages: Mapping[str, InstalledPackage],
    wheels: Path,
    distribution: Distribution,
    debian: Sequence[DebianPackage],
    epoch: int,
    programs: Sequence[CompiledProgram] = (),
) -> str:
    """Return the text of a software bill of materials.

    ``packages`` are the image's Python packages, ``wheels`` is the folder with the files that they were installed from, ``debian``
    are the packages of the distribution. ``epoch`` is the time to put in, in Unix seconds.
    """
    files = {_name_and_version(file.name): file for file in sorted(wheels.iterdir())}
    components = [
        _python_package(name, package, files.get((name, package["version"])))
        for name, package in sorted(packages.items())
    ]
    components += [_debian_package(distribution, package) for package in sorted(debian)]
    components += [_program(program) for program in programs]
    for component in components:
        component["bom-ref"] = component["purl"]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "container", "bom-ref": stack, "name": f"bloomz-bench {stack}"},
        },
        "components": components,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _python_package(name: str, package: InstalledPackage, file: Path | None) -> JsonObject:
    component: JsonObject = {
        "type": "library",
        "name": name,
        "version": package["version"],
        "purl": _purl("pypi", name, version=package["version"]),
        "properties": [
            {"name": "bloomz-bench:folder", "value": package["folder"]},
            {"name": "bloomz-bench:record-sha256", "value": package["record_sha256"]},
        ],
    }
    if file is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": sha256_of_file(file)}]
    if package["license"]:
        component["licenses"] = [{"license": {"name": package["license"]}}]
    return component


def _debian_package(distribution: Distribution, package: DebianPackage) -> JsonObject:
    vendor, release = distribution
    purl = _purl(
        "deb",
        vendor,
        package.name,
        version=package.version,
        arch=package.architecture,
        distro=f"{vendor}-{release}",
    )
    return {"type": "library", "name": package.name, "version": package.version, "purl": purl}


def _program(program: CompiledProgram) -> JsonObject:
    name, pin, source, sha256 = program
    return {
        "type": "application",
        "name": name,
        "version": pin.version,
        "purl": _purl("generic", name, version=pin.version, vcs_url=f"git+{source.repository}@{source.commit}"),
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "licenses": [{"license": {"id": pin.license}}],
        "properties": [
            {"name": "bloomz-bench:file", "value": f"{PROGRAMS}/{name}"},
            {"name": "bloomz-bench:license-file", "value": f"{SOURCES}/{name}/COPYING"},
            {"name": "bloomz-bench:source", "value": f"{SOURCES}/{name}"},
        ],
    }


def _purl(kind: str, *path: str, version: str, **qualifiers: str) -> str:
    """Return a package URL; characters that have a meaning in it are percent-encoded (package-url/purl-spec)."""
    place = "/".join(urllib.parse.quote(part, safe="") for part in path)
    query = "&".join(f"{key}={urllib.parse.quote(value, safe=':/')}" for key, value in sorted(qualifiers.items()))
    return f"pkg:{kind}/{place}@{urllib.parse.quote(version, safe=':')}" + (f"?{query}" if query else "")


def _name_and_version(file: str) -> tuple[str, str]:
    """Return name and version of a wheel or source distribution, by its file's name."""
    stem = file.removesuffix(".tar.gz")
    name, version = stem.split("-")[:2] if file.endswith(".whl") else stem.rsplit("-", 1)
    return name.lower().replace("_", "-").replace(".", "-"), version
