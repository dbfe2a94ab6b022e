"""The report of a job that ran new third-party code: what its steps and ``bump-check`` say, as ``comment.md`` and ``verdict.json``.

``write`` runs in that job. ``take`` runs in a job with write rights, and trusts no byte of the two files: either may have been written by
what the job ran. The report of a bump is therefore a claim of the code that was bumped; the pull request's text says so.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from runner.contract import files, strictjson
from runner.contract.errors import Changed, DamagedResult, Inconclusive
from runner.contract.fields import Fields
from runner.contract.text import printable
from tools.forge.forges import Conclusion
from tools.workflow import steps
from tools.workflow.markdown import harmless
from tools.workflow.steps import Step

Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]
WORDS: tuple[Word, ...] = get_args(Word)
CONCLUSIONS: dict[Word, Conclusion] = {"PASS": "success", "FAIL": "failure", "INCONCLUSIVE": "neutral"}

COMMENT, VERDICT = "comment.md", "verdict.json"
MAX_COMMENT_BYTES = 256 * 1024
MAX_VERDICT_BYTES = 256 * 1024
# Of the verdict that bump-check leaves in this job, with all that was measured.
MAX_MEASURED_BYTES = 64 * 1024 * 1024
MAX_REASONS = 40
# The steps whose exit code is a verdict: the one leaves a file too, the other tells by its code alone (docs/exit-codes.md).
_JUDGES = ("bump-check", "compare")
_TOLD: dict[int, Word] = {0: "PASS", Changed.exit_code: "FAIL", Inconclusive.exit_code: "INCONCLUSIVE"}


@dataclass(frozen=True)
class Verdict:
    """A verdict for machines: the word, and the reasons for people, each one line."""

    word: Word
    reasons: list[str]


def write(folder: Path, notes: Path, bump_check: Path, row: str) -> Verdict:
    """Write ``comment.md`` and ``verdict.json`` of a job, and return the verdict.

    ``notes`` is the folder of the job's steps. ``bump_check`` is the folder where ``bump-check`` leaves its comment and verdict; a job
    that did not get so far has none there.
    """
    ran = steps.read(notes)
    judged = _verdict(bump_check / VERDICT, MAX_MEASURED_BYTES) if (bump_check / VERDICT).exists() else _compared(ran)
    failed = [step for step in ran if step.exit_code != 0 and not (judged and step.name in _JUDGES)]
    verdict = _combined(ran, failed, judged)
    return _written(folder, verdict, _comment(row, verdict, ran, failed, bump_check / COMMENT, judged))


def _compared(ran: list[Step]) -> Verdict | None:
    """Return the verdict that the step ``compare`` tells by its exit code; None where no such step ran, or where it could not compare."""
    for step in ran:
        if step.name == "compare" and step.exit_code in _TOLD:
            return Verdict(_TOLD[step.exit_code], [f"run against run ended with code {step.exit_code}"])
    return None


def _combined(ran: list[Step], failed: list[Step], judged: Verdict | None) -> Verdict:
    reasons = [f"{step.command} ended with code {step.exit_code}" for step in failed]
    if not ran:
        reasons.append("no step of the job ran to its end")
    if judged is None:
        if not reasons:
            reasons.append("bump-check left no verdict")
        return Verdict("FAIL", reasons)
    if reasons:
        return Verdict("FAIL", reasons + judged.reasons)
    return judged


def _comment(
    row: str,
    verdict: Verdict,
    ran: list[Step],
    failed: list[Step],
    comparison: Path,
    judged: Verdict | None = None,
) -> str:
    parts = [f"## {row}: {verdict.word}", ""]
    # the comparison's own text, which follows, tells these reasons
    below = judged.reasons if judged is not None and comparison.exists() else []
    reasons = [reason for reason in verdict.reasons if reason not in below]
    parts += [f"- {_plain(reason)}" for reason in reasons] + [""] * bool(reasons)
    if ran:
        parts += ["| step | ended with |", "| --- | --- |"]
        parts += [f"| `{step.command.replace('`', '').replace('|', ' ')}` | {step.exit_code} |" for step in ran] + [""]
    if comparison.exists():
        parts += [files.read_bytes(comparison, MAX_COMMENT_BYTES, DamagedResult).decode("utf-8", "replace").strip(), ""]
    for step in failed:
        fence = "`" * (1 + max([2, *(len(run) for line in step.tail for run in re.findall("`+", line))]))
        parts += [
            f"<details><summary>The last lines of {step.name}</summary>",
            "",
            f"{fence}text",
            *step.tail,
            fence,
            "",
            "</details>",
            "",
        ]
    return "\n".join(parts)


def _plain(line: str) -> str:
    return printable(line, 400)


def take(folder: Path, out: Path, title: str) -> Verdict:
    """Write the checked report of another job into ``out``, and return its verdict. Raises ``DamagedResult`` for what no report is.

    A job that was stopped left no folder: its verdict is FAIL, and the comment below ``title`` says so.
    """
    if not os.path.lexists(folder):
        verdict = Verdict("FAIL", ["the job was stopped, or ended before it could write a report; see its log"])
        return _written(out, verdict, _comment(title, verdict, [], [], folder / COMMENT))
    for path in (folder, folder / VERDICT, folder / COMMENT):
        # a link would publish a file of the machine that has the right to write
        if path.is_symlink():
            raise DamagedResult(f"{path} is a link, which no report holds. Look at the job that made it.")
    verdict = _verdict(folder / VERDICT)
    raw = files.read_bytes(folder / COMMENT, MAX_COMMENT_BYTES, DamagedResult, "Look at the job that made it.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise DamagedResult(f"{folder / COMMENT} is no text in UTF-8. Look at the job that made it.") from None
    return _written(out, verdict, harmless(text))


def _written(folder: Path, verdict: Verdict, comment: str) -> Verdict:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / COMMENT).write_text(comment, encoding="utf-8")
    (folder / VERDICT).write_text(json.dumps(asdict(verdict), indent=1) + "\n", encoding="utf-8")
    return verdict


def read(folder: Path) -> Verdict:
    """Return the verdict of a report. Raises ``DamagedResult`` for what is none."""
    return _verdict(folder / VERDICT)


def _verdict(path: Path, max_bytes: int = MAX_VERDICT_BYTES) -> Verdict:
    raw = files.read_bytes(path, max_bytes, DamagedResult, "Look at the job that made it.")
    # bump-check tells more than the two keys; the rest is for people who read the artefact
    fields = Fields(strictjson.loads(raw, str(path), DamagedResult), str(path), DamagedResult)
    word, reasons = fields.choice("word", WORDS), fields.texts("reasons")
    if len(reasons) > MAX_REASONS:
        reasons = [*reasons[:MAX_REASONS], f"and {len(reasons) - MAX_REASONS} more"]
    return Verdict(word, [harmless(_plain(reason)) for reason in reasons])
