"""``make slips``: plant one slip after the other in a copy of the tree, and ask mypy and ruff, as ``make lint`` does.

Prints a table of the slips and of what the checks said. Fails if a slip went unnoticed, if the copy is not clean without a slip, or
if a slip's text no longer stands in its file. The copy lies in build/slips; mypy's cache beside it makes each question short.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.slips.planted import KINDS, SLIPS, Slip

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "slips"
# all that the checks read
COPIED = ("bloomz_bench", "docs", "runner", "tests", "tools", "pyproject.toml")
PROGRAMS = {
    "mypy": ("-m", "mypy", "--cache-dir=mypy-cache", "--no-error-summary", "--no-color-output", "--hide-error-context"),
    "ruff": ("-m", "ruff", "check", "--quiet", "--no-cache", "--output-format=concise", "."),
}
_MESSAGE = re.compile(r"^(\S+?):(\d+):(?:\d+:)? (?:error: )?(.*)$", re.MULTILINE)


class Unusable(Exception):
    """The slips cannot be tried: one sentence says why."""


@dataclass(frozen=True)
class Answer:
    """What came of one slip: the program that noticed the slip, None where none did, and the program's first message."""

    slip: Slip
    program: str | None
    message: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the slips; return 0 if the checks noticed all, 1 if not, 2 if the slips cannot be tried."""
    options = _parser().parse_args(arguments)
    slips = [slip for slip in SLIPS if not options.kinds or any(kind in slip.kind for kind in options.kinds)]
    try:
        if not slips:
            raise Unusable(f"No kind of slips is called so. The kinds are: {'; '.join(KINDS)}.")
        answers = list(_answers(slips))
    except Unusable as problem:
        print(f"slips: {problem}", file=sys.stderr)
        return 2
    print("\n".join(_table(answers)))
    unnoticed = [answer for answer in answers if answer.program is None]
    if unnoticed:
        print(
            f"slips: {len(unnoticed)} of {len(answers)} went unnoticed. Annotate what they pass through.",
            file=sys.stderr,
        )
    return 1 if unnoticed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False, prog="make slips", description="Plant slips one at a time; fail if mypy and ruff miss one."
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="only kinds with this text in their name")
    return parser


def _answers(slips: Sequence[Slip]) -> Iterator[Answer]:
    missing = list(_missing(slips))
    if missing:
        raise Unusable("\n       ".join(missing))
    _lay_out()
    complaint = _first_complaint()
    if complaint is not None:
        raise Unusable("The tree is not clean without a slip: {}: {}. Mend `make lint` first.".format(*complaint))
    seconds = itertools.count(1)
    for slip in slips:
        yield _try(slip, seconds)


def _missing(slips: Sequence[Slip]) -> Iterator[str]:
    """Yield one sentence for each slip whose text does not stand in its file exactly once."""
    for slip in slips:
        path = ROOT / slip.file
        count = path.read_text(encoding="utf-8").count(slip.before) if path.exists() else 0
        if count != 1:
            where = f"stands {count} times in {slip.file}" if path.exists() else f"has no file {slip.file} any more"
            yield f"The text {slip.before!r} {where}. Give the slip another place, in tests/slips/planted.py."


def _lay_out() -> None:
    """Copy the tree, and keep the cache of the last time."""
    for name in COPIED:
        path = FOLDER / name
        if path.is_dir():
            shutil.rmtree(path)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, path, ignore=shutil.ignore_patterns("__pycache__", "data"))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path)


def _try(slip: Slip, seconds: Iterator[int]) -> Answer:
    path = FOLDER / slip.file
    facts, original = path.stat(), path.read_text(encoding="utf-8")
    spoiled = original.replace(slip.before, slip.after)
    try:
        ast.parse(spoiled)
    except SyntaxError as problem:
        raise Unusable(f"{slip.after!r} is no Python in {slip.file}: {problem}. Any tool notices that.") from None
    path.write_text(spoiled, encoding="utf-8")
    # mypy compares sizes and whole seconds, and two swapped words leave the size as it was
    os.utime(path, (facts.st_atime, facts.st_mtime + next(seconds)))
    try:
        complaint = _first_complaint()
    finally:
        path.write_text(original, encoding="utf-8")
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return Answer(slip, None, "") if complaint is None else Answer(slip, *complaint)


def _first_complaint() -> tuple[str, str] | None:
    """Return the first program that finds something in the copy, and its first message; None where all find nothing."""
    for program, words in PROGRAMS.items():
        done = subprocess.run([sys.executable, *words], cwd=FOLDER, capture_output=True, encoding="utf-8", check=False)
        if done.returncode == 0:
            continue
        message = _MESSAGE.search(done.stdout)
        if message is None:
            raise Unusable(f"{program} failed: {' '.join((done.stdout + done.stderr).split())[:300]}")
        return program, "{}:{} {}".format(*message.groups())
    return None


def _table(answers: Sequence[Answer]) -> Iterator[str]:
    """Yield the lines of the table: for each slip its kind, who noticed, what was changed, and the message."""
    width = max(len(kind) for kind in KINDS)
    for kind in KINDS:
        for answer in answers:
            if answer.slip.kind == kind:
                yield f"{kind:<{width}}  {answer.program or 'UNNOTICED':<9}  {answer.slip.file}"
                for sign, text in (("-", answer.slip.before), ("+", answer.slip.after)):
                    yield from (f"{'':<{width}}  {sign} {line.strip()}" for line in text.strip().splitlines())
                if answer.program is not None:
                    yield f"{'':<{width}}  {answer.message}"
    noticed = sum(answer.program is not None for answer in answers)
    yield f"\n{len(answers)} slips of {len({answer.slip.kind for answer in answers})} kinds, {noticed} noticed"


if __name__ == "__main__":
    sys.exit(main())
