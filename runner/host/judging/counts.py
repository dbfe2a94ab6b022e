"""Compare what can be counted of two sets of launches: tokens, forward calls, graph builds, operators, bytes, schema. Pure.

A count is the same on a busy host and an idle one, and on any device: it is what a CPU may gate. Counts differ exactly or not at all.
A count that one side does not tell is never equal and never a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from runner.contract.text import cut
from runner.host.results.attempts import MOST_OPERATORS, AttemptSummary, LaunchSummary, OperatorsSummary

CountWord = Literal["equal", "differs", "unsteady", "not told"]
EQUAL: Final = "equal"
DIFFERS: Final = "differs"
UNSTEADY: Final = "unsteady"
NOT_TOLD: Final = "not told"
WORDS: tuple[CountWord, ...] = (EQUAL, DIFFERS, UNSTEADY, NOT_TOLD)

Value = int | str | tuple[int, ...] | OperatorsSummary
# The name of a count, to each value that launches of one side told, with the number of the launches.
Tally = dict[str, dict[Value, int]]

OPERATORS, OUTPUT_IDS = "operators", "output ids"
# Names that are listed of each kind of difference between operators; values that are listed of a side.
_MOST_NAMES, _MOST_VALUES = 10, 5
# Hexadecimal digits of a sha256 that are shown.
_DIGITS = 12


@dataclass(frozen=True)
class OperatorChanges:
    """The operators that one side has and the other has not, or calls another number of times.

    ``added`` and ``removed`` map a name to its number of calls, ``changed`` to both numbers. Each holds at most ten names; ``left_out``
    is the number of differing names that are not listed, and None where a side has too many names for all to be compared.
    """

    added: dict[str, int]
    removed: dict[str, int]
    changed: dict[str, tuple[int, int]]
    left_out: int | None


@dataclass(frozen=True)
class CountChange:
    """One count of two sides. ``before`` and ``after`` hold each side's values in words: one where the side's launches agree, none where no
    launch told the count.

    ``word`` is ``differs`` where no launch of one side has a value of the other side and a side agrees with itself; ``unsteady`` where
    launches of one side disagree and that cannot be said; ``not told`` where a side does not tell the count. ``operators`` is set where
    operators differ. ``reason`` is None for equal counts.
    """

    name: str
    word: CountWord
    before: tuple[str, ...]
    after: tuple[str, ...]
    reason: str | None
    operators: OperatorChanges | None = None


def add(tally: Tally, attempt: AttemptSummary, launch: LaunchSummary) -> None:
    """Add the counts of one launch to its side's."""
    for name, value in _told(attempt, launch):
        values = tally.setdefault(name, {})
        values[value] = values.get(value, 0) + 1


def _told(attempt: AttemptSummary, launch: LaunchSummary) -> Iterator[tuple[str, Value]]:
    """Yield the name and the value of each count that a launch tells."""
    counts = launch.counts
    if counts is None:
        return
    named: dict[str, Value | None] = {
        "prompt tokens": counts.prompt_tokens,
        "prompt ids": counts.prompt_sha256,
        "output tokens": counts.output_tokens,
        OUTPUT_IDS: counts.output_sha256,
        "rows": counts.rows,
        "forward calls": counts.forward_calls,
        "graph builds": counts.compilations,
        OPERATORS: counts.operators,
        "parameter bytes": counts.parameter_bytes,
        "ranks": launch.ranks,
        "result schema": attempt.schema,
    }
    yield from ((name, value) for name, value in named.items() if value is not None)


def between(before: Tally, after: Tally) -> list[CountChange]:
    """Return every count that a side tells, in one order for all pairs."""
    return [_between(name, before.get(name, {}), after.get(name, {})) for name in dict.fromkeys([*before, *after])]


def _between(name: str, before: Mapping[Value, int], after: Mapping[Value, int]) -> CountChange:
    word, reason = _decide(name, before, after)
    operators = _operator_changes(before, after) if name == OPERATORS and word == DIFFERS else None
    if operators is not None:
        reason = f"{reason}; {'; '.join(operator_words(operators))}"
    return CountChange(name, word, _listed(before), _listed(after), reason, operators)


