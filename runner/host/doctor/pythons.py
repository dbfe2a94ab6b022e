"""The Python versions under which stacks run on this host, outside of containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from runner.host.doctor.findings import Answer, Look, not_ready, ready
from runner.host.doctor.looking import ANSWER_S
from runner.host.doctor.needs import Need


def looks(needs: Sequence[Need]) -> list[Look]:
    """Return a look for each Python that the stacks of the cases run under; the stack of the CPU runs under this one."""
    stacks = {need.case.stack: need.stack for need in needs if need.stack.runs_in_image and need.stack.runs_on_host}
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
    """Return the path of a Python of a version such as 3.12, None where there is none: this one, one on the path, or one of pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = shutil.which(f"python{version}")
    candidates = [sys.executable, *([on_path] if on_path else [])]
    candidates += map(str, sorted(root.glob(f"versions/{version}.*/bin/python")))
    return next((path for path in candidates if _version(path) == version), None)


def _version(path: str) -> str | None:
    """Return the version of a Python by its own words: pyenv has programs on the path that start no Python."""
    script = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        done = subprocess.run([path, "-c", script], capture_output=True, encoding="utf-8", timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
