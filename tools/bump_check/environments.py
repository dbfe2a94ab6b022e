"""Make the environment of a tree from the tree's own locked files, once, and keep it outside of all trees.

An environment is what the Makefile's layers .build, .host and .cpu install. uv installs it here, with links to its cache in the place of
copies: 14 s, where pip took 70 s on the same loaded host, both with everything fetched before. uv asks the indexes that pip would ask. An
environment lies in a folder that a hash of everything it was made from names, and its last file says that it is whole; a half-made one
is never taken.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import default_environment

from runner.contract import files
from runner.contract.errors import InputError, KitError, Unreachable, Unsupported, by_exit_code
from runner.contract.progress import Show
from runner.contract.releases import release
from runner.contract.text import printable
from runner.host import writing
from runner.host.pins import pip_settings, programs
from runner.host.pins.programs import Meaning
from runner.host.stacks import requirements
from tools.bump_check import moved, sides

# The layers of the Makefile, in its order.
LAYERS = ("requirements/build.txt", "requirements/host.txt", "images/cpu/requirements-cpu.txt")
TORCH = "stacks.cpu.packages.torch.version"

# The file that says that an environment is whole, and from what it was made. It is written last.
STAMP = "made-from.json"

_MAX_BYTES = 1 << 24

_MEANINGS = (
    Meaning(
        re.compile(r"Hash mismatch|hash mismatch"), InputError, "a file is not the one that was locked", whole=True
    ),
    Meaning(
        re.compile(r"40[137] (?:Unauthorized|Forbidden|Proxy)|authentication credentials"),
        Unreachable,
        programs.LOGIN,
        whole=True,
    ),
    Meaning(programs.NO_ANSWER.words, programs.NO_ANSWER.error, programs.NO_ANSWER.says, whole=True),
    Meaning(
        re.compile("No solution found|was not found in|has no wheels|requires-python"),
        InputError,
        "it is not there",
        whole=True,
    ),
    # a build that failed, a version that contradicts another: the locked files cannot be installed, whatever the network does
    Meaning(re.compile("."), InputError, "it could not be installed", whole=True),
)


@dataclass(frozen=True)
class Locked:
    """The locked files of a tree's environment: each layer's text by its file, and the version of torch."""

    layers: dict[str, str]
    torch: str


def locked(tree: Path) -> Locked:
    """Return what a tree's environment is made from. Raises ``InputError`` where a file is missing, or no torch is pinned."""
    layers = {
        name: files.read_bytes(
            tree / name, _MAX_BYTES, InputError, "The tree is not one that has these layers."
        ).decode("utf-8", errors="replace")
        for name in LAYERS
    }
    torch = moved.leaves(moved.lock_text(tree)).get(TORCH)
    if torch is None:
        raise InputError(f"{tree / moved.LOCK} pins no torch for the CPU ({TORCH}).")
    return Locked(layers, torch)


def make(tree: Path, show: Show) -> Path:
    """Return the Python of the environment of a tree; make the environment where none was made of the same files.

    The environment that this process runs in is taken if it holds what the files lock.
    Raises ``InputError`` for a tree without its locked files, and for files that cannot be installed; ``Unreachable`` where an index does
    not answer, or asks for a login.
    """
    wanted = locked(tree)
    if _is_this_one(wanted):
        return Path(sys.executable)
    folder = cache() / key(wanted)
    with _alone(folder):
        if not (folder / STAMP).is_file():
            show(f"making the environment of {tree.name[:12]} in {folder}")
            _remove(folder)
            _install(wanted, folder)
            described = {"torch": wanted.torch, "layers": {name: sha256(text) for name, text in wanted.layers.items()}}
            writing.write_text(folder / STAMP, json.dumps(described, indent=2) + "\n")
    return folder / "bin" / "python"


