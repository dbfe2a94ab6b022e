"""Find the commit that a head is compared with, in a clone with its whole history."""

from __future__ import annotations

from pathlib import Path

from runner.contract.errors import InputError
from runner.contract.text import printable
from tools.workflow.change import GitFailed, git


def commit(root: Path, ref: str, branch_point: bool) -> str:
    """Return the commit of a branch, tag or commit; a branch may be one of the remote alone, as in the clone of a job.

    With ``branch_point``, return the commit where HEAD left it: what others merged since is no part of what HEAD changes. Raises
    ``InputError`` for a name that is not here, and for a history without a common commit.
    """
    found = next((one for name in (ref, f"origin/{ref}") if (one := _commit(root, name)) is not None), None)
    if found is None:
        raise InputError(
            f"{printable(ref, 100)!r} is no branch, tag or commit of this clone. Name another one to compare with."
        )
    if not branch_point:
        return found
    try:
        return git(root, "merge-base", "HEAD", found).decode().strip()
    except GitFailed:
        raise InputError(
            f"HEAD and {printable(ref, 100)} have no commit in common here. Fetch the whole history: fetch-depth: 0."
        ) from None


def _commit(root: Path, name: str) -> str | None:
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().strip()
    except GitFailed:
        return None
