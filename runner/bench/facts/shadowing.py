"""Find modules that Python takes from another place than the installed package that lists them.

Nothing is imported here.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections import defaultdict
from importlib import machinery
from importlib.metadata import Distribution
from pathlib import Path
from typing import Sequence

from runner.bench.facts.distributions import files_of, folder_of, name_of

# Names that careless packages install beside their own, and that no library imports.
_CARELESS_NAMES = {"tests", "test", "testing", "docs", "doc", "examples", "benchmarks", "scripts", "tools", "src"}

_MODULE_SUFFIXES = (".py", ".so")


class Package:
    """An installed distribution, and what the distribution lists of its own files."""

    def __init__(self, distribution: Distribution) -> None:
        self.name = name_of(distribution)
        self.given_folder = folder_of(distribution)
        self.folder = os.path.realpath(self.given_folder)
        files = files_of(distribution)
        editable = re.search(r'"editable"\s*:\s*true', distribution.read_text("direct_url.json") or "")
        # An editable install only points to a folder of sources, and lists none of them.
        self.lists_nothing = bool(editable) or not any(file.hash for file in files)
        self.startup_files = {os.path.join(self.folder, str(file)) for file in files if file.suffix == ".pth"}
        # Top-level module to the files that an import of the module may open.
        self.modules: dict[str, set[str]] = defaultdict(set)
        # Folder to the names of the modules' files in the folder.
        self.listed: dict[str, set[str]] = defaultdict(set)
        for file in files:
            if file.suffix in _MODULE_SUFFIXES:
                self.listed[os.path.join(self.folder, os.path.dirname(str(file)))].add(file.name)
            first = file.parts[0]
            module = first.split(".")[0]
            if file.suffix in _MODULE_SUFFIXES and module.isidentifier() and module not in _CARELESS_NAMES:
                is_opened = len(file.parts) == 1 or (len(file.parts) == 2 and file.parts[1].startswith("__init__."))
                self.modules[module].update([os.path.join(self.folder, *file.parts)] if is_opened else [])


def place_elsewhere(module: str, owners: Sequence[Package]) -> str | None:
    """Return the place that Python takes a module from, if that is no file and no folder of the module's ``owners``.

    Return None where the place is an owner's, and where Python finds no such module.
    """
    spec = find_spec(module)
    if spec is None:
        return None
    if spec.origin is not None:
        files = {os.path.realpath(file) for owner in owners for file in owner.modules[module]}
        return None if os.path.realpath(spec.origin) in files else spec.origin
    folders = {os.path.realpath(os.path.join(owner.folder, module)) for owner in owners}
    # A package without __init__ consists of every folder of its name on the path.
    return next(
        (str(place) for place in spec.submodule_search_locations or () if os.path.realpath(place) not in folders), None
    )


def preferred_to_listed(locked: Sequence[Package], packages: Sequence[Package]) -> dict[str, str]:
    """Return the modules of ``locked`` packages beside whose source lies a file or folder that an import prefers.

    Each module comes with the place of that file or folder. No package lists it. Python takes a folder with
    ``__init__`` before an extension, and both before source.
    """
    listed: dict[str, set[str]] = defaultdict(set)
    for package in packages:
        for folder, names in package.listed.items():
            listed[folder] |= names
    initial = {f"__init__{suffix}" for suffix in (*machinery.EXTENSION_SUFFIXES, ".py")}
    preferred = {}
    for package in locked:
        for folder, names in package.listed.items():
            sources = {name[:-3] for name in names if name.endswith(".py")}
            for entry in _entries(folder) - listed[folder]:
                suffix = next((suffix for suffix in machinery.EXTENSION_SUFFIXES if entry.endswith(suffix)), "")
                module, place = entry[: len(entry) - len(suffix)], os.path.join(folder, entry)
                if module not in sources:
                    continue
                # A folder that a package lists belongs to the package, with or without a module of the same name.
                if suffix or (_entries(place) & initial and not listed.get(place, set()) & initial):
                    inside = os.path.relpath(folder, package.folder).split(os.sep)
                    preferred[".".join(part for part in (*inside, module) if part not in (".", "__init__"))] = place
    return preferred


def _entries(folder: str) -> set[str]:
    """Return the names in a folder; none where there is no such folder.

    A listed folder that was lost is named by ``inventory.altered_files``.
    """
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def find_spec(module: str) -> machinery.ModuleSpec | None:
    """Return where an import would find a top-level module, by a new search of the path's folders."""
    try:
        return machinery.PathFinder.find_spec(module)
    except (ImportError, ValueError, OSError):
        return None


def shadowed_standard_library() -> dict[str, str]:
    """Return the modules of Python's own library that Python takes from elsewhere, each with the place."""
    folders = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    shadowed = {}
    for module in _standard_library(folders):
        if module in sys.builtin_module_names or machinery.FrozenImporter.find_spec(module):
            continue
        spec = find_spec(module)
        if spec is not None and spec.origin is not None:
            origin = os.path.realpath(spec.origin)
            if not any(origin.startswith(folder + os.sep) for folder in folders):
                shadowed[module] = spec.origin
    return shadowed


def _standard_library(folders: set[str]) -> set[str]:
    """Return the names of the modules of Python's own library, which lies in ``folders``."""
    # Python has this list since 3.10.
    names = set(getattr(sys, "stdlib_module_names", ()))
    if not names:
        for folder in folders:
            for entry in Path(folder).iterdir():
                if entry.suffix == ".py" or (entry / "__init__.py").exists():
                    names.add(entry.stem)
    # setuptools replaces distutils by its own. Debian brings a sitecustomize, which ``startup.files`` judges.
    return names - {"distutils", "sitecustomize", "__main__", *_CARELESS_NAMES}
