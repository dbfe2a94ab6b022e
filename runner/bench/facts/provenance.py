"""Judge where Python really takes its modules from, and what else could have come into the interpreter unseen.

Names and versions of installed packages say nothing of what an import finds: a folder on PYTHONPATH, or the folder that Python was
started in, comes first; a ``.pth`` file or ``sitecustomize`` runs code at every start; ``LD_PRELOAD`` changes what libraries do.
Nothing is imported here.
"""

import base64
import contextlib
import os
import re
import site
import sys
import sysconfig
from collections import defaultdict
from dataclasses import dataclass, field
from importlib import machinery
from importlib.metadata import Distribution
from pathlib import Path
from typing import Container, Dict, Iterable, Iterator, List, Mapping, Optional, Set

from runner.bench.facts import host
from runner.bench.facts.environment import files_of, normalised
from runner.contract.files import sha256_of_file
from runner.contract.secrets import is_secret_name, mask
from runner.contract.text import cut

# Variables of Python that change neither what runs nor how fast. Source: docs.python.org/3/using/cmdline.html.
_HARMLESS = {
    *("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONIOENCODING", "PYTHONUTF8"),
    *("PYTHONNOUSERSITE", "PYTHONHASHSEED", "PYTHONFAULTHANDLER", "PYTHONSAFEPATH", "PYTHONCOERCECLOCALE"),
}
_OF_THE_INTERPRETER = re.compile(r"PYTHON[A-Z_]*|LD_[A-Z_0-9]+|GLIBC_TUNABLES")

# What setuptools installs in all its releases, on Debian without a list of its files.
_SETUPTOOLS = re.compile(
    r"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os\.environ\.get\(var, '(local|stdlib)'\) == 'local';"
    r" enabled and __import__\('_distutils_hack'\)(\.add_shim\(\))?;?\s*"
)

# What virtualenv and uv put into each environment that they make, listed by no package (virtualenv: create/via_global_ref/_virtualenv.py).
_VIRTUALENV = ("_virtualenv.pth", "import _virtualenv")

# Names that careless packages install beside their own, and that no library imports.
_CARELESS = {"tests", "test", "testing", "docs", "doc", "examples", "benchmarks", "scripts", "tools", "src"}

_MODULE = (".py", ".so")


@dataclass
class Findings:
    """What was found. ``shadowed``, ``unrecorded`` and ``injected`` refuse a launch, ``interpreter`` flags it."""

    # module, or package, to the place that it comes from
    shadowed: Dict[str, str] = field(default_factory=dict)
    # locked packages that list no files, so that nothing was compared
    unrecorded: List[str] = field(default_factory=list)
    # what runs code in every Python here, and is of no locked package
    injected: List[str] = field(default_factory=list)
    # variables and files that can change a measurement, each with its value or its first characters
    interpreter: Dict[str, str] = field(default_factory=dict)
    # all variables of Python and of the dynamic linker
    variables: Dict[str, str] = field(default_factory=dict)


# Where the dynamic linker looks without being told (Debian's /etc/ld.so.conf.d), as the CUDA image's Python needs it, and where
# NVIDIA's images and container toolkit have the driver's libraries.
_LIBRARIES = {os.path.realpath(folder) for folder in ("/lib", "/usr/lib", "/usr/local/lib")}
_LIBRARIES |= {"/usr/local/nvidia/lib", "/usr/local/nvidia/lib64", "/usr/local/cuda/lib64"}


class _Package:
    """An installed distribution, and what it lists of its own files."""

    def __init__(self, distribution: Distribution) -> None:
        self.name = normalised(distribution.metadata["Name"])
        self.given_folder = str(distribution.locate_file(""))
        self.folder = os.path.realpath(self.given_folder)
        files = files_of(distribution)
        editable = re.search(r'"editable"\s*:\s*true', distribution.read_text("direct_url.json") or "")
        # what only points to a folder of sources lists nothing of them
        self.lists_nothing = bool(editable) or not any(file.hash for file in files)
        self.startup_files = {os.path.join(self.folder, str(file)) for file in files if file.suffix == ".pth"}
        self.modules: Dict[str, Set[str]] = defaultdict(set)  # top-level module to the files that its import may open
        self.listed: Dict[str, Set[str]] = defaultdict(set)  # folder to the names of the modules' files in it
        for file in files:
            if file.suffix in _MODULE:
                self.listed[os.path.join(self.folder, os.path.dirname(str(file)))].add(file.name)
            first = file.parts[0]
            module = first.split(".")[0]
            if file.suffix in _MODULE and module.isidentifier() and module not in _CARELESS:
                self.modules[module].update(
                    [os.path.join(self.folder, *file.parts)]
                    if len(file.parts) == 1 or (len(file.parts) == 2 and file.parts[1].startswith("__init__."))
                    else []
                )


