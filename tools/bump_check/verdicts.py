"""Judge what two sides measured: ``compare`` of the head's code says what changed, and this module which word follows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runner.contract.errors import Changed, Inconclusive, KitError, Unreachable, UsageError
from runner.contract.text import first_line, printable
from tools.bump_check import launches, sides
from tools.bump_check.emulated import Emulated
from tools.bump_check.launches import Measured
from tools.bump_check.sides import Side

Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]

# What ends with another exit code than 0 where nobody says otherwise: on a CPU times are shown and not judged.
FAIL_ON_CPU = "counts,inconclusive"
FAIL_ON_ACCELERATOR = "counts,slower,inconclusive"
UNSURE = "inconclusive"
# The words of compare's --fail-on, each with what a pair must be found to be.
FAIL_ON = {
    "counts": ("counts",),
    "slower": ("slower",),
    "faster": ("faster",),
    "changed": ("counts", "slower", "faster"),
    UNSURE: (),
}


@dataclass(frozen=True)
class Compared:
    """What ``compare`` said: its rows as its JSON has them, its Markdown, and ``error`` where it could not compare."""

    changes: list[dict[str, Any]]
    markdown: str
    error: KitError | None


@dataclass(frozen=True)
class Verdict:
    """The word, its reasons in sentences, and the exit code that follows."""

    word: Word
    reasons: tuple[str, ...]
    exit_code: int


def words(text: str) -> list[str]:
    """Return the words of ``--fail-on``. Raises ``UsageError`` for an unknown one."""
    given = [word.strip() for word in text.split(",") if word.strip()]
    for word in given:
        if word not in FAIL_ON:
            raise UsageError(f"--fail-on: {printable(word, 60)!r} is none of {', '.join(FAIL_ON)}.")
    return given


def compare(
    head: Side, measured: Measured, base_name: str, folder: Path, fail_on: str, flags: Sequence[str] = ()
) -> Compared:
    """Run ``compare`` of the head's code over both sides' results; its Markdown and its JSON also stay in ``folder``."""
    after, before = measured.results[head.name], measured.results[base_name]
    for side, results in ((head.name, after), (base_name, before)):
        if not results.is_dir():
            return Compared([], "", KitError(f"{side} has no result: nothing can be compared."))
    markdown = folder / "compare.md"
    markdown.unlink(missing_ok=True)
    arguments = [
        str(after),
        "--against",
        str(before),
        "--json",
        "--markdown",
        str(markdown),
        "--fail-on",
        fail_on,
        *flags,
    ]
    done = subprocess.run(
        head.command("runner", "compare", *arguments),
        cwd=head.tree,
        env=sides.variables(),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    (folder / "compare.json").write_text(done.stdout, encoding="utf-8")
    error = None
    if done.returncode not in (0, Changed.exit_code, Inconclusive.exit_code):
        error = sides.failure(f"{head.name}: compare", done.returncode, done.stderr)
    try:
        changes = json.loads(done.stdout)["changes"]
        text = markdown.read_text(encoding="utf-8")
    except (ValueError, KeyError, TypeError, OSError):
        return Compared([], "", error or KitError(f"compare of {head.name} told nothing: {first_line(done.stderr)}."))
    return Compared([each for each in changes if isinstance(each, dict)], text, error)


def judge(
    compared: Compared,
    measured: Measured,
    emulated: Sequence[Emulated],
    fail_on: str,
    base_name: str = "base",
    head_name: str = "head",
) -> Verdict:
    """Return the word: FAIL for what ``fail_on`` names or where only head fails, INCONCLUSIVE where nothing can be said, else PASS."""
    named = {found for word in words(fail_on) for found in FAIL_ON[word]}
    failures: list[str] = []
    unsure: list[str] = []
    notes: list[str] = []
    base_failed, head_failed = measured.failed(base_name), measured.failed(head_name)
    if base_failed:
        unsure.append(f"{len(base_failed)} of the base's launches failed; first {launches.said(base_failed[0])}")
    if head_failed:
        said = f"{len(head_failed)} of the head's launches failed; first {launches.said(head_failed[0])}"
        cases_of_base = {each.case for each in base_failed}
        # an index that does not answer says nothing about the bump
        alone = [
            each for each in head_failed if each.case not in cases_of_base and each.exit_code != Unreachable.exit_code
        ]
        (failures if alone else unsure).append(said)
    for change in compared.changes:
        case, found = printable(str(change.get("case")), 100), [str(each) for each in change.get("found") or []]
        reasons = "; ".join(printable(str(each), 300) for each in [*(change.get("reasons") or [])][:3])
        time = printable(str((change.get("times") or {}).get("reason") or ""), 300)
        hit = [each for each in found if each in named]
        if hit:
            failures.append(f"{case}: {', '.join(hit)} ({'; '.join(filter(None, [reasons, time]))})")
        elif UNSURE in found and change.get("case") not in {each.case for each in head_failed}:
            unsure.append(f"{case}: the launches cannot tell ({'; '.join(filter(None, [reasons, time]))})")
        elif found:
            notes.append(f"{case}: {', '.join(found)}, which --fail-on does not name")
    if compared.error is not None and not head_failed:
        unsure.append(str(compared.error))
    for each in emulated:
        (failures if each.fails else unsure if each.is_unknown else notes).append(said_of(each))
    if failures:
        return Verdict("FAIL", (*failures, *unsure, *notes), Changed.exit_code)
    if unsure:
        code = Inconclusive.exit_code if UNSURE in words(fail_on) else 0
        return Verdict("INCONCLUSIVE", (*unsure, *notes), code)
    cases = ", ".join(printable(str(change.get("case")), 100) for change in compared.changes)
    return Verdict("PASS", (f"nothing that is judged changed in {cases}", *notes), 0)


def of_failed_side(side: str, problem: KitError, head_name: str = "head") -> Verdict:
    """Return the word where a side could not be measured at all: FAIL for the head, unless an index did not answer; else INCONCLUSIVE."""
    said = f"{side} cannot be measured: {problem}"
    if side == head_name and not isinstance(problem, Unreachable):
        return Verdict("FAIL", (said,), Changed.exit_code)
    return Verdict("INCONCLUSIVE", (said,), Inconclusive.exit_code)


def said_of(each: Emulated) -> str:
    """Return in a sentence what the emulated chip told of a stack."""
    against = "" if each.compared_with in (None, each.stack) else f" (beside {each.compared_with})"
    if each.error is not None:
        return f"{each.stack}{against} under the emulated chip: {printable(each.error, 500)}"
    differing = f": {'; '.join(each.differences[:3])}" if each.differences else ""
    note = ", which is shown and not judged for a new stack" if each.is_new and each.calls == "differs" else ""
    tokens = "the same tokens" if each.tokens == "equal" else "OTHER TOKENS"
    calls = "the same calls" if each.calls == "equal" else "other calls"
    return f"{each.stack}{against} under the emulated chip: {tokens}, {calls}{differing}{note}"
