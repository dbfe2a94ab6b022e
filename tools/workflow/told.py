"""The title and the text of a bump's pull request, from what the bump changed: versions.lock and the changelog."""

from __future__ import annotations

import re
from pathlib import Path

from runner.contract.secrets import mask
from runner.contract.text import printable, visible
from tools.workflow.change import Change, git

# Of the text, in characters; the record of a change takes no more.
MAX_TEXT = 3600

# No row of the lock: what the workflow of images changes.
PUSHED = "images"

CAUTION = (
    "\n\nMade by the workflow `bump`. The comment below and the check `bump` come from a job that ran the new code: they are that job's"
    " claim. What is to be merged was made before any of that code was installed.\n"
)
_MOVED = re.compile(r"^([-+]) +(?:version|tag|revision|commit): ([^\s].{0,80})$", re.MULTILINE)


def of(root: Path, row: str, base: str) -> tuple[str, str]:
    """Return title and text: the versions that the lock had and has, and the lines that the changelog was given."""
    moved = _MOVED.findall(_difference(root, base, "versions.lock"))
    before, after = ([value for sign, value in moved if sign == wanted] for wanted in "-+")
    title = "Record pushed images" if row == PUSHED else f"Bump {row}"
    if len(set(before)) == len(set(after)) == 1:
        title += f" from {before[0]} to {after[0]}"
    added = re.findall(r"^\+(?!\+\+)(.*)$", _difference(root, base, "CHANGELOG.md"), re.MULTILINE)
    body = visible(mask("\n".join(added)), kept="\n\t").strip()
    if not body:
        made = "`make images PUSH=...` recorded" if row == PUSHED else f"`make bump NAME={row}` made"
        body = f"{made} this change of `versions.lock`."
    return printable(title, 120), body[:MAX_TEXT]


def text_of(change: Change) -> str:
    """Return the text of a change's pull request."""
    return change.body + ("\n" if change.row == PUSHED else CAUTION)


def _difference(root: Path, base: str, path: str) -> str:
    return git(root, "diff", "--no-color", "--no-ext-diff", "--unified=0", base, "--", path).decode("utf-8", "replace")
