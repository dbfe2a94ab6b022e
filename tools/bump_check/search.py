"""Find which moved pins changed a measurement, from words on trees between base and head. Pure: the caller measures.

A tree between is the base with some moved pins taken from the head. The search begins with what is known (the base against itself is
UNCHANGED, the head is CHANGED) and halves an ordered list of pins until one pin turns UNCHANGED into CHANGED. That alone assumes one
cause. So the pin is then tried by itself, and the head without the pin too, and the search goes on where either says something else:

- base + pin is UNCHANGED: the change needs others as well, which are found in the same way (delta debugging's minimal set);
- head - pin is CHANGED: there is another cause among the other pins, which is found in the same way.

A pin is named only where "base + pin" was measured as CHANGED. The naming is complete only where "head - all that are named" was measured
as UNCHANGED. A tree that cannot be built or measured is stepped around; pins that no measured tree separates are named as a group. An
INCONCLUSIVE word ends the search with what is known, and so does the limit of measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Word = Literal["CHANGED", "UNCHANGED", "INCONCLUSIVE", "UNBUILDABLE"]
CHANGED: Final = "CHANGED"
UNCHANGED: Final = "UNCHANGED"
INCONCLUSIVE: Final = "INCONCLUSIVE"
UNBUILDABLE: Final = "UNBUILDABLE"

Pins = frozenset[str]

# One cause among twelve takes at most 4 steps of halving and the two checks; two causes take twice that.
MOST_MEASUREMENTS = 16


@dataclass(frozen=True)
class Space:
    """The pins that moved, and which trees between base and head are whole.

    ``order`` lists the pins so that each stands behind those that it needs. ``needs`` maps a pin to all the pins that must come from the
    head with it, itself included.
    """

    order: tuple[str, ...]
    needs: Mapping[str, Pins]

    def closed(self, pins: Pins) -> Pins:
        """Return pins with all that they need."""
        return pins.union(*(self.needs[pin] for pin in pins))

    def without(self, pins: Pins, removed: Pins) -> Pins:
        """Return pins without the removed ones and without those that need one of the removed."""
        return frozenset(pin for pin in pins if not self.needs[pin] & removed)

    def sorted(self, pins: Pins) -> tuple[str, ...]:
        """Return pins in the order of the space."""
        return tuple(pin for pin in self.order if pin in pins)


@dataclass(frozen=True)
class Step:
    """One measured tree: the pins that it has from the head, and its word against the base."""

    moved: tuple[str, ...]
    word: Word


@dataclass(frozen=True)
class Cause:
    """A smallest set of pins that changes the measurement by itself.

    ``with_needed`` are the pins of the tree in which it was measured: the pins themselves and what they need. Where not ``separated``, no
    tree that could be measured tells the pins of ``pins`` apart: one of them, or several, are the cause.
    """

    pins: tuple[str, ...]
    with_needed: tuple[str, ...]
    separated: bool


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    ``complete`` says that the head without the causes is UNCHANGED. ``unresolved`` are pins among which a cause may be that the search did
    not find; it is empty where the outcome is complete. ``never_alone`` are pins that need a cause, so that no tree shows what they
    change by themselves. ``ended`` is the sentence that says why an incomplete search ended, empty for a complete one.
    """

    causes: tuple[Cause, ...]
    complete: bool
    unresolved: tuple[str, ...]
    never_alone: tuple[str, ...]
    steps: tuple[Step, ...]
    ended: str


class _Ended(Exception):
    """The search cannot go on; ``among`` are the pins among which a cause was still looked for."""

    def __init__(self, why: str, among: Pins) -> None:
        super().__init__(why)
        self.why, self.among = why, among


class _Oracle:
    """Asks the caller for the word of a tree, each tree once, and at most so many trees."""

    def __init__(self, space: Space, measure: Callable[[tuple[str, ...]], Word], most: int) -> None:
        self._space, self._measure, self._most = space, measure, most
        self._known: dict[Pins, Word] = {frozenset(): UNCHANGED, frozenset(space.order): CHANGED}
        self.steps: list[Step] = []

    def word(self, pins: Pins, among: Pins) -> Word:
        """Return the word of the tree with these pins; ``among`` is what the search looks at. Raises ``_Ended`` at the limit."""
        pins = self._space.closed(pins)
        if pins not in self._known:
            if len(self.steps) >= self._most:
                raise _Ended(f"the limit of {self._most} measurements was reached", among)
            moved = self._space.sorted(pins)
            self._known[pins] = self._measure(moved)
            self.steps.append(Step(moved, self._known[pins]))
        return self._known[pins]


