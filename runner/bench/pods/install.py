"""The verb ``install``: make the environment of a stack in a pod, from what the verb ``packages`` downloaded, without a network.

The script that installs is the one that an image's build runs, and reads a folder like that of an image's build. What runs as code,
pip and what is built from git, is copied and compared before; pip compares every other file.
"""

from __future__ import annotations

import argparse
import collections
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Mapping, Sequence

from runner.bench.facts import inventory
from runner.bench.pods import git_tree, package_folder, packages, pip_client
from runner.bench.pods.package_folder import Locked, PackageFolder
from runner.contract import arguments as flag_types
from runner.contract import progress, signals
from runner.contract import recipe as recipes
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError, KitError, PublishFailed, Unsupported
from runner.contract.progress import Step, Task
from runner.contract.recipe import Recipe
from runner.contract.text import printable

_POLL_S = 5
# Lines of the script that are looked through for the reason of its end.
_LAST_LINES = 30


@dataclass(frozen=True)
class Installed(Event, word="installed"):
    """The environment of a stack was made."""

    stack: str = field(metadata=fact("name of the stack"))
    environment: str = field(metadata=fact("folder of the environment"))
    seconds: float = field(metadata=fact("time of the installation, without the wait"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    flags = verb_parser(
        "install",
        description="Make the environment of a stack from what the verb packages downloaded. No network is asked; the hash of every file is"
        " compared. What a try before left in the environment is removed.",
    )
    packages.add_places(flags)
    flags.add_argument("--environment", required=True, metavar="FOLDER", help="where the environment goes: /opt/bench")
    flags.add_argument(
        "--wait-s",
        type=flag_types.seconds,
        default=0,
        metavar="SECONDS",
        help="how long to wait for the packages (default 0)",
    )
    add_json(flags, "the environment that was made")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Wait for the packages, install them, and return 0.

    Raises ``UnresolvedPin`` before it waits; ``InputError`` where the packages do not come or were changed, ``Unsupported`` where the
    base is not what the stack needs or the script fails, ``PublishFailed`` where the disk fails.
    """
    # As the first process of a pod this one would not end by SIGTERM, and hold devices for the whole grace.
    with signals.as_interrupt():
        return _run(parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    recipe = recipes.read(options.recipe)
    recipe.refuse_unresolved()
    package_folder.refuse_python(recipe)
    locked = package_folder.locked(recipe, options.recipe)
    folder = PackageFolder(options.packages, recipe)
    task = progress.begin(recipe.stack, functools.partial(packages.show, recipe.stack))
    _wait(folder, options.wait_s, task)
    began_s = time.monotonic()
    umask = os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as context:
            fill(context, options.recipe, folder, locked)
            _keep_base(recipe, options.recipe)
            task.line("installing, which takes one to a few minutes")
            task.update(Step("installing"))
            _install(recipe, options.recipe, context, options.environment)
    except OSError as problem:
        raise package_folder.disk_problem(problem, options.environment) from None
    finally:
        os.umask(umask)
    seconds = time.monotonic() - began_s
    task.line(f"installed in {options.environment} in {seconds:.0f} s")
    task.end()
    Announcer(options.json).announce(Installed(recipe.stack, options.environment, round(seconds, 1)))
    return 0


def _wait(folder: PackageFolder, timeout_s: float, task: Task) -> None:
    """Wait until a folder is complete. Raises ``InputError`` when ``timeout_s`` seconds are over."""
    deadline = time.monotonic() + timeout_s
    if not folder.is_complete() and timeout_s:
        task.line(f"waiting at most {timeout_s:.0f} s for {folder.marker}; devices are held meanwhile")
        task.update(Step("waiting for the packages"))
    while not folder.is_complete():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            stack = folder.recipe.stack
            raise InputError(
                f"The packages of {stack} are not whole in {folder.path} after {timeout_s:.0f} s. See the log of the Job that fetches"
                " them (kubectl logs -l app.kubernetes.io/component=packages), and start again when it is done."
            )
        time.sleep(min(_POLL_S, left_s))


def fill(context: str, recipe_folder: str, folder: PackageFolder, locked: Locked) -> None:
    """Make of a folder of packages the folder that install.sh reads: ``context``, which nobody else writes to.

    Raises ``InputError`` for a tool or source that is not the pinned one.
    """
    recipe = folder.recipe
    shutil.copytree(folder.tools, os.path.join(context, "tools"))
    for name in ("pip", "wheel"):
        pip_client.tool(os.path.join(context, "tools"), name, locked.tools)
    # pip compares each file as it installs the file
    os.symlink(os.path.abspath(folder.wheels), os.path.join(context, "wheels"))
    os.symlink(os.path.abspath(os.path.join(recipe_folder, "programs")), os.path.join(context, "programs"))
    epochs = {}
    os.mkdir(os.path.join(context, "sources"))
    for name, source in recipe.sources.items():
        place = os.path.join(context, "sources", name)
        shutil.copytree(folder.source(name), place, symlinks=True)
        raw = package_folder.read_commit(folder.commit(name))
        epochs[name] = git_tree.commit(raw, source, folder.commit(name)).epoch
        git_tree.refuse_other_files(place, source)
    os.mkdir(os.path.join(context, "requirements"))
    texts = {
        "wheels.txt": "".join(pin.text for pin in locked.named(recipe, from_source=False)),
        "sources.txt": "".join(pin.text for pin in locked.named(recipe, from_source=True)),
        "git.txt": recipes.git_text(recipe.sources, epochs),
        "programs.txt": recipes.programs_text(recipe.programs),
    }
    for name, text in texts.items():
        _write(os.path.join(context, "requirements", name), text)


def _keep_base(recipe: Recipe, recipe_folder: str) -> None:
    """Write the list of the base's packages beside the recipe's folder, as an image's build does, where the stack uses some.

    Raises ``Unsupported`` where the lock knows the list and the base's is another.
    """
    if recipe.base_inventory is None:
        return
    text = recipes.inventory_text(inventory.listing())
    if not recipes.is_pinned(recipe.base_inventory, text):
        raise Unsupported(
            f"The packages of {recipe.stack}'s base are not those that versions.lock lists by their hash. Pull the base that is pinned."
        )
    _write(os.path.join(os.path.dirname(os.path.abspath(recipe_folder)), "base.json"), text)


def _install(recipe: Recipe, recipe_folder: str, context: str, environment: str) -> None:
    """Run install.sh, its lines on standard error. Raises ``Unsupported`` or ``PublishFailed`` with the line that says why it failed."""
    command = ["sh", os.path.join(os.path.abspath(recipe_folder), "install.sh"), *recipe.install_arguments]
    process = subprocess.Popen(
        command,
        cwd="/",
        env=_variables(os.environ, context, environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    last: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            print(printable(line.rstrip()), file=sys.stderr, flush=True)
            last.append(line.strip())
    if process.returncode != 0:
        raise _failure(recipe.stack, process.returncode, [line for line in last if line], environment)


def _variables(given: Mapping[str, str], context: str, environment: str) -> Mapping[str, str]:
    """Return the variables of install.sh. The user's settings of pip are for downloads: no index is asked here."""
    own = {name: value for name, value in given.items() if not name.startswith("PIP_")}
    return {
        **own,
        "PIP_CONFIG_FILE": os.devnull,
        "BLOOMZ_BENCH_CONTEXT": context,
        "BLOOMZ_BENCH_ENVIRONMENT": environment,
    }


def _failure(stack: str, status: int, last: Sequence[str], environment: str) -> KitError:
    full = next((line for line in last if "No space left on device" in line or "Disk quota exceeded" in line), None)
    if full is not None:
        return PublishFailed(
            f"The stack {stack} does not fit {environment}, or /tmp: {printable(full, 300)}. Give the volume more, and start again."
        )
    said = [line for line in last if line.startswith("ERROR:")] or last
    reason = printable(said[-1], 300) if said else f"status {status}"
    return Unsupported(
        f"The stack {stack} could not be installed on this base: {reason} (install.sh ended with status {status}). Its lines stand above."
        " Where a file is damaged, run the Job packages-SET-STACK again: the Job compares every file, and fetches what is damaged."
    )


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
