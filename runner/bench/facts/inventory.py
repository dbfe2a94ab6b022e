"""Compare the installed distributions with the stack's lock: names, versions, and the bytes of every file."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution
from pathlib import Path
from typing import Iterator, Mapping, NamedTuple, Sequence

from runner.bench.facts import provenance
from runner.bench.facts.distributions import (
    ListedDistribution,
    Listing,
    files_of,
    folder_of,
    installed,
    name_of,
    normalised,
    record_sha256,
)
from runner.contract import records, requirements, strictjson
from runner.contract.errors import InputError, Unsupported
from runner.contract.files import open_regular, read_bytes
from runner.contract.releases import release
from runner.contract.request import Stack
from runner.contract.text import printable

ROOT = Path(__file__).resolve().parents[3]
_INSTALLERS = {"pip", "setuptools", "wheel"}
# The largest requirements file of the stacks has 0.2 MB.
_MAX_REQUIREMENTS_BYTES = 1 << 24
# Twenty names show what happened to an environment; a thousand names show no more.
_MAX_NAMED_FILES = 20
_BLOCK_BYTES = 1 << 20


def describe(stack: Stack, root: Path = ROOT) -> records.Inventory:
    """Return how the installed distributions differ from what ``stack`` locks.

    ``missing``, ``changed`` and ``altered_files`` (a file is not what its own distribution's RECORD says) mean that
    another stack is installed. So do ``shadowed``, ``unrecorded`` and ``injected``, as ``provenance.Findings``
    describes them. ``added`` names what is installed beyond the stack, torch's own needs and the kit's other
    requirements.
    Raises ``InputError`` where the requirements file here is another one than the request was made with.
    """
    distributions = installed()
    requirements = _requirements(stack, root)
    base = _base_listing(root)
    base_versions = {name: listed["version"] for name, listed in base.items()}
    wanted = {**base_versions, **pins(requirements.text), **stack.packages}
    expected = {*wanted, *_INSTALLERS, *_needs("torch", distributions)}
    for path in (root / "requirements").glob("*.txt"):
        expected.update(pins(path.read_text(encoding="utf-8"), everywhere=True))
    changed = {
        name: [version, distributions[name].version] for name, version in wanted.items() if name in distributions
    }
    findings = provenance.judge(
        wanted,
        [distribution for name, distribution in distributions.items() if name in expected],
        [distribution for name, distribution in distributions.items() if name not in expected],
        base,
        root,
        os.environ,
    )
    altered = _altered([distributions[name] for name in wanted if name in distributions], base)
    return {
        "requirements": requirements.name,
        "compared": len(wanted),
        "missing": {name: version for name, version in wanted.items() if name not in distributions},
        "changed": {
            name: [version, other]
            for name, (version, other) in changed.items()
            if not _same_version(version, other, by_release=name in stack.packages)
        },
        "altered_files": altered[:_MAX_NAMED_FILES],
        "added": {
            name: distribution.version for name, distribution in sorted(distributions.items()) if name not in expected
        },
        "shadowed": findings.shadowed,
        "unrecorded": findings.unrecorded,
        "injected": findings.injected,
        "interpreter": findings.interpreter,
        "variables": findings.variables,
    }


def listing() -> dict[str, ListedDistribution]:
    """Return normalised name to what the build of an image keeps of a distribution, for all that are installed."""
    return {
        name: {
            "version": distribution.version,
            "license": distribution.metadata["License-Expression"] or _short_licence(distribution.metadata["License"]),
            "folder": folder_of(distribution),
            "record_sha256": record_sha256(distribution),
        }
        for name, distribution in sorted(installed().items())
    }


def _short_licence(text: str | None) -> str | None:
    """Return a licence that is named in one short line; some distributions put the licence's whole text there."""
    return text if text and "\n" not in text and len(text) < 100 else None


def refuse_drift(inventory: records.Inventory, stack: Stack) -> None:
    """Raise ``Unsupported`` if another stack than the locked one is installed."""
    if stack.device == "cpu":
        remedy, again = "Run `make setup`, or use the stack's image.", "`make clean setup`"
    # Without an image the request is for the environment that `make bench` makes of a stack beside its own.
    elif stack.image is None:
        remedy = "Run `make bench`, which makes the stack's own environment."
        again = f"remove {printable(sys.prefix, 200)}, and run `make bench`"
    else:
        remedy, again = "Use the stack's image.", "use the stack's image"
    versions = [f"{name} {version} is not here" for name, version in inventory["missing"].items()]
    versions += [f"{name} {version} is {other} here" for name, (version, other) in inventory["changed"].items()]
    if versions:
        listed = "; ".join(versions[:3]) + (f" and {len(versions) - 3} more" if len(versions) > 3 else "")
        raise Unsupported(f"This is not the stack {stack.name} as it is locked: {listed}. {remedy}")
    altered = inventory["altered_files"]
    if altered:
        raise Unsupported(
            f"This is not the stack {stack.name} as it was installed: {altered[0]} was changed or lost"
            f" ({len(altered)} such files). Install it again: {again}."
        )
    if inventory["shadowed"]:
        module, place = next(iter(inventory["shadowed"].items()))
        more = f" ({len(inventory['shadowed'])} such modules)" if len(inventory["shadowed"]) > 1 else ""
        raise Unsupported(
            f"This is not the stack {stack.name} as it was installed: Python takes {module} from {printable(place, 200)}{more}."
            " Remove it, take its folder off PYTHONPATH, or start in another folder."
        )
    if inventory["injected"]:
        raise Unsupported(
            f"{printable(inventory['injected'][0], 200)} would run code of no locked package in every process"
            f" ({len(inventory['injected'])} such in all). Remove it, or use the stack's image."
        )
    if inventory["unrecorded"]:
        raise Unsupported(
            f"The package {inventory['unrecorded'][0]} lists none of its files, so that they cannot be compared with what was"
            f" installed ({len(inventory['unrecorded'])} such packages). Install it again: {again}."
        )


def pins(text: str, everywhere: bool = False) -> dict[str, str]:
    """Return normalised name to version of a requirements file's pins.

    Without ``everywhere`` only pins whose markers hold in this Python are returned.
    """
    from packaging.markers import Marker

    return {
        normalised(requirement.project): requirement.version
        for _, requirement in requirements.parse(text).requirements
        if everywhere or requirement.marker is None or Marker(requirement.marker).evaluate()
    }


def altered_files(distribution: Distribution) -> Iterator[str]:
    """Yield the files of a distribution whose bytes differ from the hash in its RECORD.

    A file without a hash there is passed over. So is compiled bytecode: the wheel of numpy 2.2.6 brings a file of it,
    and pip compiles the file anew.
    """
    for file in files_of(distribution):
        if file.hash is not None and file.suffix != ".pyc":
            try:
                digest = hashlib.new(file.hash.mode)
                with open_regular(str(distribution.locate_file(file))) as content:
                    for block in iter(lambda: content.read(_BLOCK_BYTES), b""):
                        digest.update(block)
            # The file is not there, is no regular file, or its hash is of an unknown kind.
            except (OSError, ValueError):
                yield str(file)
                continue
            if base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != file.hash.value:
                yield str(file)


def _altered(distributions: Sequence[Distribution], base: Listing) -> list[str]:
    """Return the altered files of all distributions, sorted.

    A RECORD in a folder of the base image that differs from the RECORD in the base's listing is an altered file too.
    """
    # Hashing releases the interpreter's lock, so that threads use all cores.
    with ThreadPoolExecutor() as pool:
        altered = [file for files in pool.map(lambda each: list(altered_files(each)), distributions) for file in files]
    for distribution in distributions:
        listed = base.get(name_of(distribution))
        if (
            listed
            and folder_of(distribution) == listed["folder"]
            and record_sha256(distribution) != listed["record_sha256"]
        ):
            altered.append(f"{distribution.metadata['Name']}-{distribution.version}.dist-info/RECORD")
    return sorted(altered)


def _base_listing(root: Path) -> Listing:
    """Return the ``listing()`` of its base that the image's build kept; empty where the build kept none."""
    path = root / "base.json"
    base: Listing = strictjson.read(path) if path.exists() else {}
    return base


class _Requirements(NamedTuple):
    """The requirements file that the request names by its sha256; without a name and empty if the file is not here."""

    name: str | None
    text: str


def _requirements(stack: Stack, root: Path) -> _Requirements:
    """Return the stack's requirements file.

    The variable BLOOMZ_BENCH_REQUIREMENTS names the file where the stacks' folders are not beside the runner.
    Raises ``InputError`` for another file than the request was made with.
    """
    named_file = os.environ.get("BLOOMZ_BENCH_REQUIREMENTS")
    name = f"requirements-{stack.name}.txt"
    folders = sorted((root / "images").iterdir()) if (root / "images").is_dir() else []
    paths = [Path(named_file)] if named_file else [folder / name for folder in folders if (folder / name).exists()]
    if not paths or stack.requirements_sha256 is None:
        return _Requirements(None, "")
    content = read_bytes(paths[0], _MAX_REQUIREMENTS_BYTES, InputError, "Check BLOOMZ_BENCH_REQUIREMENTS.")
    if hashlib.sha256(content).hexdigest() != stack.requirements_sha256:
        raise InputError(
            f"{paths[0]} is not the one that the request was made with: its sha256 differs. Make the request again."
        )
    return _Requirements(paths[0].name, content.decode("utf-8"))


def _needs(name: str, distributions: Mapping[str, Distribution]) -> set[str]:
    """Return the name of a distribution and the names of all that it needs, directly or not, installed or not."""
    needs, pending = set(), {name}
    while pending:
        name = pending.pop()
        needs.add(name)
        requirements = (distributions[name].requires or ()) if name in distributions else ()
        pending |= {normalised(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in requirements} - needs
    return needs


def _same_version(wanted: str, version: str, by_release: bool) -> bool:
    """Return whether two versions are the same.

    ``by_release`` takes every build of a release (+cpu, a0+git) for the release.
    """
    return release(wanted) == release(version) if by_release else wanted == version
