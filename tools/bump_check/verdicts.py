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
from runner.host.judging import run_changes
from runner.host.judging.flags import CONTENTION
from runner.host.judging.run_changes import FAIL_ON, UNSURE
from runner.host.judging.verdict import CHANGE_WORDS
from tools.bump_check import launches, sides
from tools.bump_check.emulated import Emulated
from tools.bump_check.launches import Measured, Outcome
from tools.bump_check.sides import Side

Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]

# What ends with another exit code than 0 where nobody says otherwise: on a CPU times are shown and not judged.
FAIL_ON_CPU = "counts,inconclusive"
FAIL_ON_ACCELERATOR = "counts,slower,inconclusive"


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
    """Return the words of ``--fail-on``. Raises ``UsageError`` for an unknown one, and for an empty one."""
    try:
        return run_changes.fail_on_words(text)
    except ValueError as problem:
        raise UsageError(f"--fail-on: {problem}.") from None


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
    failures: list[str] = []
    unsure: list[str] = []
    notes: list[str] = []
    passed_over: list[str] = []
    base_failed, head_failed = measured.failed(base_name), measured.failed(head_name)
    if base_failed:
        unsure.append(f"{len(base_failed)} of the base's launches failed; first {launches.said(base_failed[0])}")
    if head_failed:
        said = f"{len(head_failed)} of the head's launches failed; first {launches.said(head_failed[0])}"
        cases_of_base = {each.case for each in base_failed}
        alone = [each for each in head_failed if each.case not in cases_of_base and not _is_of_the_host(each)]
        (failures if alone else unsure).append(said)
    cases_of_head = {each.case for each in head_failed}
    for change in compared.changes:
        _judge_change(change, words(fail_on), cases_of_head, failures, unsure, passed_over)
    if compared.error is not None and not head_failed:
        unsure.append(str(compared.error))
    told = {change.get("case") for change in compared.changes}
    silent = dict.fromkeys(each.case for each in measured.outcomes if each.case not in {*told, *cases_of_head})
    if silent and compared.error is None:
        unsure.append(
            f"{printable(', '.join(silent), 300)}: measured and not compared; the two sides ask for another model, workload or protocol"
        )
    for each in emulated:
        (failures if each.fails else unsure if each.is_unknown else notes).append(said_of(each))
    others = (*(f"{each}, which --fail-on does not name" for each in passed_over), *notes)
    if failures:
        return Verdict("FAIL", (*failures, *unsure, *others), Changed.exit_code)
    if unsure:
        return Verdict("INCONCLUSIVE", (*unsure, *others), _code_of_unsure(fail_on))
    if passed_over:
        return Verdict("PASS", (f"by --fail-on {fail_on}, though {' and '.join(passed_over)}", *notes), 0)
    cases = ", ".join(printable(str(change.get("case")), 100) for change in compared.changes)
    return Verdict("PASS", (f"nothing that is judged changed in {cases}", *notes), 0)


def fails_by_times_alone(fail_on: str) -> bool:
    """Return whether ``fail_on`` names times alone, which fail nothing where times are not judged."""
    return set(words(fail_on)) <= {"slower", "faster"}


def _judge_change(
    change: dict[str, Any],
    fail_on: Sequence[str],
    failed_cases: set[str],
    failures: list[str],
    unsure: list[str],
    passed_over: list[str],
) -> None:
    """Add what a row of ``compare`` says to the list that it belongs to; ``failed_cases`` are told by their launches already."""
    named = {found for word in fail_on for found in FAIL_ON[word]} - {UNSURE}
    case, found = printable(str(change.get("case")), 100), change.get("found")
    if change.get("word") not in CHANGE_WORDS or not isinstance(found, list):
        unsure.append(f"{case}: the head's compare gives no word that is known here")
        return
    reasons = [printable(str(each), 300) for each in [*(change.get("reasons") or [])][:3]]
    time = printable(str((change.get("times") or {}).get("reason") or ""), 300)
    why = "; ".join(filter(None, [*reasons, *([] if time in reasons else [time])]))
    hit = [str(each) for each in found if each in named]
    if hit:
        failures.append(f"{case}: {', '.join(hit)} ({why})")
    elif UNSURE in found and change.get("case") not in failed_cases:
        unsure.append(f"{case}: the launches cannot tell ({why})")
    elif found:
        passed_over.append(f"{case} CHANGED: {', '.join(map(str, found))}{f' ({why})' if why else ''}")


def _is_of_the_host(failed: Outcome) -> bool:
    """Return whether a launch failed by its host alone: an index did not answer, or each check that refused it tells of other work."""
    refused = launches.refused_checks(failed)
    return failed.exit_code == Unreachable.exit_code or (bool(refused) and refused <= CONTENTION)


def _code_of_unsure(fail_on: str) -> int:
    return Inconclusive.exit_code if UNSURE in words(fail_on) else 0


def of_failed_side(side: str, problem: KitError, fail_on: str, head_name: str = "head") -> Verdict:
    """Return the word where a side could not be measured at all: FAIL for the head, unless an index did not answer; else INCONCLUSIVE."""
    said = f"{side} cannot be measured: {problem}"
    if side == head_name and not isinstance(problem, Unreachable):
        return Verdict("FAIL", (said,), Changed.exit_code)
    return Verdict("INCONCLUSIVE", (said,), _code_of_unsure(fail_on))


def said_of(each: Emulated) -> str:
    """Return in a sentence what the emulated chip told of a stack."""
    against = "" if each.compared_with in (None, each.stack) else f" (beside {each.compared_with})"
    what = f"{each.stack}{against} under the emulated chip"
    error = "" if each.error is None else printable(each.error, 500)
    if each.tokens == each.calls == "unknown":
        return f"{what}: {error}"
    differing = f": {'; '.join(each.differences[:3])}" if each.differences else ""
    note = ", which is shown and not judged for a new stack" if each.is_new and each.calls == "differs" else ""
    tokens = {"equal": "the same tokens", "differs": "OTHER TOKENS", "unknown": "tokens that are not told"}[each.tokens]
    calls = {"equal": "the same calls", "differs": "other calls", "unknown": "calls that are not all told"}[each.calls]
    return f"{what}: {tokens}, {calls}{differing}{note}{f'. {error}' if error else ''}"
