"""Hold what is installed against the stack's locked requirements: names, versions, and the bytes of every file."""

import base64
import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional, Tuple

from runner.bench.facts import provenance
from runner.bench.facts.environment import distributions, files_of, normalised, release
from runner.contract import strictjson
from runner.contract.errors import InputError, Unsupported
from runner.contract.files import open_regular, read_bytes
from runner.contract.request import Stack
from runner.contract.text import printable

ROOT = Path(__file__).resolve().parents[3]
INSTALLERS = {"pip", "setuptools", "wheel"}
REQUIREMENTS_BYTES = 1 << 24  # the largest of the stacks has 0.2 MB
TOLD = 20  # how many files are named; more say nothing more


def describe(stack, root=ROOT):
    """Return how the installed packages differ from what ``stack`` locks.

    ``missing``, ``changed`` and ``altered_files`` (a file is not what its own package's RECORD says) make another stack of
    it, and so does what ``provenance.Findings`` calls ``shadowed``, ``unrecorded`` and ``injected``. ``added`` is what is
    installed beyond the stack, torch's own needs and the kit's other requirements.
    Raises ``InputError`` where the requirements file here is another one than the request was made with.
    """
    installed = distributions()
    name, text = _requirements(stack, root)
    locked = pins(text)
    below = _base(root)
    wanted = {**{name: found["version"] for name, found in below.items()}, **locked, **stack.packages}
    known = {*wanted, *INSTALLERS, *_needs("torch", installed)}
    for other in (root / "requirements").glob("*.txt"):
        known.update(pins(other.read_text(encoding="utf-8"), everywhere=True))
    changed = {name: [version, installed[name].version] for name, version in wanted.items() if name in installed}
    here = [found for name, found in installed.items() if name in known]
    added = [found for name, found in installed.items() if name not in known]
    origins = provenance.judge(wanted, here, added, below, root, os.environ)
    return {
        **vars(origins),
        "requirements": name,
        "compared": len(wanted),
        "missing": {name: version for name, version in wanted.items() if name not in installed},
        "changed": {name: both for name, both in changed.items() if not _same(both, named=name in stack.packages)},
        "altered_files": _altered([installed[name] for name in wanted if name in installed], below)[:TOLD],
        "added": {name: found.version for name, found in sorted(installed.items()) if name not in known},
    }


def refuse_drift(found, stack):
    """Raise ``Unsupported`` if another stack than the locked one is installed."""
    mend = "Run `make setup`, or use the stack's image."
    versions = [f"{name} {version} is not here" for name, version in found["missing"].items()]
    versions += [f"{name} {version} is {other} here" for name, (version, other) in found["changed"].items()]
    if versions:
        told = "; ".join(versions[:3]) + (f" and {len(versions) - 3} more" if len(versions) > 3 else "")
        raise Unsupported(f"This is not the stack {stack.name} as it is locked: {told}. {mend}")
    if found["altered_files"]:
        raise Unsupported(
            f"This is not the stack {stack.name} as it was installed: {found['altered_files'][0]} was changed or lost"
            f" ({len(found['altered_files'])} such files). Install it again: `make clean setup`."
        )
    if found["shadowed"]:
        name, place = next(iter(found["shadowed"].items()))
        more = f" ({len(found['shadowed'])} such modules)" if len(found["shadowed"]) > 1 else ""
        raise Unsupported(
            f"This is not the stack {stack.name} as it was installed: Python takes {name} from {printable(place, 200)}{more}."
            " Remove it, take its folder off PYTHONPATH, or start in another folder."
        )
    if found["injected"]:
        raise Unsupported(
            f"{printable(found['injected'][0], 200)} would run code of no locked package in every process"
            f" ({len(found['injected'])} such in all). Remove it, or use the stack's image."
        )
    if found["unrecorded"]:
        raise Unsupported(
            f"The package {found['unrecorded'][0]} lists none of its files, so that they cannot be compared with what was"
            f" installed ({len(found['unrecorded'])} such packages). Install it again: `make clean setup`."
        )


