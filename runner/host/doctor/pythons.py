"""The Python versions under which stacks run on this host, outside of containers."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from runner.host.doctor.findings import Answer, Look, not_ready, ready
from runner.host.doctor.needs import Need


def looks(needs: Sequence[Need]) -> list[Look]:
    """Return a look for each Python that the stacks of the cases run under; the stack of the CPU runs under this one."""
    stacks = {need.case.stack: need.stack for need in needs if need.stack.runs_in_image and not need.needs_an_image}
    wanted: dict[str, list[str]] = {}
    for name, stack in stacks.items():
        wanted.setdefault(stack.python, []).append(name)
    return [Look("host", f"Python {version}", partial(of_version, version, names)) for version, names in wanted.items()]


def of_version(version: str, stacks: Sequence[str]) -> Answer:
    """Say where a Python such as 3.12 is: this one, on the path, or among pyenv's."""
    path = find(version)
    names = ", ".join(stacks)
    if path is None:
        return not_ready(
            f"No python{version} was found; {names} runs under it outside of a container.",
            f"Install it (`apt-get install python{version} python{version}-venv`, or `pyenv install {version}`).",
        )
    return ready(f"{path} is there for {names}.")


def find(version: str) -> str | None:
    """Return the path of a Python of a version such as 3.12, None where there is none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        return on_path
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return next((str(path) for path in sorted(root.glob(f"versions/{version}.*/bin/python"))), None)
