"""Make looks: the looks of a group one after the other, the groups side by side, each group within a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.contract.errors import KitError
from runner.contract.text import first_line
from runner.host.doctor.findings import Answer, Finding, LastLook, Look, not_looked_at, untold

# How long one program or service may take to answer a look.
ANSWER_S = 3.0


@dataclass(frozen=True)
class Group:
    """Looks of one service or place, in order; all of them together may take ``limit_s`` seconds."""

    looks: Sequence[Look]
    limit_s: float = 5.0


@dataclass
class _Work:
    group: Group
    answers: list[Answer] = field(default_factory=list)
    defect: Exception | None = None


def look_at(groups: Sequence[Group]) -> list[Finding]:
    """Make the looks of all groups, and return a finding for each look, in the order of the groups.

    Each group has a thread of its own, which nobody waits for after the group's time limit: a network file system that hangs ends no
    look. A look that fails with a ``KitError`` or an ``OSError`` cannot be told; any other exception of a look is raised here.
    """
    works = [_Work(group) for group in groups]
    began_s = time.monotonic()
    threads = [threading.Thread(target=_look, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    findings = []
    for work, thread in zip(works, threads, strict=True):
        thread.join(max(0.0, began_s + work.group.limit_s - time.monotonic()))
        if work.defect is not None:
            raise work.defect
        # the thread of a group that hangs may still add to its list
        answers = list(work.answers)
        findings += [Finding.of(look, answer) for look, answer in zip(work.group.looks, answers, strict=False)]
        findings += [
            Finding.of(look, _late(work.group, is_first=number == 0))
            for number, look in enumerate(work.group.looks[len(answers) :])
        ]
    return findings


def _late(group: Group, is_first: bool) -> Answer:
    if is_first:
        return untold(f"The look did not end within {group.limit_s:g} s.", "Look again when the host is less busy.")
    return not_looked_at("The look before did not end.", "Look again once the look before ends.")


def _look(work: _Work) -> None:
    try:
        _make_looks(work)
    # for the thread that waits
    except Exception as problem:
        work.defect = problem


def _make_looks(work: _Work) -> None:
    for number, look in enumerate(work.group.looks):
        try:
            answer = look.ask()
        except LastLook as last:
            work.answers.append(last.answer)
            work.answers += [
                not_looked_at(f"It depends on {look.what!r} above.", "Mend that first, then look again.")
                for _ in work.group.looks[number + 1 :]
            ]
            return
        except (KitError, OSError) as problem:
            answer = untold(
                f"The look failed: {first_line(problem)}.", "Mend what the sentence names, then look again."
            )
        work.answers.append(answer)
