"""A change on its way from one job to the next: a patch in git's form and what the patch is of, in a folder of two files.

The job that carries a bump out writes the folder before anything new is installed. (A source distribution without a wheel is built
while the lock is compiled: docs/workflows.md.) The job hands the sha256 of ``change.json`` on as its output, which no other job can set;
``change.json`` holds the sha256 of the patch.

A patch is judged by what it makes of the base, never by its text: git applies the patch to an index of its own, outside of any working
tree, and every path that differs then must be one that a bump may write, a regular file that nobody may execute, and text.
Source: git-apply(1), ``--cached``; git-diff-tree(1), the raw format.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.contract import files, patterns, strictjson
from runner.contract.errors import DamagedResult, InputError, Unsupported
from runner.contract.fields import Fields
from runner.contract.text import printable

PATCH, FACTS = "change.patch", "change.json"
# A bump of all requirements files has less than 1 MiB.
MAX_PATCH_BYTES = 8 * 1024 * 1024
MAX_FACTS_BYTES = 256 * 1024
MAX_FILES = 400
MAX_FILE_BYTES = 4 * 1024 * 1024
GIT_S = 120

# The files that a bump writes: the lock, what is compiled and rendered from the lock, the tables of cases, and pages. A workflow, a
# program, a Dockerfile or a list that a person edits (NAME.in) is none of them.
_MAY_BE_WRITTEN = re.compile(
    r"versions\.lock|CHANGELOG\.md|README\.md|CONTRIBUTING\.md|docs/[A-Za-z0-9_-]+\.md|docs/images/compare\.svg|examples/verdicts\.ipynb"
    r"|requirements/[A-Za-z0-9_.-]+\.txt|images/(?:cpu|cuda|gaudi)/[A-Za-z0-9_.-]+\.txt|tests/stacks/requirements-[A-Za-z0-9_.-]+\.txt"
    r"|k8s/(?:[A-Za-z0-9_-]+/){0,3}(?:[A-Za-z0-9_.-]+\.yaml|Kustomization)"
    r"|runner/catalog/(?:cases|claims|profiles|protocols|workloads)\.yaml",
    re.ASCII,
)
REGULAR = "100644"
ABSENT = "000000"


@dataclass(frozen=True)
class Change:
    """What a patch is of: the row that was bumped, the commit that the patch applies to, the title and text of its pull request."""

    row: str
    base: str
    title: str
    body: str
    patch_sha256: str


def write(root: Path, folder: Path, row: str, base: str, title: str, body: str) -> str | None:
    """Write what differs between ``base`` and the working tree of ``root``; return the sha256 of ``change.json``.

    Returns None, and writes nothing, where nothing differs. Raises ``DamagedResult`` for a change that no job would take.
    """
    # in an index of its own, so that the one of the working tree stays as it is; files that git did not know count too
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        git(root, "read-tree", f"{base}^{{tree}}", variables=index)
        git(root, "add", "--all", variables=index)
        tree = git(root, "write-tree", variables=index).decode().strip()
    patch = git(
        root, "diff-tree", "-p", "--no-color", "--no-ext-diff", "--no-renames", "--full-index", f"{base}^{{tree}}", tree
    )
    if not patch:
        return None
    tree_of(root, base, patch)
    folder.mkdir(parents=True, exist_ok=True)
    change = Change(row, base, title, body, hashlib.sha256(patch).hexdigest())
    raw = (json.dumps(asdict(change), indent=1, sort_keys=True) + "\n").encode()
    (folder / PATCH).write_bytes(patch)
    (folder / FACTS).write_bytes(raw)
    return hashlib.sha256(raw).hexdigest()


def read(folder: Path, sha256: str) -> tuple[Change, bytes]:
    """Return a change and its patch. Raises ``DamagedResult`` for files that are not those of ``sha256``, or of another form."""
    raw = files.read_bytes(folder / FACTS, MAX_FACTS_BYTES, DamagedResult, "Run the jobs again.")
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise DamagedResult(f"{folder / FACTS} is not what the job handed on: its sha256 differs. Run the jobs again.")
    fields = Fields(strictjson.loads(raw, str(folder / FACTS), DamagedResult), str(folder / FACTS), DamagedResult)
    change = Change(
        row=fields.form("row", ROW),
        base=fields.form("base", patterns.COMMIT),
        title=fields.form("title", patterns.TEXT),
        body=fields.form("body", BODY),
        patch_sha256=fields.form("patch_sha256", patterns.SHA256),
    )
    fields.done()
    patch = files.read_bytes(folder / PATCH, MAX_PATCH_BYTES, DamagedResult, "Run the jobs again.")
    if hashlib.sha256(patch).hexdigest() != change.patch_sha256:
        raise DamagedResult(f"{folder / PATCH} is not the patch of {FACTS}: its sha256 differs. Run the jobs again.")
    return change, patch


ROW = patterns.Form(
    re.compile(
        r"[a-z0-9][a-z0-9._-]{0,62}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){1,3}|[a-z0-9][a-z0-9._-]{0,62}", re.ASCII
    ),
    "the name of a row, such as cpu/transformers",
)
BODY = patterns.FreeText(
    "text without characters that cannot be seen but the ends of lines", kept="\n\t", composed=False, least=0
)


def tree_of(root: Path, base: str, patch: bytes) -> str:
    """Return the id of the tree that a patch makes of the commit ``base``, after every difference was judged.

    Nothing is written but objects of git. Raises ``DamagedResult`` for a patch that does not apply or that writes what a bump may not.
    """
    if len(patch) > MAX_PATCH_BYTES:
        raise DamagedResult(
            f"the patch has {len(patch)} bytes, more than the {MAX_PATCH_BYTES} that a bump has. Look at what it moves."
        )
    # A few bytes of such a patch may unpack to any size. In a patch of text each line of a file has a sign before it.
    if re.search(rb"^GIT binary patch", patch, re.MULTILINE):
        raise DamagedResult(
            "the patch holds files that are no text, and no bump writes such a file. Look at what made it."
        )
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        git(root, "read-tree", f"{base}^{{tree}}", variables=index)
        try:
            git(root, "apply", "--cached", "--whitespace=nowarn", "-", variables=index, given=patch)
        except GitFailed as problem:
            raise DamagedResult(
                f"the patch does not apply to {base[:12]}: {problem.told}. Run the jobs again."
            ) from None
        tree = git(root, "write-tree", variables=index).decode().strip()
    _judge(root, base, tree)
    return tree


def _judge(root: Path, base: str, tree: str) -> None:
    raw = git(root, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", f"{base}^{{tree}}", tree)
    words = raw.decode("utf-8", "surrogateescape").split("\0")[:-1]
    if not words or len(words) % 2 or len(words) // 2 > MAX_FILES:
        raise DamagedResult(
            f"the patch changes {len(words) // 2} files; a bump changes 1 to {MAX_FILES}. Look at what it moves."
        )
    for facts, path in zip(words[::2], words[1::2], strict=True):
        old_mode, mode, _, blob, _ = facts.lstrip(":").split()
        if not _MAY_BE_WRITTEN.fullmatch(path):
            raise DamagedResult(f"the patch writes {printable(path, 200)}, which no bump writes. Look at what made it.")
        if mode not in (REGULAR, ABSENT) or old_mode not in (REGULAR, ABSENT):
            raise DamagedResult(
                f"the patch gives {path} the mode {mode}: a link, a program or another repository, which no bump writes. Look at what"
                " made it."
            )
        if mode == REGULAR:
            _judge_text(root, path, blob)


def _judge_text(root: Path, path: str, blob: str) -> None:
    size = int(git(root, "cat-file", "-s", blob))
    if size > MAX_FILE_BYTES:
        raise DamagedResult(
            f"the patch makes {path} {size} bytes long; no file of a bump has more than {MAX_FILE_BYTES}."
        )
    content = git(root, "cat-file", "blob", blob)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise DamagedResult(f"the patch makes {path} a file that is no text in UTF-8. Look at what made it.") from None
    if "\0" in text or "\r" in text:
        raise DamagedResult(
            f"the patch puts characters into {path} that no text of this repository has. Look at what made it."
        )


class GitFailed(Unsupported):
    """git ended with an error; ``told`` are the first lines of what git says, the place that git pushes to left out."""

    def __init__(self, command: str, told: str) -> None:
        super().__init__(f"git {command} failed: {told}. Look at the repository that this job checked out.")
        self.told = told


def git(root: Path, *arguments: str, variables: dict[str, str] | None = None, given: bytes | None = None) -> bytes:
    """Return what git prints. No hook and no filter of a configuration runs. Raises ``GitFailed`` and ``InputError``."""
    settings = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.autocrlf=false", "core.quotePath=true", "gc.auto=0",
                "commit.gpgSign=false", "diff.noprefix=false", "diff.mnemonicPrefix=false")  # fmt: skip
    command = ["git", "-C", str(root), *(part for setting in settings for part in ("-c", setting)), *arguments]
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(variables or {})}
    try:
        done = subprocess.run(command, input=given, capture_output=True, env=environment, timeout=GIT_S)
    except subprocess.TimeoutExpired:
        raise GitFailed(arguments[0], f"no end after {GIT_S} s") from None
    except OSError as problem:
        raise InputError(f"git cannot be run: {files.reason(problem)}. Install git.") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines()]
        said = [line for line in lines if line and not line.startswith("To ")] or [f"status {done.returncode}"]
        raise GitFailed(arguments[0], printable(" | ".join(said[:3]), 400))
    return done.stdout
