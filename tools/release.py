"""``make release VERSION=x.y.z``: set the version everywhere, date the changelog, render, commit and tag. Nothing is pushed.

The version stands in runner/__init__.py. A release copies it into CITATION.cff, into the head of the changelog's section, into
names of Jobs in the pages (README.md and docs/) and, by rendering, into the manifests below k8s/.
All checks come before the first change, and each check that fails is told in one sentence.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import tested

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "main"
UNRELEASED = "## Unreleased"
# as shells say that SIGINT ended a program
INTERRUPTED = 130

_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_SOURCE_LINE = re.compile(r'^__version__ = "([^"]*)"$', re.MULTILINE)
_SECTION = re.compile(rf"^{UNRELEASED}\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_CITED_VERSION = re.compile(r'^version: "[^"]*"$', re.MULTILINE)
_CITED_DATE = re.compile(r'\n^date-released: "[^"]*"$', re.MULTILINE)

# Runs a program of the repository; raises ``CalledProcessError`` where the program fails.
Runner = Callable[[Path, Sequence[str]], None]


class Unfinished(Exception):
    """A step failed after the first file was changed. The message names the step."""


@dataclass(frozen=True)
class Release:
    """A release of the repository at ``root``: from version ``before`` to version ``version``, on ``date`` (ISO 8601)."""

    root: Path
    before: str
    version: str
    date: str

    @property
    def tag(self) -> str:
        """The name of the git tag."""
        return f"v{self.version}"


@dataclass(frozen=True)
class Step:
    """What a release does: the sentence that the plan shows, and the function that does it."""

    sentence: str
    act: Callable[[], None]


def main(arguments: Sequence[str]) -> int:
    """Make the release, or print its plan; return 0, or 1 where a check or a step failed."""
    options = _parser().parse_args(arguments)
    return run(ROOT, options.version, datetime.datetime.now(datetime.timezone.utc).date(), options.dry_run, _run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="make release",
        description="Set the version, date the changelog, render the manifests, commit and tag. Nothing is pushed.",
        usage='make release VERSION=x.y.z [ARGS="--dry-run"]',
    )
    parser.add_argument(
        "--version", required=True, metavar="x.y.z", help="the version to release, newer than the last one"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the checks and the plan; change nothing")
    return parser


def run(root: Path, version: str, date: datetime.date, dry_run: bool, program: Runner) -> int:
    """Check, then print the plan or carry it out. Returns 0, or 1 where a check or a step failed."""
    release = Release(root, _version_of(root), version, date.isoformat())
    problems = list(refusals(release))
    for problem in problems:
        print(f"release: {problem}", file=sys.stderr)
    steps = _steps(release, program)
    if dry_run:
        print(f"The release {version} of {release.date} would:")
        for number, step in enumerate(steps, 1):
            print(f"  {number}. {step.sentence}")
        print("Nothing was changed, and nothing would be pushed.")
    if problems:
        if not dry_run:
            print("release: nothing was changed.", file=sys.stderr)
        return 1
    return 0 if dry_run else _carry_out(release, steps)


def refusals(release: Release) -> Iterator[str]:
    """Yield one sentence for each thing that forbids the release, with what to do about it."""
    if not _VERSION.fullmatch(release.version):
        yield f"{release.version!r} is no version. Name three numbers, such as {_next(release.before)}."
        return
    try:
        yield from _refusals_of_git(release)
    except FileNotFoundError:
        yield "git is not installed. Install git."
    except subprocess.CalledProcessError as failure:
        yield f"git failed: {' '.join(failure.stderr.split())}. Run the release inside the git repository of the kit."
    section = _section(release.root)
    if section is None:
        yield f"CHANGELOG.md has no section `{UNRELEASED}`. Add the section, and say in it whose numbers change."
    elif not section.strip():
        yield f"The section `{UNRELEASED}` of CHANGELOG.md is empty. Say in it whose numbers change."


def _refusals_of_git(release: Release) -> Iterator[str]:
    root = release.root
    branch = tested.git(root, "rev-parse", "--abbrev-ref", "HEAD").strip()
    if branch != BRANCH:
        yield f"The branch is {branch}; a release is made on {BRANCH}. Run `git switch {BRANCH}`."
    changes = tested.git(root, "status", "--porcelain").splitlines()
    if changes:
        yield f"{len(changes)} files are not committed, {changes[0][3:]} among them. Commit, stash or remove them."
    tags = tested.git(root, "tag", "--list", "v*").split()
    released = [tag[1:] for tag in tags if _VERSION.fullmatch(tag[1:])]
    newest = max(released, key=_order, default=None)
    if newest is not None and _order(release.version) <= _order(newest):
        yield f"{release.version} is not newer than {newest}, which has the tag v{newest}. Name a newer version."
    if _order(release.version) < _order(release.before):
        yield f"{release.version} is older than {release.before}, the version in runner/__init__.py. Name a newer version."
    if (
        subprocess.run(
            ["git", "-C", str(root), "var", "GIT_COMMITTER_IDENT"], check=False, capture_output=True
        ).returncode
        != 0
    ):
        yield "git does not know who commits. Run `git config user.name ...` and `git config user.email ...`."
    commit = tested.git(root, "rev-parse", "HEAD").strip()
    record = tested.read(root)
    if record is None or record.commit != commit:
        where = "no record of them is here" if record is None else f"they last passed on commit {record.commit[:12]}"
        yield f"The tests did not pass on this commit, {commit[:12]}: {where}. Run `make test-all` with all files committed."
    elif not record.python38:
        yield "The tests on Python 3.8 were skipped. Install Python 3.8, name it (make PYTHON38=...), and run `make test-all`."


def _steps(release: Release, program: Runner) -> list[Step]:
    root, python, version = release.root, sys.executable, release.version
    render, lock_check = [python, "-m", "runner", "render"], [python, "-m", "runner", "lock", "--check"]
    generate = [python, "-m", "docs.generate"]
    tag = ["git", "tag", "--annotate", "--message", f"Release {version}", release.tag]
    return [
        Step(
            f"set the version from {release.before} to {version} in runner/__init__.py", lambda: _set_version(release)
        ),
        Step(
            f"move the section `{UNRELEASED}` of CHANGELOG.md below `{_head(release)}`",
            lambda: _date_changelog(release),
        ),
        Step(f"set version and date in CITATION.cff to {version} and {release.date}", lambda: _cite(release)),
        Step(
            f"set the version to {version} in names of Jobs in README.md and docs/", lambda: _rename_in_pages(release)
        ),
        Step("render the manifests below k8s/", lambda: program(root, render)),
        Step("make the generated parts of the pages again", lambda: program(root, generate)),
        Step("compare the requirements files with versions.lock", lambda: program(root, lock_check)),
        Step(f"commit as `Release {version}`", lambda: _commit(release, program)),
        Step(f"make the annotated tag {release.tag}", lambda: program(root, tag)),
    ]


def _carry_out(release: Release, steps: Sequence[Step]) -> int:
    parent = tested.git(release.root, "rev-parse", "HEAD").strip()[:12]
    undo = f"git reset --hard {parent} && git clean -d --force k8s"
    for step in steps:
        print(f"{step.sentence} ...", flush=True)
        try:
            step.act()
        except (Unfinished, OSError, subprocess.CalledProcessError) as problem:
            print(f"release: this step failed: {step.sentence}. {problem}\nUndo all steps: {undo}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            undo = f"{undo}; git tag --delete {release.tag}"
            print(f"release: stopped in this step: {step.sentence}.\nUndo all steps: {undo}", file=sys.stderr)
            return INTERRUPTED
    print(f"\nReleased {release.version} here; nothing was pushed. Publish: git push origin {BRANCH} {release.tag}")
    print("Images of the version before are not of this one: `make images-check` names those that were pushed.")
    print(f"Undo, before it is published: git tag --delete {release.tag} && git reset --hard {parent}")
    return 0


def _run(root: Path, command: Sequence[str]) -> None:
    subprocess.run(command, cwd=root, check=True)


def _set_version(release: Release) -> None:
    _replace(release.root / "runner" / "__init__.py", _SOURCE_LINE, f'__version__ = "{release.version}"')


def _date_changelog(release: Release) -> None:
    section = _section(release.root)
    assert section is not None, "refusals() looked for the section"
    _replace(release.root / "CHANGELOG.md", _SECTION, f"{UNRELEASED}\n\n{_head(release)}\n{section}")


def _cite(release: Release) -> None:
    path = release.root / "CITATION.cff"
    path.write_text(_CITED_DATE.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    _replace(path, _CITED_VERSION, f'version: "{release.version}"\ndate-released: "{release.date}"')


def _rename_in_pages(release: Release) -> None:
    """Names of Jobs carry the version with hyphens, as runner/host/manifests/names.py makes them."""
    before, after = (f"-v{version.replace('.', '-')}" for version in (release.before, release.version))
    for path in pages(release.root):
        text = path.read_text(encoding="utf-8")
        renamed = re.sub(rf"{before}(?![0-9])", after, text)
        if renamed != text:
            path.write_text(renamed, encoding="utf-8")


def pages(root: Path) -> list[Path]:
    """Return the pages in which a name of a Job may stand."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def _commit(release: Release, program: Runner) -> None:
    program(release.root, ["git", "add", "--all"])
    program(release.root, ["git", "commit", "--quiet", "--message", f"Release {release.version}"])


def _replace(path: Path, pattern: re.Pattern[str], text: str) -> None:
    """Replace the one place of a file that a pattern matches. Raises ``Unfinished`` where there is no such place, or more."""
    replaced, count = pattern.subn(lambda _: text, path.read_text(encoding="utf-8"))
    if count != 1:
        raise Unfinished(f"{path.name} has {count} places of the form {pattern.pattern!r}, where one is expected.")
    path.write_text(replaced, encoding="utf-8")


def _version_of(root: Path) -> str:
    """Return the version in runner/__init__.py, which is read as text: the file may be of another checkout than this process."""
    match = _SOURCE_LINE.search((root / "runner" / "__init__.py").read_text(encoding="utf-8"))
    assert match is not None, "runner/__init__.py has a line __version__"
    return match[1]


def _section(root: Path) -> str | None:
    """Return what the changelog's section of unreleased changes holds, None where there is no such section."""
    match = _SECTION.search((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    return None if match is None else match[1]


def _head(release: Release) -> str:
    return f"## {release.version}, {release.date}"


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _next(version: str) -> str:
    major, minor, _ = version.split(".")
    return f"{major}.{int(minor) + 1}.0"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