def find(space: Space, measure: Callable[[tuple[str, ...]], Word], most: int = MOST_MEASUREMENTS) -> Found:
    """Return which of the moved pins changed the measurement; the head, with all of them, is known to be CHANGED.

    ``measure`` returns the word of the tree that has the given pins from the head, against the base. It is called at most ``most``
    times, and never for the base or the head.
    """
    oracle = _Oracle(space, measure, most)
    causes: list[Cause] = []
    # base + these is CHANGED
    changing = frozenset(space.order)
    try:
        while True:
            cause = _smallest(space, oracle, changing)
            causes.append(cause)
            rest = space.without(changing, frozenset(cause.pins))
            word = oracle.word(rest, rest)
            if word == UNCHANGED:
                break
            if word != CHANGED:
                raise _Ended(f"the head without {_list(space, causes)} is {word} against the base", rest)
            changing = rest
    except _Ended as end:
        return _found(space, oracle, causes, end.among, end.why)
    return _found(space, oracle, causes, frozenset(), "")


def _smallest(space: Space, oracle: _Oracle, changing: Pins) -> Cause:
    """Return a smallest set of pins within ``changing`` whose tree is CHANGED; the tree of ``changing`` itself is.

    Raises ``_Ended`` where a word is INCONCLUSIVE or the limit is reached.
    """
    needed: Pins = frozenset()
    separated = True
    pool = [pin for pin in space.order if pin in changing]
    while True:
        among = needed.union(pool)
        word = oracle.word(needed, among)
        if word == CHANGED:
            return Cause(space.sorted(needed), space.sorted(space.closed(needed)), separated)
        if word == INCONCLUSIVE:
            raise _Ended(f"the base with {', '.join(space.sorted(needed))} is {word} against the base", among)
        low, high = _turn(oracle, needed, pool)
        # what was needed to build the tree may be needed for nothing else
        if high - low > 1 or (low == 0 and word == UNBUILDABLE):
            separated = False
        needed = needed.union(pool[low:high])
        pool = [pin for pin in pool[:low] if pin not in space.closed(needed)]


def _turn(oracle: _Oracle, needed: Pins, pool: Sequence[str]) -> tuple[int, int]:
    """Return (low, high): the tree of ``needed`` and the first ``high`` pins of the pool is CHANGED, that of the first ``low`` is not.

    ``high`` is ``low + 1`` unless no tree between can be built. Where ``low`` is 0 its tree is that of ``needed`` alone. Raises ``_Ended``
    where a word is INCONCLUSIVE.
    """
    low, high = 0, len(pool)
    unbuildable: set[int] = set()
    while True:
        middle = (low + high) / 2
        between = sorted(set(range(low + 1, high)) - unbuildable, key=lambda number: abs(number - middle))
        if not between:
            return low, high
        number = between[0]
        word = oracle.word(needed.union(pool[:number]), needed.union(pool[low:high]))
        if word == CHANGED:
            high = number
        elif word == UNCHANGED:
            low = number
        elif word == UNBUILDABLE:
            unbuildable.add(number)
        else:
            raise _Ended("a tree between is INCONCLUSIVE against the base", needed.union(pool[low:high]))


def _found(space: Space, oracle: _Oracle, causes: Sequence[Cause], among: Pins, ended: str) -> Found:
    named = frozenset(pin for cause in causes for pin in cause.pins)
    dependents = frozenset(space.order) - space.without(frozenset(space.order), named) - named
    return Found(tuple(causes), not ended, space.sorted(among), space.sorted(dependents), tuple(oracle.steps), ended)


def _list(space: Space, causes: Sequence[Cause]) -> str:
    return ", ".join(space.sorted(frozenset(pin for cause in causes for pin in cause.pins)))