def _decide(name: str, before: Mapping[Value, int], after: Mapping[Value, int]) -> tuple[CountWord, str | None]:
    sides = {"before": before, "after": after}
    silent = [side for side, values in sides.items() if not values]
    if silent:
        return NOT_TOLD, f"{name}: not told by {silent[0]}"
    if name == OPERATORS and _tokens(before) != _tokens(after):
        return NOT_TOLD, f"{name}: counted over {_tokens(before)} tokens before and {_tokens(after)} after"
    unsteady = [side for side, values in sides.items() if len(values) > 1]
    if not unsteady:
        if before.keys() == after.keys():
            return EQUAL, None
        return DIFFERS, f"{name}: {_words(before)} before, {_words(after)} after"
    # several launches that agree, and none of the other side like them: that is no chance
    steady = [sum(values.values()) for values in sides.values() if len(values) == 1]
    apart = before.keys().isdisjoint(after.keys())
    told = f"{name}: launches of {' and of '.join(unsteady)} disagree: {_words(before)} before, {_words(after)} after"
    if apart and steady and steady[0] > 1:
        return DIFFERS, told
    return UNSTEADY, told


def _tokens(values: Mapping[Value, int]) -> list[int]:
    return sorted({value.output_tokens for value in values if isinstance(value, OperatorsSummary)})


def _words(values: Mapping[Value, int]) -> str:
    """Return the values of a side in words, each with the number of its launches where there are several."""
    if len(values) == 1:
        return _listed(values)[0]
    listed = [f"{_text(value)} ({times} of them)" for value, times in list(values.items())[:_MOST_VALUES]]
    return ", ".join([*listed, f"{len(values) - _MOST_VALUES} more"] if len(values) > _MOST_VALUES else listed)


def _listed(values: Mapping[Value, int]) -> tuple[str, ...]:
    return tuple(_text(value) for value in list(values)[:_MOST_VALUES])


def _text(value: Value) -> str:
    if isinstance(value, OperatorsSummary):
        return f"{value.names} names, sha256 {value.sha256[:_DIGITS]}"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"sha256 {cut(value, _DIGITS, '')}" if isinstance(value, str) else f"{value:,}"


def _operator_changes(before: Mapping[Value, int], after: Mapping[Value, int]) -> OperatorChanges | None:
    """Return which operators differ between the first value of each side."""
    old, new = next(iter(before)), next(iter(after))
    if not isinstance(old, OperatorsSummary) or not isinstance(new, OperatorsSummary):
        return None
    sides = [dict(summary.calls) for summary in (old, new)]
    whole = max(old.names, new.names) <= MOST_OPERATORS
    if not whole:
        # of a side that was cut, every name up to its last kept one is known
        last = min(max(calls) for summary, calls in zip((old, new), sides, strict=True) if summary.names > len(calls))
        sides = [{name: times for name, times in calls.items() if name <= last} for calls in sides]
    former, latter = sides
    added = {name: times for name, times in latter.items() if name not in former}
    removed = {name: times for name, times in former.items() if name not in latter}
    changed = {
        name: (times, latter[name]) for name, times in former.items() if name in latter and latter[name] != times
    }
    kinds = [len(added), len(removed), len(changed)]
    return OperatorChanges(
        added=dict(list(added.items())[:_MOST_NAMES]),
        removed=dict(list(removed.items())[:_MOST_NAMES]),
        changed=dict(list(changed.items())[:_MOST_NAMES]),
        left_out=sum(max(0, count - _MOST_NAMES) for count in kinds) if whole else None,
    )


def operator_words(changes: OperatorChanges) -> list[str]:
    """Return the differing operators in words, one for each kind of difference that there is."""
    lines = []
    if changes.added:
        lines.append("added: " + ", ".join(f"{name} ({times})" for name, times in changes.added.items()))
    if changes.removed:
        lines.append("removed: " + ", ".join(f"{name} ({times})" for name, times in changes.removed.items()))
    if changes.changed:
        lines.append("changed: " + ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.changed.items()))
    if changes.left_out is None:
        lines.append(f"a side has more than {MOST_OPERATORS} names: the first were compared by name, all by sha256")
    elif changes.left_out:
        lines.append(f"{changes.left_out} more differ")
    return lines