def judge(
    wanted: Container[str],
    known: Iterable[Distribution],
    added: Iterable[Distribution],
    below: Mapping[str, Mapping[str, str]],
    root: Path,
    environment: Mapping[str, str],
) -> Findings:
    """Return the ``Findings`` on the packages whose names are ``wanted``, which the stack locks.

    ``known`` are all distributions that may be here, the wanted ones among them, ``added`` all others that are installed,
    ``below`` what the image's build listed of its base, ``root`` the kit's own folder.
    """
    found = Findings()
    base = {os.path.realpath(entry["folder"]) for entry in below.values()}
    places = own_folders() | base
    packages = [_Package(one) for one in known]
    for package in [package for package in packages if package.name in wanted]:
        if package.folder not in places:
            found.shadowed[package.name] = package.folder
        elif package.lists_nothing and below.get(package.name, {}).get("folder") != package.given_folder:
            found.unrecorded.append(package.name)
        for module in package.modules:
            owners = [one for one in packages if module in one.modules and one.folder in places]
            place = _elsewhere(module, owners)
            if place:
                found.shadowed[module] = place
    found.shadowed.update(_preferred([package for package in packages if package.name in wanted], packages))
    found.shadowed.update(_shadowed_standard_library())
    _startup_files(found, packages, {file for one in added for file in _whole_startup_files(one)}, base)
    _variables(found, environment, places | {os.path.realpath(root)})
    found.unrecorded.sort()
    return found


