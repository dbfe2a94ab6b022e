"""What this machine gives to a job: a clean home, a Python, caches, and a copy of the environment that the tests run in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.host.pins import pip_settings
from tests.workflows.harness.expressions import NotKnown

ROOT = Path(__file__).parents[3]

# The Python that a job finds without setup-python, as on ubuntu-24.04.
OWN_PYTHON = "3.12"

# The layers of .venv in the Makefile, each with what it is made from.
_LAYERS = {
    ".build": ("requirements/build.txt",),
    ".host": ("requirements/host.txt",),
    ".cpu": ("images/cpu/requirements-cpu.txt", "versions.lock"),
    ".dev": ("requirements/dev.txt",),
}
_OF_THE_ENVIRONMENT = ("bin", "include", "lib", "lib64", "share")


@dataclass(frozen=True)
class Machine:
    """The machine that runs each job.

    ``variables`` are those of every step, beside what a forge's runner gives. ``stand_ins`` are values of the YAML's ``env`` that this
    machine needs other ones for. ``environment`` is the folder of the Python environment that a job's .venv begins as.
    """

    variables: Mapping[str, str]
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    environment: Path = Path(sys.prefix)

    def lend_environment(self, workspace: Path) -> str:
        """Make .venv of a fresh clone as a forge's cache would restore it; return a line for the log.

        The files are linked: pip replaces a file, and writes into none. A layer counts as made where the clone locks the same for it as
        the tree of the tests; make makes every other layer.
        """
        venv = workspace / ".venv"
        venv.mkdir()
        names = [str(self.environment / name) for name in _OF_THE_ENVIRONMENT if (self.environment / name).exists()]
        if subprocess.run(["cp", "-al", *names, str(venv)], capture_output=True).returncode:
            # another file system
            subprocess.run(["cp", "-a", *names, str(venv)], capture_output=True, check=True)
        shutil.copyfile(self.environment / "pyvenv.cfg", venv / "pyvenv.cfg")
        made = []
        for layer, locked in _LAYERS.items():
            if any((workspace / name).read_bytes() != (ROOT / name).read_bytes() for name in locked):
                break
            (venv / layer).touch()
            made.append(layer)
        return f"a copy of the tests' environment; make need not make {' '.join(made) or 'nothing of it'}"


def of_here(cache: Path, more: Mapping[str, str] | None = None) -> Machine:
    """Return this machine: what pip and uv have fetched before is shared, ``cache`` keeps environments that bump-check makes.

    pip's own settings of this machine hold in the jobs. Where they name more indexes, these stand for the index of torch's builds that
    the workflows name. ``more`` are variables that overrule these, such as those of a planted index.
    """
    home = Path.home()
    variables = {
        "PIP_CACHE_DIR": str(home / ".cache" / "pip"),
        "UV_CACHE_DIR": str(home / ".cache" / "uv"),
        "XDG_CACHE_HOME": str(cache),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # two threads of torch that spin while they wait keep each other from the cores of a loaded machine
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    for name in (".config/pip/pip.conf", ".pip/pip.conf"):
        if (home / name).is_file():
            variables["PIP_CONFIG_FILE"] = str(home / name)
    indexes = " ".join(pip_settings.more_indexes())
    stand_ins = {"https://download.pytorch.org/whl/cpu": indexes} if indexes else {}
    return Machine({**variables, **(more or {})}, stand_ins)


def python(version: str) -> tuple[Path, str]:
    """Return the program of a Python, and a line for the log. The Python of the tests stands for one that this machine lacks."""
    if any(not part.isdigit() for part in version.split(".")) or version.count(".") != 1:
        raise NotKnown(f"setup-python with the version {version!r}")
    program = shutil.which(f"python{version}")
    if program is not None:
        # pyenv's program runs only where its Python is chosen
        told = subprocess.run(
            [program, "-c", "import sys; print(sys.executable)"], capture_output=True, encoding="utf-8"
        )
        if told.returncode == 0:
            return Path(told.stdout.strip()), f"Python {version}"
    for candidate in sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}")):
        return candidate, f"Python {version}"
    own = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    return own, f"this machine has no Python {version}; {own.name} stands for it"
