"""The verb ``packages``: download onto a volume what a stack is installed from, and compare every file with its pin.

It runs in the stack's base, whose Python and C library decide which files serve. Nothing that comes is run or built, but the pinned
pip, whose hash is compared first. The marker is written last.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Iterator, Sequence

from runner.bench.pods import git_tree, package_folder, pip_client
from runner.bench.pods.package_folder import Locked, PackageFolder
from runner.contract import progress, signals
from runner.contract import recipe as recipes
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError
from runner.contract.progress import Step, Task
from runner.contract.recipe import GitSource
from runner.contract.requirements import Requirement
from runner.contract.text import printable

# The beginning of the name of a folder for temporary files; a younger one may be another pod's.
_SCRATCH, _ABANDONED_AFTER_S = ".scratch-", 3600


@dataclass(frozen=True)
class PackagesComplete(Event, word="packages"):
    """Everything that a stack is installed from was compared, and lies on the volume."""

    stack: str = field(metadata=fact("name of the stack"))
    folder: str = field(metadata=fact("folder of the files"))
    files: int = field(metadata=fact("number of wheels and source distributions"))
    bytes: int = field(metadata=fact("their size"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    flags = verb_parser(
        "packages",
        description="Download what a stack is installed from: its locked wheels and source distributions, and the commits that it is"
        " built from. Every file is compared with its pin; whole files of an attempt before stay. pip's settings and variables"
        " (PIP_INDEX_URL, proxies, certificates) hold.",
    )
    add_places(flags)
    add_json(flags, "the folder that is whole")
    return flags


def add_places(flags: argparse.ArgumentParser) -> None:
    """Add the flags that name a recipe and a volume of packages."""
    flags.add_argument("--recipe", required=True, metavar="FOLDER", help="the folder of the stack's recipe.json")
    flags.add_argument("--packages", required=True, metavar="FOLDER", help="the volume that holds packages of stacks")


def main(arguments: Sequence[str]) -> int:
    """Download what is not there yet, and return 0. Raises as ``fetch`` does, and ``UnresolvedPin`` before anything is asked."""
    # As the first process of a pod this one would not end by SIGTERM, and hold the volume for the whole grace.
    with signals.as_interrupt():
        return _run(parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    recipe = recipes.read(options.recipe)
    recipe.refuse_unresolved()
    package_folder.refuse_python(recipe)
    folder = PackageFolder(options.packages, recipe)
    task = progress.begin(recipe.stack, functools.partial(show, recipe.stack))
    is_marked = folder.is_complete()
    locked = package_folder.locked(recipe, options.recipe)
    try:
        if not is_marked or not still_whole(folder, locked, task):
            with _scratch_on(folder):
                fetch(folder, locked, task)
    except OSError as problem:
        raise package_folder.disk_problem(problem, folder.path) from None
    task.line(f"complete in {folder.path}")
    task.end()
    files = len(os.listdir(folder.wheels))
    Announcer(options.json).announce(PackagesComplete(recipe.stack, folder.path, files, folder.size_bytes()))
    return 0


def show(stack: str, text: str) -> None:
    """Print one line of progress on standard error."""
    print(f"[{stack}] {printable(text)}", file=sys.stderr, flush=True)


def still_whole(folder: PackageFolder, locked: Locked, task: Task) -> bool:
    """Compare the files of a folder that was marked, and return whether all are right; where not, unmark the folder.

    No network is asked. Raises ``OSError``.
    """
    task.update(Step("comparing"))
    if not _is_whole(folder, locked):
        task.line(f"what lies in {folder.path} is not all that is locked; what is missing or damaged is fetched again")
        # nothing may be installed from the folder meanwhile
        folder.unmark()
        return False
    return True


def _is_whole(folder: PackageFolder, locked: Locked) -> bool:
    if not pip_client.has_tools(folder.tools, locked.tools):
        return False
    present = folder.present()
    with pip_client.opened(pip_client.tool(folder.tools, "pip", locked.tools), None):
        served = [pin for pins in locked.files.values() for pin in pins if pip_client.serves(pin)]
    # an install takes whatever lies there and has a locked hash
    is_there = all(present.keys() & pin.hashes for pin in served)
    is_known = all(any(sha256 in pin.hashes for pin in served) for sha256 in present)
    return is_there and is_known and all(_has_source(folder, *named) for named in folder.recipe.sources.items())


def fetch(folder: PackageFolder, locked: Locked, task: Task) -> None:
    """Fetch and compare all that is missing in a folder, and mark the folder.

    Raises ``Unreachable`` where an index or repository does not give a file, or gives another, ``Unsupported`` where the base lacks
    what fetches, ``PublishFailed`` and ``OSError`` where the disk fails.
    """
    for name in ("tools", "wheels", "sources", "commits"):
        os.makedirs(folder.part(name), exist_ok=True)
    if not pip_client.has_tools(folder.tools, locked.tools):
        _empty(folder.tools)
        task.update(Step("fetching pip"))
        pip_client.fetch_tools(locked.tools, folder.tools)
    _fetch_files(folder, locked, pip_client.tool(folder.tools, "pip", locked.tools), task)
    for name, source in folder.recipe.sources.items():
        _fetch_source(folder, name, source, task)
    folder.complete()


def _fetch_files(folder: PackageFolder, locked: Locked, pip: str, task: Task) -> None:
    recipe, present = folder.recipe, folder.present()
    number, wanted = 0, set()
    with pip_client.opened(pip, None):
        served = {file: [pin for pin in pins if pip_client.serves(pin)] for file, pins in locked.files.items()}
    total = sum(len(pins) for pins in served.values())
    for file, pins in served.items():
        with pip_client.opened(pip, file.index) as index:
            for pin in pins:
                number += 1
                path = next((present[sha256] for sha256 in sorted(pin.hashes) if sha256 in present), None)
                if path is None:
                    path = _fetch_file(index, pin, pin.name in recipe.source_only, folder, f"{number}/{total}", task)
                wanted.add(path)
    # an install takes whatever lies here and has a locked hash; a file of an attempt before may have none
    for path in set(present.values()) - wanted:
        os.unlink(path)


def _fetch_file(
    index: pip_client.Index, pin: Requirement, from_source: bool, folder: PackageFolder, place: str, task: Task
) -> str:
    found = index.find(pin, from_source)

    def came(done_bytes: int, of_bytes: int | None) -> None:
        task.update(Step(f"fetching {place} {found.name}", done_bytes, of_bytes, "bytes"))

    path = index.fetch(found, folder.wheels, came)
    task.line(f"{place} {found.name} is whole, {os.path.getsize(path) / 1e6:.1f} MB")
    return path


def _fetch_source(folder: PackageFolder, name: str, source: GitSource, task: Task) -> None:
    """Fetch the files of a commit, compare them with its tree, and keep the commit itself beside them."""
    if _has_source(folder, name, source):
        return
    place, raw_path = folder.source(name), folder.commit(name)
    task.update(Step(f"fetching the source of {name}"))
    # both go to their places whole, the commit last: where it lies, the files lie too
    with tempfile.TemporaryDirectory() as scratch:
        files, commit = os.path.join(scratch, "files"), os.path.join(scratch, "commit")
        os.mkdir(files)
        raw = git_tree.fetch(source, files)
        git_tree.commit(raw, source, f"what {source.repository} gave")
        git_tree.refuse_other_files(files, source)
        with open(commit, "wb") as file:
            file.write(raw)
        shutil.rmtree(place, ignore_errors=True)
        os.rename(files, place)
        os.replace(commit, raw_path)
    task.line(f"the source of {name} is whole: commit {source.commit} of {source.repository}")


def _has_source(folder: PackageFolder, name: str, source: GitSource) -> bool:
    """Return whether the files of a commit lie in a folder, and the commit itself, and both are right."""
    with contextlib.suppress(InputError, FileNotFoundError):
        git_tree.commit(package_folder.read_commit(folder.commit(name)), source, folder.commit(name))
        git_tree.refuse_other_files(folder.source(name), source)
        return True
    return False


@contextlib.contextmanager
def _scratch_on(folder: PackageFolder) -> Iterator[None]:
    """Let everything temporary lie on the volume: torch alone has more bytes than /tmp of a pod, and a rename needs one volume."""
    os.makedirs(folder.path, exist_ok=True)
    for name in os.listdir(folder.path):
        path = folder.part(name)
        if name.startswith(_SCRATCH) and time.time() - os.path.getmtime(path) > _ABANDONED_AFTER_S:
            shutil.rmtree(path, ignore_errors=True)
    before, umask = os.environ.get("TMPDIR"), os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder.path) as scratch:
            os.environ["TMPDIR"] = tempfile.tempdir = scratch
            yield
    finally:
        tempfile.tempdir = None
        os.umask(umask)
        os.environ.pop("TMPDIR", None)
        if before is not None:
            os.environ["TMPDIR"] = before


def _empty(folder: str) -> None:
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
