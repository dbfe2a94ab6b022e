"""Find on this host what the own environment of a stack is made with: a Python with its headers, and a C compiler."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from runner.host.readers.lockfile import PinnedStack

# Of a Python: its version, and whether the headers are there that torch.compile builds its launchers with.
_ASKED = (
    "import os, sys, sysconfig;"
    " print(*sys.version_info[:2], sep='.', end=' ');"
    " print(os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')))"
)


class Lacking(NamedTuple):
    """A thing that this host lacks, and what to do about it, each as a sentence."""

    finding: str
    remedy: str


def find_python(version: str, environment: Mapping[str, str], limit_s: float) -> str | Lacking:
    """Return a Python of a version such as 3.12 with its headers: the one that ``PYTHON312`` names, one on the path, or one of pyenv's.

    Each is asked for what it is, and given up after ``limit_s`` seconds. Return what is lacking where there is none.
    """
    variable = f"PYTHON{version.replace('.', '')}"
    without_headers: list[str] = []
    for candidate in _pythons(version, variable, environment):
        found = _answer(candidate, limit_s)
        if found == f"{version} True":
            return candidate
        if found == f"{version} False":
            without_headers.append(candidate)
    named = f"make bench {variable}=/path/to/python{version}"
    if without_headers:
        return Lacking(
            f"{without_headers[0]} has no Python.h, which torch.compile needs.",
            f"Install its headers (python{version}-dev), or name another one: {named}",
        )
    return Lacking(
        f"The stack needs Python {version}, which was not found.",
        f"Install it (pyenv install {version}), or name it: {named}",
    )


def lacking_compiler(stack: PinnedStack, environment: Mapping[str, str]) -> Lacking | None:
    """Return what is lacking where torch would find no C compiler, which it builds the launchers of its kernels with."""
    if stack.engine != "compiled" or environment.get("CC") or any(map(shutil.which, ("gcc", "clang"))):
        return None
    return Lacking("torch.compile needs a C compiler, and neither gcc nor clang is on the path.", "Install gcc.")


def _pythons(version: str, variable: str, environment: Mapping[str, str]) -> Iterator[str]:
    if environment.get(variable):
        yield environment[variable]
        return
    on_the_path = shutil.which(f"python{version}")
    if on_the_path:
        yield on_the_path
    for root in (environment.get("PYENV_ROOT"), Path.home() / ".pyenv"):
        if root:
            yield from sorted(map(str, Path(root).glob(f"versions/{version}.*/bin/python")), reverse=True)


def _answer(python: str, limit_s: float) -> str | None:
    """Return the answer of a Python by its own words: pyenv has programs on the path that start no Python."""
    try:
        done = subprocess.run([python, "-c", _ASKED], capture_output=True, encoding="utf-8", timeout=limit_s)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
