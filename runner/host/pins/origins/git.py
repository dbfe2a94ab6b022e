"""Ask git repositories for branches, tags, commits and trees.

Git runs programs that an address names (``ext::``, ``--upload-pack``). So addresses follow ``--end-of-options``, and git may use
https, ssh and folders alone.
"""

from __future__ import annotations

import datetime
import re
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from runner.contract import patterns, recipe
from runner.contract.errors import InputError, Unreachable
from runner.contract.text import printable
from runner.host.pins import programs, silence
from runner.host.pins.programs import DOWNLOAD_S, LOGIN, TIMEOUT_S, Meaning

ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "https:ssh:file", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}

# Where the actions of workflows are: OWNER/NAME is a repository of this forge.
FORGE = "https://github.com"

_MEANINGS = (
    Meaning(
        re.compile(r"not our ref|couldn't find remote ref|no such remote ref|did not receive expected object"),
        InputError,
        "it has no such commit",
    ),
    Meaning(
        re.compile(
            r"could not read (?:Username|Password)|Authentication failed|terminal prompts disabled|Permission denied"
            r"|returned error: 40[137]|Host key verification failed"
        ),
        Unreachable,
        f"{LOGIN}, or the repository is not there",
    ),
    Meaning(
        re.compile(r"[Rr]epository.*not found|does not appear to be a git repository|returned error: (?:404|410)"),
        InputError,
        "there is no such repository",
    ),
    Meaning(re.compile(r"transport '.*' not allowed"), InputError, "git may speak https, ssh and to folders alone"),
)


@dataclass(frozen=True)
class References:
    """The branches and tags of a repository, each with its commit; an annotated tag with the commit that it names."""

    branches: dict[str, str]
    tags: dict[str, str]


def action_repository(name: str) -> str:
    """Return the repository of a workflow's action, such as actions/checkout; the name may go on to a folder in the repository."""
    return f"{FORGE}/{'/'.join(name.split('/')[:2])}"


def branch_commit(repository: str, branch: str) -> str | None:
    """Return the commit that a branch of a repository points to, None where there is no such branch.

    Raises ``InputError`` where there is no such repository, ``Unreachable``.
    """
    output = _ask(repository, "ls-remote", "--end-of-options", repository, f"refs/heads/{branch}")
    commit, _, _ = output.decode().partition("\t")
    if not commit.strip():
        return None
    if not patterns.COMMIT.fullmatch(commit):
        raise Unreachable(f"git, for {repository}: {commit[:60]!r} is no commit")
    return commit


def references(repository: str) -> References:
    """Return the branches and tags of a repository. A name that the lock could not hold is left out.

    Raises ``InputError`` where there is no such repository, ``Unreachable``.
    """
    output = _ask(repository, "ls-remote", "--heads", "--tags", "--end-of-options", repository)
    found = References({}, {})
    peeled: dict[str, str] = {}
    for line in output.decode(errors="replace").splitlines():
        commit, _, reference = line.partition("\t")
        _, table, name = ("", *reference.split("/", 2)[1:]) if reference.count("/") > 1 else ("", "", "")
        if not patterns.COMMIT.fullmatch(commit):
            raise Unreachable(f"git, for {repository}: {printable(commit, 60)!r} is no commit")
        if table == "tags" and name.endswith("^{}"):
            peeled[name.removesuffix("^{}")] = commit
        elif table in ("heads", "tags") and patterns.BRANCH.fullmatch(name):
            (found.branches if table == "heads" else found.tags)[name] = commit
    found.tags.update({name: commit for name, commit in peeled.items() if name in found.tags})
    return found


def commit_day(repository: str, commit: str) -> str:
    """Return the day in UTC of a commit, such as 2026-11-20; only the commit object is fetched.

    Raises ``InputError`` where there is no such commit, ``Unreachable``.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run("init", "--quiet", "--bare", "--end-of-options", folder)
        _ask(repository, "-C", folder, *_fetch("--filter=tree:0", repository, commit))
        printed = _run("-C", folder, "show", "--no-patch", "--format=%ct", "--end-of-options", commit).decode().strip()
    try:
        return datetime.datetime.fromtimestamp(int(printed), datetime.timezone.utc).date().isoformat()
    # a commit may claim any time
    except (ValueError, OverflowError, OSError):
        raise Unreachable(f"git, for {repository}: {printable(printed, 60)!r} is no time of a commit") from None


def commit_tree(repository: str, commit: str) -> str:
    """Return the tree hash of a commit; only the commit object is fetched.

    Raises ``InputError`` where there is no such commit, ``Unreachable``.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run("init", "--quiet", "--bare", "--end-of-options", folder)
        _ask(repository, "-C", folder, *_fetch("--filter=tree:0", repository, commit))
        return _tree(folder, commit)


def export_tree(repository: str | Path, commit: str, tree: str, folder: Path) -> int:
    """Write the files of a commit into ``folder``, and return its time in Unix seconds.

    ``repository`` is an address or a folder; only this commit is fetched. Raises ``InputError`` where there is no such commit,
    or its tree has another hash than ``tree``; ``Unreachable``.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _run("init", "--quiet", "--bare", "--end-of-options", scratch)
        fetch = ("-C", scratch, "-c", "protocol.version=2", *_fetch("--no-tags", str(repository), commit))
        _ask(str(repository), *fetch, timeout_s=DOWNLOAD_S)
        actual = _tree(scratch, commit)
        if actual != tree:
            raise InputError(f"Commit {commit} of {repository} has the tree {actual}; versions.lock says {tree}.")
        (Path(scratch) / "info").mkdir(exist_ok=True)
        (Path(scratch) / "info" / "attributes").write_text(recipe.PLAIN_ATTRIBUTES)
        archive = _run("-C", scratch, "-c", "tar.umask=0022", "archive", "--end-of-options", commit)
        programs.run(["tar", "-x", "--no-same-owner", "-C", str(folder), "-f", "-"], "tar", given=archive)
        return int(_run("-C", scratch, "show", "--no-patch", "--format=%ct", "--end-of-options", commit))


def _fetch(option: str, repository: str, commit: str) -> tuple[str, ...]:
    """Return the words behind ``git`` that fetch one commit."""
    return ("fetch", "--quiet", "--depth=1", option, "--end-of-options", repository, commit)


def _tree(folder: str, commit: str) -> str:
    return _run("-C", folder, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").decode().strip()


def _ask(repository: str, *arguments: str, timeout_s: float = TIMEOUT_S) -> bytes:
    """Return what git prints that asks a repository. Raises ``InputError``, ``Unreachable``."""
    parts = urllib.parse.urlsplit(repository)
    with silence.asking(
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else repository
    ) as first_s:
        if first_s is not None:
            short = ["git", "ls-remote", "--end-of-options", repository, "HEAD"]
            programs.knock(short, f"git, for {repository}", first_s, ENVIRONMENT)
        return programs.run(
            ["git", *arguments],
            f"git, for {repository}",
            timeout_s=timeout_s,
            environment=ENVIRONMENT,
            meanings=_MEANINGS,
        )


def _run(*arguments: str) -> bytes:
    """Return what git prints that reaches no network."""
    return programs.run(["git", *arguments], "git", environment=ENVIRONMENT)
