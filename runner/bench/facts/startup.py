"""Find the files and variables that act on every start of Python, because they run code or change libraries."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import site
import sysconfig
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path
from typing import Iterator, Mapping

from runner.bench.facts import shadowing, small_files
from runner.bench.facts.distributions import files_of, folder_of
from runner.contract.files import sha256_of_file
from runner.contract.secrets import is_secret_name, mask
from runner.contract.text import cut

# Variables of Python that change neither what runs nor how fast. Source: docs.python.org/3/using/cmdline.html.
_HARMLESS_VARIABLES = {
    *("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONIOENCODING", "PYTHONUTF8"),
    *("PYTHONNOUSERSITE", "PYTHONHASHSEED", "PYTHONFAULTHANDLER", "PYTHONSAFEPATH", "PYTHONCOERCECLOCALE"),
}
_VARIABLES = re.compile(r"PYTHON[A-Z_]*|LD_[A-Z_0-9]+|GLIBC_TUNABLES")

# The file that setuptools installs in all its releases; Debian's package lists it nowhere.
_SETUPTOOLS = re.compile(
    r"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os\.environ\.get\(var, '(local|stdlib)'\) == 'local';"
    r" enabled and __import__\('_distutils_hack'\)(\.add_shim\(\))?;?\s*"
)

# The file that virtualenv and uv put into each environment that they make. No package lists it.
# Source: virtualenv, create/via_global_ref/_virtualenv.py.
_VIRTUALENV = ("_virtualenv.pth", "import _virtualenv")

# Python ends a line at a lone carriage return too, and newer releases pass over a byte order mark.
_RUNS_CODE = re.compile(r"(?:\A\ufeff?|[\r\n])import[ \t]")

# Where the dynamic linker looks by default (Debian's /etc/ld.so.conf.d), as the CUDA image's Python needs it, and where
# NVIDIA's images and container toolkit put the driver's libraries.
_LIBRARY_FOLDERS = {os.path.realpath(folder) for folder in ("/lib", "/usr/lib", "/usr/local/lib")}
_LIBRARY_FOLDERS |= {"/usr/local/nvidia/lib", "/usr/local/nvidia/lib64", "/usr/local/cuda/lib64"}

# A file's first characters are enough to recognise it.
_EXCERPT_CHARACTERS = 200


@dataclass
class StartupFindings:
    """The files that act on every start of Python: ``injected`` refuses a launch, ``interpreter`` flags it."""

    injected: list[str] = field(default_factory=list)
    # File or variable to its first characters or its value.
    interpreter: dict[str, str] = field(default_factory=dict)


@dataclass
class VariableFindings:
    """All variables of Python and of the dynamic linker as they are recorded, and the findings on them."""

    recorded: dict[str, str] = field(default_factory=dict)
    findings: StartupFindings = field(default_factory=StartupFindings)


def unaltered_files(distribution: Distribution) -> Iterator[str]:
    """Yield the ``.pth`` files of a distribution that are as its RECORD lists them, as an editable install has one."""
    for file in files_of(distribution):
        if file.suffix == ".pth" and file.hash is not None and file.hash.mode == "sha256":
            path = os.path.join(os.path.realpath(folder_of(distribution)), str(file))
            with contextlib.suppress(OSError):
                digest = base64.urlsafe_b64encode(bytes.fromhex(sha256_of_file(path))).rstrip(b"=").decode()
                if digest == file.hash.value:
                    yield path


def files(
    own_folders: set[str], base_folders: set[str], listed_files: set[str], added_files: set[str]
) -> StartupFindings:
    """Return the files that run at each start of Python, or that add to the path, and that no expected package lists.

    ``own_folders`` are the interpreter's own folders of packages, ``listed_files`` the ``.pth`` files that expected
    packages list. These files are flagged and do not refuse a launch: ``added_files``, which added packages list, the
    file of the tool that made the environment, and files in ``base_folders``, the folders of the image's base, whose
    digest is pinned.
    """
    findings = StartupFindings()
    folders = own_folders | base_folders
    if site.ENABLE_USER_SITE:
        folders.add(os.path.realpath(site.getusersitepackages()))
    for folder in sorted(folders):
        for path in sorted(Path(folder).glob("*.pth")):
            text = small_files.read_text(str(path)) or ""
            if str(path) in listed_files or _SETUPTOOLS.fullmatch(text):
                continue
            # The end of a longer file was not read, and may run code.
            runs_code = _RUNS_CODE.search(text) or len(text) >= small_files.MAX_BYTES
            is_virtualenv = (path.name, text) == _VIRTUALENV
            if runs_code and folder not in base_folders and str(path) not in added_files and not is_virtualenv:
                findings.injected.append(str(path))
            elif text:
                findings.interpreter[str(path)] = mask(cut(text, _EXCERPT_CHARACTERS))
    standard_library = os.path.realpath(sysconfig.get_path("stdlib"))
    for module in ("sitecustomize", "usercustomize"):
        spec = shadowing.find_spec(module)
        if spec is not None and spec.origin is not None:
            folder = os.path.realpath(os.path.dirname(spec.origin))
            if folder in base_folders:
                findings.interpreter[module] = spec.origin
            # Debian's Python brings a sitecustomize in its own library.
            elif folder != standard_library:
                findings.injected.append(spec.origin)
    preloaded = small_files.read_text("/etc/ld.so.preload")
    if preloaded:
        findings.interpreter["/etc/ld.so.preload"] = mask(cut(preloaded, _EXCERPT_CHARACTERS))
    return findings


def variables(environment: Mapping[str, str], python_folders: set[str]) -> VariableFindings:
    """Return the findings on the variables of Python and of the dynamic linker.

    PYTHONPATH may name ``python_folders``, and LD_LIBRARY_PATH the folders in which the dynamic linker looks by
    default.
    """
    recorded: dict[str, str] = {}
    findings = StartupFindings()
    for name, value in sorted(environment.items()):
        if not _VARIABLES.fullmatch(name) or is_secret_name(name) or not value:
            continue
        recorded[name] = mask(value)
        # An auditing library sees and changes every call. No program of a stack sets this variable.
        if name == "LD_AUDIT":
            findings.injected.append(f"{name}={mask(value)}")
        elif name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
            allowed = python_folders if name == "PYTHONPATH" else _LIBRARY_FOLDERS
            parts = [part for part in value.split(os.pathsep) if part and os.path.realpath(part) not in allowed]
            if parts:
                findings.interpreter[name] = mask(os.pathsep.join(parts))
        elif name not in _HARMLESS_VARIABLES:
            findings.interpreter[name] = mask(value)
    return VariableFindings(recorded, findings)
