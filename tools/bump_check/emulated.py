"""Compare what Gaudi stacks do under the emulated chip, where the rows of the stacks differ between two locks.

``python -m tests.emulation.calls STACK`` of each side's own tree tells a stack's tokens and its calls to the device. No time of it means
anything, so none is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from packaging.version import InvalidVersion, Version

from runner.contract.errors import KitError, LaunchFailed
from runner.contract.progress import Show
from tools.bump_check import moved
from tools.bump_check.sides import Side

PROGRAM = "tests.emulation.calls"

# The keys of what the program prints: the tokens, and what tells the order and the number of calls.
_TOKENS = "tokens"
_CALLS = ("forward_calls", "graph_builds", "first_generate", "generate", "operators")

Word = Literal["equal", "differs", "unknown"]


@dataclass(frozen=True)
class Pair:
    """A stack of the head's lock, and the stack of the base's lock that it is compared with; None where it follows none.

    ``is_new`` says that the base's lock has no stack of this name.
    """

    after: str
    before: str | None
    is_new: bool


@dataclass(frozen=True)
class Emulated:
    """What the emulated chip told of a pair. ``tokens`` and ``calls`` are each equal, differing or unknown.

    ``differences`` name the calls that differ. ``error`` says why something is unknown, and ``head_failed`` that only the head's stack did
    not run to its end.
    """

    stack: str
    compared_with: str | None
    is_new: bool
    tokens: Word
    calls: Word
    differences: tuple[str, ...]
    error: str | None
    head_failed: bool

    @property
    def fails(self) -> bool:
        """Whether this is a failure of the bump: other tokens, other calls of a stack that is not new, or a stack that does not run."""
        return self.head_failed or self.tokens == "differs" or (self.calls == "differs" and not self.is_new)

    @property
    def is_unknown(self) -> bool:
        """Whether nothing can be said."""
        return not self.fails and "unknown" in (self.tokens, self.calls)


def pairs(before_lock: str, after_lock: str) -> list[Pair]:
    """Return the Gaudi stacks of the second lock whose rows differ from the first's, and the new ones beside the stacks they follow."""
    before, after = _stacks(before_lock), _stacks(after_lock)
    found = []
    for name, leaves in after.items():
        if name not in before:
            found.append(Pair(name, _followed(name, list(before)), is_new=True))
        elif leaves != before[name]:
            found.append(Pair(name, name, is_new=False))
    return found


def compare(pair: Pair, base: Side, head: Side, show: Show) -> Emulated:
    """Run both stacks of a pair under the emulated chip, each by its own tree's code, and return what differs."""
    told: list[dict[str, Any] | KitError] = []
    for side, stack in ((base, pair.before), (head, pair.after)):
        if stack is None:
            told.append(KitError(f"the base's lock has no Gaudi stack that {pair.after} follows."))
            continue
        show(f"{stack} of {side.name} under the emulated chip; a stack that is not built yet takes minutes")
        try:
            told.append(_told(side, stack))
        except KitError as problem:
            told.append(problem)
    before, after = told
    if isinstance(before, KitError) or isinstance(after, KitError):
        problems = [str(each) for each in told if isinstance(each, KitError)]
        failed = isinstance(after, LaunchFailed) and not isinstance(before, KitError)
        return Emulated(pair.after, pair.before, pair.is_new, "unknown", "unknown", (), " ".join(problems), failed)
    differences = tuple(_differences(before, after))
    untold = [key for key in (_TOKENS, *_CALLS) if key not in before or key not in after]
    tokens: Word = "unknown" if _TOKENS in untold else "equal" if before[_TOKENS] == after[_TOKENS] else "differs"
    calls: Word = "differs" if differences else "unknown" if {*untold} & {*_CALLS} else "equal"
    error = f"{PROGRAM} of a side does not tell {', '.join(untold)}." if untold else None
    return Emulated(pair.after, pair.before, pair.is_new, tokens, calls, differences, error, head_failed=False)


def _told(side: Side, stack: str) -> dict[str, Any]:
    """Return what the program of a side tells of a stack. Raises ``KitError`` for what is no JSON object, too."""
    try:
        told = json.loads(side.run(PROGRAM, stack))
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise KitError(f"{side.name}: {PROGRAM} {stack} printed no JSON object.")
    return told


def _differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yield in words which counts and orders of calls differ, of those that both sides tell."""
    for key in _CALLS:
        old, new = before.get(key), after.get(key)
        if old == new or key not in before or key not in after:
            continue
        if isinstance(old, int) and isinstance(new, int):
            yield f"{key}: {old} before, {new} after"
        elif isinstance(old, dict) and isinstance(new, dict):
            times = old.get("times", {}), new.get("times", {})
            changed = [
                f"{name} {times[0].get(name, 0)} -> {times[1].get(name, 0)}"
                for name in dict.fromkeys([*times[0], *times[1]])
                if times[0].get(name) != times[1].get(name)
            ]
            yield f"{key}: {', '.join(changed[:10]) or 'in another order, or of other shapes'}{_more(len(changed) - 10)}"
        else:
            yield f"{key}: another sequence of calls"


def _more(number: int) -> str:
    return f" and {number} more" if number > 0 else ""


def _stacks(lock: str) -> dict[str, dict[str, str]]:
    """Return the leaves of each Gaudi stack of a lock."""
    stacks: dict[str, dict[str, str]] = {}
    values = moved.leaves_by_path(lock)
    for path, value in values.items():
        if len(path) > 2 and path[0] == "stacks" and values.get(("stacks", path[1], "device")) == "hpu":
            stacks.setdefault(path[1], {})[".".join(path[2:])] = value
    return stacks


def _followed(name: str, others: list[str]) -> str | None:
    """Return the stack with the highest version below that of ``name``; None where there is none."""
    own = _version(name)
    below = [
        (version, other)
        for other in others
        if (version := _version(other)) is not None and own is not None and version < own
    ]
    return max(below)[1] if below else None


def _version(stack: str) -> Version | None:
    try:
        return Version(stack.rpartition("-")[2])
    except InvalidVersion:
        return None
