"""Export the tree of a commit, or of the working tree as it is now, into a folder of its own.

git writes the files of a tree through an index of its own, which is no checkout that git remembers: nothing in the repository's own
index, branches or list of work trees changes. An exported tree lies in a folder of its hash, so that the same tree is exported once. A
tree that anybody changed there is exported anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.contract.errors import InputError, Unsupported, UsageError
from runner.contract.text import first_line, printable
from runner.host import paths

# A git object's name: SHA-1 or SHA-256.
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

# The name of a folder that is being exported begins so; a whole tree is renamed.
_EXPORTING = ".exporting-"


@dataclass(frozen=True)
class Commit:
    """A commit that a person named: ``ref`` as given, the hashes of ``commit`` and ``tree``, and the first line of its message."""

    ref: str
    commit: str
    tree: str
    subject: str


def of_commit(ref: str, folder: Path, root: Path = paths.ROOT) -> Path:
    """Export the tree of a commit into ``folder``, and return the folder of the tree, which its hash names.

    Raises ``InputError`` for a ref that is not here, ``Unsupported`` without git.
    """
    return export(commit(ref, root).tree, folder, root)


def of_working_tree(folder: Path, root: Path = paths.ROOT) -> Path:
    """Export the files of the working tree as they are now, and return the folder of the tree.

    Uncommitted changes and new files belong to the tree; what git ignores does not, nor does the environment that this process runs in.
    Later changes of the working tree change nothing there.
    """
    return export(working_tree(folder, root), folder, root)


def commit(ref: str, root: Path = paths.ROOT) -> Commit:
    """Return the commit that a ref names. Raises ``InputError`` for a ref that is not here, and says how to get it."""
    _refuse_no_repository(root)
    if not ref or ref.startswith("-"):
        raise UsageError(f"{printable(ref, 100)!r} is no name of a branch, tag or commit.")
    found = _git(root, ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"])
    if found.returncode:
        raise InputError(f"{printable(ref, 100)} is no branch, tag or commit here. {_how_to_get(ref, root)}")
    name = found.stdout.strip()
    tree = _asked(root, ["rev-parse", "--verify", f"{name}^{{tree}}"])
    return Commit(ref, name, tree, _asked(root, ["log", "-1", "--format=%s", name]))


def uncommitted(root: Path = paths.ROOT) -> list[str]:
    """Return the paths of the working tree that are not as HEAD has them, new files among them."""
    _refuse_no_repository(root)
    lines = _asked(root, ["status", "--porcelain", "-z", "--no-renames", "--", ".", *_left_out(root)]).split("\0")
    return [line[3:] for line in lines if line]


def changed(before: str, after: str, folder: Path, root: Path = paths.ROOT) -> list[str]:
    """Return the paths of the files that differ between two trees, whose objects may lie in ``folder``."""
    words = ["diff-tree", "-r", "-z", "--no-renames", "--name-only", before, after]
    return [name for name in _asked(root, words, _objects(folder, root)).split("\0") if name]


def working_tree(folder: Path, root: Path = paths.ROOT) -> str:
    """Return the hash of the tree that the working tree would be if it were committed now. The repository stays as it is.

    The objects that git makes for that go into ``folder``.
    """
    _refuse_no_repository(root)
    with tempfile.TemporaryDirectory() as scratch:
        variables = {**_objects(folder, root), "GIT_INDEX_FILE": str(Path(scratch) / "index")}
        if _git(root, ["rev-parse", "--verify", "--quiet", "HEAD"]).returncode == 0:
            _asked(root, ["read-tree", "HEAD"], variables)
        _asked(root, ["add", "--all", "--", ".", *_left_out(root)], variables)
        return _asked(root, ["write-tree"], variables)


def export(tree: str, folder: Path, root: Path = paths.ROOT) -> Path:
    """Write the files of a tree into the folder of its hash below ``folder``, unless they are there, and return that folder."""
    assert _HASH.fullmatch(tree), tree
    target = folder / tree
    variables = _objects(folder, root)
    with tempfile.TemporaryDirectory(dir=folder, prefix=_EXPORTING) as scratch:
        variables["GIT_INDEX_FILE"] = str(Path(scratch) / "index")
        _asked(root, ["read-tree", tree], variables)
        if target.is_dir() and not _changed(target, root, variables):
            return target
        remove(target)
        files = Path(scratch) / "files"
        files.mkdir()
        _asked(root, ["checkout-index", "--all", "--quiet", f"--prefix={files}/"], variables)
        files.rename(target)
    return target


def sweep(folder: Path) -> None:
    """Remove what exports that were killed left in ``folder``. The caller keeps other exports out of the folder."""
    for left in folder.glob(f"{_EXPORTING}*"):
        shutil.rmtree(left, ignore_errors=True)


def remove(target: Path) -> None:
    """Remove an exported tree. Raises ``InputError`` for a folder that is none, by its name, and where it cannot be removed."""
    if not _HASH.fullmatch(target.name) or target.is_symlink():
        raise InputError(f"{target} is no exported tree, and stays.")
    try:
        shutil.rmtree(target)
    except FileNotFoundError:
        return
    except OSError as problem:
        raise InputError(
            f"{target} cannot be removed: {problem.strerror}. Remove it, and run the same again."
        ) from None


def _changed(target: Path, root: Path, variables: Mapping[str, str]) -> bool:
    """Return whether a file of an exported tree was changed, lost, or added to it; what its own .gitignore names may come."""
    there = {**variables, "GIT_DIR": _asked(root, ["rev-parse", "--absolute-git-dir"]), "GIT_WORK_TREE": str(target)}
    _git(target, ["update-index", "-q", "--refresh"], there)
    changed = _git(target, ["diff-files", "--name-only"], there)
    added = _git(target, ["ls-files", "--others", "--exclude-standard"], there)
    return bool(changed.returncode or added.returncode or changed.stdout or added.stdout)


def _objects(folder: Path, root: Path) -> dict[str, str]:
    """Return the variables by which git reads the repository's objects and writes new ones into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    here = folder / "objects"
    here.mkdir(exist_ok=True)
    shared = _asked(root, ["rev-parse", "--path-format=absolute", "--git-path", "objects"])
    # a list of folders with a colon between them, unless a folder stands in quotes
    quoted = shared.replace("\\", "\\\\").replace('"', '\\"')
    return {"GIT_OBJECT_DIRECTORY": str(here.resolve()), "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"'}


def _left_out(root: Path) -> list[str]:
    """Return the pathspec that leaves out the environment of this process where it lies in the tree."""
    prefix = Path(sys.prefix)
    if not prefix.is_relative_to(root) or prefix == root:
        return []
    inside = str(prefix.relative_to(root))
    # git refuses to leave out what it ignores anyway
    return (
        [] if _git(root, ["check-ignore", "--quiet", "--", inside]).returncode == 0 else [f":(exclude,literal){inside}"]
    )


def _refuse_no_repository(root: Path) -> None:
    top = _git(root, ["rev-parse", "--show-toplevel"])
    if top.returncode:
        raise UsageError(f"{root} is no git repository ({first_line(top.stderr)}). Run this in a clone of the kit.")
    if Path(top.stdout.strip()).resolve() != root.resolve():
        raise UsageError(
            f"{root} lies inside another git repository, {printable(top.stdout.strip(), 200)}. Clone the kit apart."
        )


def _how_to_get(ref: str, root: Path) -> str:
    """Return the sentence that says how a missing ref comes here."""
    if _git(root, ["rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{ref}^{{commit}}"]).returncode == 0:
        return f"origin has it: name origin/{printable(ref, 100)}."
    if _git(root, ["rev-parse", "--is-shallow-repository"]).stdout.strip() == "true":
        return "This clone is shallow: run `git fetch --unshallow origin`, or let the checkout fetch everything (fetch-depth: 0)."
    return "Run `git fetch origin`, and name it as `git branch --all` or `git tag` shows it."


def _asked(folder: Path, arguments: Sequence[str], more: Mapping[str, str] | None = None) -> str:
    """Return what git prints, without the last line break. Raises ``InputError`` with git's words where git fails."""
    done = _git(folder, arguments, more)
    if done.returncode:
        raise InputError(f"git {arguments[0]} failed in {folder}: {first_line(done.stderr)}.")
    return done.stdout.removesuffix("\n")


def _git(
    folder: Path, arguments: Sequence[str], more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    # a hook of git hands its own index and folders to what it starts
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            stdin=subprocess.DEVNULL,
            env={**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **(more or {})},
        )
    except OSError as problem:
        raise Unsupported(f"git cannot be run: {problem.strerror}. Install it.") from None
