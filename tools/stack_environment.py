"""Make the own environment of a stack on this host: ``python -m tools.stack_environment STACK FOLDER``.

The stack is installed from its hash-locked files, torch included, as ``images/install.sh`` installs it in an image: wheels first, then
what has no wheel, built beside the stack's torch by its own setuptools without a kernel compiled. An environment that was made from the
same files is left as it is.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.contract.errors import Interrupted, KitError, Unreachable, Unsupported, UsageError
from runner.host import paths
from runner.host.readers import lockfile
from runner.host.readers.lockfile import Lock, PinnedStack, RequirementsFile
from runner.host.stacks import agreement, prerequisites, requirements
from runner.host.stacks.prerequisites import Lacking

# The file that says from which bytes an environment was made. It is written last.
STAMP = "made-from"

# How long a Python may take to say what it is.
_ANSWER_S = 20.0


def main(arguments: Sequence[str]) -> int:
    """Make the environment where it is missing or of other files; return the exit code."""
    name, folder = arguments
    try:
        make(lockfile.read(), name, Path(folder), os.environ)
    except KitError as error:
        print(f"make: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("make: stopped. The environment is made anew by the next `make bench`.", file=sys.stderr)
        return Interrupted.exit_code
    return 0


def make(lock: Lock, name: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Make the environment of a stack in ``folder``, unless it was made from the same files.

    Raises ``UsageError`` for an unknown stack, ``Unsupported`` for one that no host can have and where Python or a compiler is missing,
    ``InputError`` where a locked file was changed, and ``Unreachable`` where pip could not install a file.
    """
    if name not in lock.stacks:
        raise UsageError(f"versions.lock has no stack {name}. Known are {', '.join(lock.stacks)}.")
    stack = lock.stacks[name]
    if not stack.runs_on_host or stack.torch is None:
        raise Unsupported(f"The stack {name} lives in an image alone. Run its cases with the target bench-container.")
    made_from = inputs(stack, stack.torch, lock.requirements["build"])
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == made_from:
        return
    python = _python_of(stack, environment)
    _say(f"making the environment of the stack {name} in {folder}, with {python}")
    _install(stack, stack.torch, lock.requirements["build"], folder, python)
    stamp.write_text(made_from, encoding="utf-8")


def inputs(stack: PinnedStack, torch: RequirementsFile, build: RequirementsFile) -> str:
    """Return the sha256 of all that decides an environment. Raises ``InputError`` where a locked file was changed."""
    texts = [agreement.locked_text(entry) for entry in (build, torch, stack.requirements)]
    return hashlib.sha256("\0".join([stack.python, *texts]).encode()).hexdigest()


def _python_of(stack: PinnedStack, environment: Mapping[str, str]) -> str:
    """Return the Python to make an environment with. Raises ``Unsupported`` where Python or a compiler is missing."""
    python = prerequisites.find_python(stack.python, environment, _ANSWER_S)
    if isinstance(python, Lacking):
        raise Unsupported(" ".join(python))
    lacking = prerequisites.lacking_compiler(stack, environment)
    if lacking is not None:
        raise Unsupported(" ".join(lacking))
    return python


def _install(stack: PinnedStack, torch: RequirementsFile, build: RequirementsFile, folder: Path, python: str) -> None:
    """Make the environment anew. Raises ``Unsupported`` for a Python without venv, ``Unreachable`` where pip fails."""
    # What is there was made from other files, or was not finished.
    (folder / STAMP).unlink(missing_ok=True)
    if _status([python, "-m", "venv", "--clear", str(folder)]):
        raise Unsupported(
            f"{python} cannot make an environment, and says above why. Debian has venv in a package of its own."
        )
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    locked = [*pip, "install", "--require-hashes", "--no-deps"]
    _run([*locked, "--quiet", "--only-binary", ":all:", "-r", str(paths.ROOT / build.file)])
    index = ["--index-url", torch.index] if torch.index else []
    # torch 2.13.0 with its CUDA libraries was 2.6 GB of wheels, and 5.2 GB on the disk
    _say("installing torch and what it brings: about 3 GB to fetch, and 5 GB on the disk")
    _run([*locked, *index, "--only-binary", ":all:", "-r", str(paths.ROOT / torch.file)])
    pins = requirements.read(agreement.locked_text(stack.requirements), stack.requirements.file)
    # A wheel in pip's cache may have been built beside another torch.
    of_sources = ["--no-cache-dir", "--no-build-isolation", "--no-binary"]
    for is_source, how in ((False, ["--only-binary"]), (True, of_sources)):
        part = [pin.text for pin in pins if (pin.name in requirements.SOURCE_ONLY) is is_source]
        if part:
            file = folder / ("sources.txt" if is_source else "wheels.txt")
            file.write_text("".join(part), encoding="utf-8")
            _say(f"installing {len(part)} packages{' from their sources' if is_source else ''}")
            _run([*locked, *how, ":all:", "-r", str(file)])


def _run(command: Sequence[str]) -> None:
    """Run pip. Raises ``Unreachable`` where it fails."""
    status = _status(command)
    if status:
        raise Unreachable(
            f"pip failed with status {status}, and says above why. Run the same command again: what was fetched is kept in pip's cache."
        )


def _status(command: Sequence[str]) -> int:
    """Run a program, its output on standard error: the Makefile's own output is that of the comparison. Return its status."""
    # as install.sh has it: DeepSpeed compiles no kernel, and lists its extras out of a set in the order of the hash
    environment = {**os.environ, "DS_BUILD_OPS": "0", "PYTHONHASHSEED": "0"}
    for name in ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"):
        environment.pop(name, None)
    return subprocess.run(command, stdout=sys.stderr, env=environment).returncode


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