def of_stack(tree: Path, stack: str, python: Path, show: Show) -> Path:
    """Return the Python of the own environment of a stack other than the CPU's, which the tree's own code makes where it is missing.

    ``python`` is that of the tree's environment. Raises the error that the tree's own code ends with.
    """
    pins = moved.leaves(moved.lock_text(tree))
    names = [pins[leaf] for leaf in (f"stacks.{stack}.torch.file", f"stacks.{stack}.requirements.file") if leaf in pins]
    texts = [
        files.read_bytes(tree / name, _MAX_BYTES).decode("utf-8", errors="replace") for name in (LAYERS[0], *names)
    ]
    made_from = sha256("\0".join([*_here(), pins.get(f"stacks.{stack}.python", ""), *texts]))
    folder = cache() / f"{stack}-{made_from[:16]}"
    with _alone(folder):
        command = [str(python), "-m", "tools.stack_environment", stack, str(folder)]
        # its words go to standard error, where people follow gigabytes being fetched
        done = subprocess.run(command, cwd=tree, env=sides.variables(), stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if done.returncode:
        error = by_exit_code(done.returncode)
        raise error(
            f"The environment of the stack {stack} could not be made from {tree.name[:12]}; it is said above why."
        )
    show(f"the stack {stack} of {tree.name[:12]} runs in {folder}")
    return folder / "bin" / "python"


def cache() -> Path:
    """Return the folder that keeps environments; whole ones may be removed at any time, and are made again."""
    base = os.environ.get("XDG_CACHE_HOME")
    home = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return home / "bloomz-bench" / "bump-check"


def key(wanted: Locked) -> str:
    """Return the name of an environment: a hash of the locked files, of this Python, and of the indexes that torch's build comes from."""
    return "env-" + sha256("\0".join([*_here(), wanted.torch, *wanted.layers.values()]))[:16]


def _here() -> list[str]:
    """Return what beside the locked files decides an environment on this host."""
    indexes = sorted(f"{name}={value}" for name, value in pip_settings.install_variables().items())
    given = sorted(
        f"{name}={os.environ[name]}" for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS") if name in os.environ
    )
    return [platform.python_version(), platform.machine(), os.path.realpath(sys.executable), *indexes, *given]


def _is_this_one(wanted: Locked) -> bool:
    """Return whether the environment of this process holds every package that is locked, in its version."""
    if sys.prefix == sys.base_prefix:
        return False
    here: Mapping[str, str] = {name: str(value) for name, value in default_environment().items()}
    try:
        if release(importlib.metadata.version("torch")) != release(wanted.torch):
            return False
        return all(
            importlib.metadata.version(pin.name) == pin.version
            for name, text in wanted.layers.items()
            for pin in requirements.read(text, name)
            if requirements.serves(pin, here)
        )
    except importlib.metadata.PackageNotFoundError:
        return False


def _install(wanted: Locked, folder: Path) -> None:
    """Make the environment, without its stamp. Raises as ``make`` does."""
    # without pip: no file of this Python's own comes in, and the locked pip is a package of the first layer
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        raise Unsupported(f"{sys.executable} cannot make an environment: {printable(done.stderr, 300)}.")
    tools, host, stack = LAYERS
    with tempfile.TemporaryDirectory() as scratch:
        checked = ["--require-hashes", "--no-deps"]
        first = [option for name in (tools, host) for option in ("-r", _written(scratch, name, wanted.layers[name]))]
        _uv(folder, [*checked, "--only-binary", ":all:", *first])
        # by version alone, as the Makefile has it: every index carries its own build of torch
        _uv(folder, [f"torch=={wanted.torch}"])
        pins = requirements.read(wanted.layers[stack], stack)
        is_source = [pin.name in requirements.SOURCE_ONLY for pin in pins]
        wheels, sources = (
            "".join(pin.text for pin, source in zip(pins, is_source, strict=True) if source is kind)
            for kind in (False, True)
        )
        _uv(folder, [*checked, "--only-binary", ":all:", "-r", _written(scratch, "wheels.txt", wheels)])
        if sources:
            # a wheel in uv's cache may have been built beside another torch
            built = ["--no-cache", "--no-build-isolation", "--no-binary", ":all:"]
            _uv(folder, [*checked, *built, "-r", _written(scratch, "sources.txt", sources)])


def _uv(folder: Path, arguments: list[str]) -> None:
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--no-config",
        "--quiet",
        "--python",
        str(folder / "bin" / "python"),
    ]
    programs.run(
        [*command, *arguments],
        f"the environment in {folder}",
        timeout_s=programs.DOWNLOAD_S,
        # as the Makefile has it: DeepSpeed compiles no kernel, and lists its extras out of a set in the order of the hash
        environment={
            **pip_settings.install_variables(),
            "UV_NO_PROGRESS": "1",
            "DS_BUILD_OPS": "0",
            "PYTHONHASHSEED": "0",
        },
        meanings=_MEANINGS,
    )


def _written(scratch: str, name: str, text: str) -> str:
    path = Path(scratch) / Path(name).name
    path.write_text(text, encoding="utf-8")
    return str(path)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as problem:
        raise InputError(
            f"{folder} cannot be removed: {problem.strerror}. Remove it, and run the same again."
        ) from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process makes the environment of this folder, and keep others waiting while the block runs."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f"{folder.name}.lock").open("w")
    except OSError as problem:
        raise InputError(
            f"{folder.parent} cannot keep an environment: {files.reason(problem)}. Name another place in XDG_CACHE_HOME."
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sha256(text: str) -> str:
    """Return the hex sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def main(arguments: list[str]) -> int:
    """Make the environment of the tree that the one argument names, and print its Python: ``python -m ... TREE``."""
    try:
        print(make(Path(arguments[0]).resolve(), lambda text: print(text, file=sys.stderr, flush=True)))
    except KitError as error:
        print(f"bump-check: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
