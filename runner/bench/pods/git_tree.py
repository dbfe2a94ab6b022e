"""Fetch the files of a pinned commit with the base's git, and compare them with the commit's tree, without git.

The lock pins a commit, which names its tree by a hash; the tree names every file. So files of a folder can be compared with the
lock wherever they come from. Source: git's "Git Objects" (gitformat-pack(5), git-cat-file(1)).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import subprocess
import tempfile
from typing import Mapping, NamedTuple

from runner.contract.errors import DoesNotFit, InputError, PublishFailed, Unreachable, Unsupported
from runner.contract.recipe import PLAIN_ATTRIBUTES, GitSource
from runner.contract.secrets import mask
from runner.contract.text import printable

# As the host's git has it (runner/host/pins/origins/git.py): addresses may not start programs, and nobody is asked for a password.
_ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "https:ssh:file", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "LANGUAGE": "C"}
_COMMITTER = re.compile(rb"^committer .* ([0-9]{1,12}) [+-][0-9]{4}$", re.MULTILINE)
# GNU tar's last line, which tells nothing.
_ENDING = re.compile(r"^tar: (?:Exiting with failure status|Error is not recoverable)")
_TREE = re.compile(rb"tree ([0-9a-f]{40})\n")


class Commit(NamedTuple):
    """A commit: the hash of its tree, and its time in Unix seconds."""

    tree: str
    epoch: int


def fetch(source: GitSource, target: str) -> bytes:
    """Write the files of a commit into the empty folder ``target``, and return the commit as git stores it.

    Raises ``Unsupported`` where the base has no git or tar, ``Unreachable`` where the repository does not answer or lacks the commit,
    ``PublishFailed`` where the files cannot be written, ``DoesNotFit`` where the disk is full.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _git(source, "init", "--quiet", "--bare", scratch)
        _git(
            source,
            "-C",
            scratch,
            "-c",
            "protocol.version=2",
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            source.repository,
            source.commit,
        )
        raw = _git(source, "-C", scratch, "cat-file", "commit", source.commit)
        os.makedirs(os.path.join(scratch, "info"), exist_ok=True)
        with open(os.path.join(scratch, "info", "attributes"), "w", encoding="utf-8") as file:
            file.write(PLAIN_ATTRIBUTES)
        archive = _git(source, "-C", scratch, "-c", "tar.umask=0022", "archive", source.commit)
        _unpack(archive, target, source)
    return raw


def commit(raw: bytes, source: GitSource, where: str) -> Commit:
    """Return what a commit says, as git stores it; ``where`` names it in messages. Raises ``InputError`` for another commit."""
    tree, committer = _TREE.match(raw), _COMMITTER.search(raw)
    if _sha1(b"commit", raw) != source.commit or tree is None or committer is None:
        raise InputError(
            f"{where} is not the commit {source.commit} of {source.repository}. Remove it, and fetch again."
        )
    if tree[1].decode() != source.tree:
        raise InputError(
            f"Commit {source.commit} of {source.repository} has the tree {tree[1].decode()}; versions.lock says {source.tree}."
            " Run `python -m runner lock` to read it again."
        )
    return Commit(source.tree, int(committer[1]))


def refuse_other_files(folder: str, source: GitSource) -> None:
    """Raise ``InputError`` where the files of a folder are not those of the commit's tree."""
    found = tree_of(folder)
    if found != source.tree:
        raise InputError(
            f"The files in {folder} are not those of commit {source.commit} of {source.repository}: their tree is {found}."
            " Remove the folder, and fetch again."
        )


def tree_of(folder: str) -> str | None:
    """Return the hash that git gives to the tree of a folder's files; None for a folder without files, which git does not keep."""
    entries: list[tuple[bytes, bytes, str]] = []
    for entry in os.scandir(folder):
        name = os.fsencode(entry.name)
        if entry.is_symlink():
            entries.append((name, b"120000", _sha1(b"blob", os.fsencode(os.readlink(entry.path)))))
        elif entry.is_dir():
            inner = tree_of(entry.path)
            if inner is not None:
                # git sorts a folder as if its name ended in a slash
                entries.append((name + b"/", b"40000", inner))
        else:
            with open(entry.path, "rb") as file:
                mode = b"100755" if entry.stat().st_mode & 0o100 else b"100644"
                entries.append((name, mode, _sha1(b"blob", file.read())))
    if not entries:
        return None
    lines = (mode + b" " + name.rstrip(b"/") + b"\0" + bytes.fromhex(sha1) for name, mode, sha1 in sorted(entries))
    return _sha1(b"tree", b"".join(lines))


def _sha1(kind: bytes, content: bytes) -> str:
    # git's own name of an object
    return hashlib.sha1(kind + b" %d\0" % len(content) + content).hexdigest()  # noqa: S324


def _git(source: GitSource, *arguments: str) -> bytes:
    done = _run(source, ["git", *arguments])
    if done.returncode != 0:
        raise Unreachable(
            f"{source.repository} did not give commit {source.commit}: {_last_line(done)}. Run the same command again."
        )
    return done.stdout


def _unpack(archive: bytes, target: str, source: GitSource) -> None:
    done = _run(source, ["tar", "-x", "--no-same-owner", "-C", target, "-f", "-"], archive)
    if done.returncode != 0:
        failed = f"The files of {source.repository} cannot be written below {target}: {_last_line(done)}."
        # tar ends with status 2 whatever the reason is
        if os.strerror(errno.ENOSPC).encode() in done.stderr or os.strerror(errno.EDQUOT).encode() in done.stderr:
            raise DoesNotFit(f"{failed} Make the volume larger, and run the same command again.")
        raise PublishFailed(f"{failed} Mend the volume, and run the same command again.")


def _run(source: GitSource, command: list[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, input=given, capture_output=True, env=_environment(os.environ))
    except OSError as problem:
        raise Unsupported(
            f"{command[0]} cannot be run in this base ({problem.strerror}), and {source.repository} is fetched by git and tar. Build the"
            " stack's image instead: `make images`."
        ) from None


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the last line that a program said that tells more than that it ended; its status where there is none."""
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if not _ENDING.search(line)] or lines
    return printable(mask(told[-1]), 300) if told else f"status {done.returncode}"


def _environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    return {**environment, **_ENVIRONMENT}