def own_folders() -> Set[str]:
    """Return the folders that this interpreter installs packages into: not the user's, and none that a variable names."""
    folders = [*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return {os.path.realpath(folder) for folder in folders}


def _elsewhere(module: str, owners: List[_Package]) -> Optional[str]:
    """Return where Python takes a module from, None if that is a file, or a folder, of one of its ``owners``, or nowhere."""
    spec = _spec(module)
    if spec is None:
        return None
    if spec.origin is not None:
        files = {os.path.realpath(file) for one in owners for file in one.modules[module]}
        return None if os.path.realpath(spec.origin) in files else spec.origin
    folders = {os.path.realpath(os.path.join(one.folder, module)) for one in owners}
    # a package without __init__, which every folder of that name on the path adds to
    return next(
        (str(place) for place in spec.submodule_search_locations or () if os.path.realpath(place) not in folders), None
    )


def _preferred(wanted: List[_Package], packages: List[_Package]) -> Dict[str, str]:
    """Return the modules of ``wanted`` beside whose source lies what an import prefers, and no package lists, with its place.

    Python takes a folder with ``__init__`` before an extension, and both before source.
    """
    listed: Dict[str, Set[str]] = defaultdict(set)
    for package in packages:
        for folder, names in package.listed.items():
            listed[folder] |= names
    initial = {f"__init__{suffix}" for suffix in (*machinery.EXTENSION_SUFFIXES, ".py")}
    found = {}
    for package in wanted:
        for folder, names in package.listed.items():
            sources = {name[:-3] for name in names if name.endswith(".py")}
            for entry in _entries(folder) - listed[folder]:
                suffix = next((suffix for suffix in machinery.EXTENSION_SUFFIXES if entry.endswith(suffix)), "")
                module, place = entry[: len(entry) - len(suffix)], os.path.join(folder, entry)
                if module not in sources:
                    continue
                # a folder that a package lists is its own, as it would be without the module of the same name
                if suffix or (_entries(place) & initial and not listed.get(place, set()) & initial):
                    inside = os.path.relpath(folder, package.folder).split(os.sep)
                    found[".".join(part for part in (*inside, module) if part not in (".", "__init__"))] = place
    return found


def _entries(folder: str) -> Set[str]:
    """Return the names in a folder; none where there is no such folder, since a file that was lost is told elsewhere."""
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _spec(module: str) -> Optional[machinery.ModuleSpec]:
    """Return where an import would find a top-level module. The path's folders are searched anew; nothing is imported."""
    try:
        return machinery.PathFinder.find_spec(module)
    except (ImportError, ValueError, OSError):
        return None


def _shadowed_standard_library() -> Dict[str, str]:
    """Return the modules of Python's own library that come from elsewhere, each with the place."""
    own = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    found = {}
    for module in _standard_library(own):
        if module in sys.builtin_module_names or machinery.FrozenImporter.find_spec(module):
            continue
        spec = _spec(module)
        if spec is not None and spec.origin is not None:
            origin = os.path.realpath(spec.origin)
            if not any(origin.startswith(folder + os.sep) for folder in own):
                found[module] = spec.origin
    return found


def _standard_library(own: Set[str]) -> Set[str]:
    names = set(getattr(sys, "stdlib_module_names", ()))  # since Python 3.10
    if not names:
        for folder in own:
            for entry in Path(folder).iterdir():
                if entry.suffix == ".py" or (entry / "__init__.py").exists():
                    names.add(entry.stem)
    # setuptools replaces distutils by its own; Debian brings a sitecustomize, which is judged with the files of the start
    return names - {"distutils", "sitecustomize", "__main__", *_CARELESS}


def _whole_startup_files(distribution: Distribution) -> Iterator[str]:
    """Yield the ``.pth`` files that a distribution lists and that are as it lists them, as an editable install has one."""
    for file in files_of(distribution):
        if file.suffix == ".pth" and file.hash is not None and file.hash.mode == "sha256":
            path = os.path.join(os.path.realpath(str(distribution.locate_file(""))), str(file))
            with contextlib.suppress(OSError):
                digest = base64.urlsafe_b64encode(bytes.fromhex(sha256_of_file(path))).rstrip(b"=").decode()
                if digest == file.hash.value:
                    yield path


def _startup_files(found: Findings, packages: List[_Package], of_added: Set[str], base: Set[str]) -> None:
    """Note every file that runs at each start of Python, or that adds to the path, and is of no known package.

    Flagged and not refused are those of added packages, of the tool that made the environment, and those in the folders of the
    image's base, whose digest is pinned.
    """
    listed = {file for package in packages for file in package.startup_files}
    folders = own_folders() | base
    if site.ENABLE_USER_SITE:
        folders.add(os.path.realpath(site.getusersitepackages()))
    for folder in sorted(folders):
        for path in sorted(Path(folder).glob("*.pth")):
            text = host.read_text(str(path)) or ""
            if str(path) in listed or _SETUPTOOLS.fullmatch(text):
                continue
            # Python ends a line at a lone carriage return too, and newer ones pass over a byte order mark
            runs = re.search(r"(?:\A\ufeff?|[\r\n])import[ \t]", text) or len(text) >= host.TEXT_BYTES
            is_virtualenv = (os.path.basename(str(path)), text) == _VIRTUALENV
            if runs and folder not in base and str(path) not in of_added and not is_virtualenv:
                found.injected.append(str(path))
            elif text:
                found.interpreter[str(path)] = mask(cut(text, 200))
    standard = {os.path.realpath(sysconfig.get_path("stdlib"))}
    for module in ("sitecustomize", "usercustomize"):
        spec = _spec(module)
        if spec is not None and spec.origin is not None:
            place = os.path.realpath(os.path.dirname(spec.origin))
            if place in base:
                found.interpreter[module] = spec.origin
            elif place not in standard:  # Debian's Python brings one in its own library
                found.injected.append(spec.origin)
    preloaded = host.read_text("/etc/ld.so.preload")
    if preloaded:
        found.interpreter["/etc/ld.so.preload"] = mask(cut(preloaded, 200))


def _variables(found: Findings, environment: Mapping[str, str], places: Set[str]) -> None:
    for name, value in sorted(environment.items()):
        if not _OF_THE_INTERPRETER.fullmatch(name) or is_secret_name(name) or not value:
            continue
        found.variables[name] = mask(value)
        if name == "LD_AUDIT":  # a library that sees and changes every call; no program of a stack sets it
            found.injected.append(f"{name}={mask(value)}")
        elif name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
            of_the_stack = places if name == "PYTHONPATH" else _LIBRARIES
            parts = [part for part in value.split(os.pathsep) if part and os.path.realpath(part) not in of_the_stack]
            if parts:
                found.interpreter[name] = mask(os.pathsep.join(parts))
        elif name not in _HARMLESS:
            found.interpreter[name] = mask(value)