def listing():
    """Return name to version, licence, folder and the sha256 of the RECORD of every installed distribution."""
    return {
        name: {
            "version": found.version,
            "license": found.metadata["License-Expression"] or _one_line(found.metadata["License"]),
            "folder": str(found.locate_file("")),
            "record_sha256": _record_sha256(found),
        }
        for name, found in sorted(distributions().items())
    }


def _one_line(text):
    """Return a licence that is named in one short line; some packages put its whole text there."""
    return text if text and "\n" not in text and len(text) < 100 else None


def pins(text, everywhere=False):
    """Return name to version of a requirements file: what its markers want here, or, ``everywhere``, all it names."""
    from packaging.markers import Marker

    found = {}
    for line in text.splitlines():
        match = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^ ;\\]+)(?: *; *([^\\]+))?", line)
        if match:
            name, version, marker = match.groups()
            if everywhere or marker is None or Marker(marker.strip()).evaluate():
                found[normalised(name)] = version
    return found


def altered_files(distribution):
    """Yield the files of a distribution whose bytes are not those that its RECORD gives; what has no hash there is not told.

    Nor is compiled bytecode: the wheel of numpy 2.2.6 brings a file of it, which pip writes anew as it installs.
    """
    for file in files_of(distribution):
        if file.hash is not None and file.suffix != ".pyc":
            try:
                digest = hashlib.new(file.hash.mode)
                with open_regular(distribution.locate_file(file)) as content:
                    for block in iter(lambda: content.read(1 << 20), b""):
                        digest.update(block)
            except (OSError, ValueError):  # it is not there, is no file, or has a hash that nobody knows
                yield str(file)
                continue
            if base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != file.hash.value:
                yield str(file)


def _altered(distributions, below):
    """Return the altered files of all distributions, sorted; hashing lets go of the interpreter's lock, so threads help.

    A RECORD of the base image that is not the one of ``below`` is an altered file too.
    """
    with ThreadPoolExecutor() as pool:
        found = [file for files in pool.map(lambda one: list(altered_files(one)), distributions) for file in files]
    for one in distributions:
        known = below.get(normalised(one.metadata["Name"]))
        if known and str(one.locate_file("")) == known["folder"] and _record_sha256(one) != known["record_sha256"]:
            found.append(f"{one.metadata['Name']}-{one.version}.dist-info/RECORD")
    return sorted(found)


def _base(root):
    """Return the ``listing()`` of the base image's packages, as the image's build found them; empty where it kept none."""
    path = root / "base.json"
    return strictjson.read(path) if path.exists() else {}


def _record_sha256(distribution):
    return hashlib.sha256((distribution.read_text("RECORD") or "").encode()).hexdigest()


def _requirements(stack: Stack, root: Path) -> Tuple[Optional[str], str]:
    """Return name and text of the file that the request names by its hash; None and nothing where this place has none.

    BLOOMZ_BENCH_REQUIREMENTS names it where the stacks' folders are not beside the runner.
    """
    given = os.environ.get("BLOOMZ_BENCH_REQUIREMENTS")
    name = f"requirements-{stack.name}.txt"
    folders = sorted((root / "images").iterdir()) if (root / "images").is_dir() else []
    found = [Path(given)] if given else [folder / name for folder in folders if (folder / name).exists()]
    if not found or stack.requirements_sha256 is None:
        return None, ""
    content = read_bytes(found[0], REQUIREMENTS_BYTES, InputError, "Check BLOOMZ_BENCH_REQUIREMENTS.")
    if hashlib.sha256(content).hexdigest() != stack.requirements_sha256:
        raise InputError(
            f"{found[0]} is not the one that the request was made with: its sha256 differs. Make the request again."
        )
    return found[0].name, content.decode("utf-8")


def _needs(name, installed):
    """Return the names that an installed package needs, and what those need in turn, whether or not they are here."""
    found, open_names = set(), {name}
    while open_names:
        name = open_names.pop()
        found.add(name)
        needs = installed[name].requires or () if name in installed else ()
        open_names |= {normalised(re.split(r"[^A-Za-z0-9._-]", need)[0]) for need in needs} - found
    return found


def _same(versions, named):
    """Return whether two versions are one. Builds (+cpu, a0+git) of a release are the release, for the stack's named packages."""
    wanted, found = map(release, versions) if named else versions
    return wanted == found
