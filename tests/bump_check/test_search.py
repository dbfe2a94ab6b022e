"""Which pins the search names: the true ones or none, within its limit of measurements, whatever the trees between say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bump_check import search
from tools.bump_check.search import CHANGED, INCONCLUSIVE, UNBUILDABLE, UNCHANGED, Pins, Space, Word

MOST_PINS = 12
WORDS: list[Word] = [CHANGED, UNCHANGED, INCONCLUSIVE, UNBUILDABLE]


def space(count: int, needs: dict[int, set[int]] | None = None) -> Space:
    """Pins p0, p1, ...; ``needs`` names the earlier pins that a pin needs directly."""
    closed: dict[str, Pins] = {}
    for number in range(count):
        direct = (f"p{other}" for other in (needs or {}).get(number, ()))
        closed[f"p{number}"] = frozenset({f"p{number}"}).union(*(closed[pin] for pin in direct))
    return Space(tuple(closed), closed)


@dataclass
class Truth:
    """Says the truth about each tree, but for the trees that ``hidden`` has another word for. ``asked`` are the trees in order."""

    changes: Callable[[Pins], bool]
    hidden: Callable[[Pins], Word | None] = lambda pins: None
    asked: list[Pins] = field(default_factory=list)

    def __call__(self, moved: tuple[str, ...]) -> Word:
        pins = frozenset(moved)
        assert pins not in self.asked
        self.asked.append(pins)
        return self.hidden(pins) or (CHANGED if self.changes(pins) else UNCHANGED)


def any_of(*causes: Iterable[str]) -> Callable[[Pins], bool]:
    """The change of a tree that holds at least one cause whole."""
    return lambda pins: any(frozenset(cause) <= pins for cause in causes)


spaces = st.integers(1, MOST_PINS).flatmap(
    lambda count: st.builds(
        space,
        st.just(count),
        st.fixed_dictionaries({number: st.sets(st.integers(0, number - 1), max_size=2) for number in range(1, count)}),
    )
)


@st.composite
def spaces_with_causes(draw: st.DrawFn, most_causes: int, most_pins: int) -> tuple[Space, list[Pins]]:
    drawn = draw(spaces)
    pins = st.frozensets(st.sampled_from(drawn.order), min_size=1, max_size=most_pins)
    return drawn, draw(st.lists(pins, min_size=1, max_size=most_causes))


def never(pins: Pins) -> bool:
    return False


@given(st.integers(1, MOST_PINS).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count - 1))))
def test_any_single_cause_is_found_within_the_steps_of_halving_and_the_two_checks(case: tuple[int, int]) -> None:
    count, cause = case
    truth = Truth(any_of([f"p{cause}"]))
    found = search.find(space(count), truth)
    assert [one.pins for one in found.causes] == [(f"p{cause}",)]
    assert found.complete and found.causes[0].separated and not found.unresolved and not found.ended
    assert len(truth.asked) <= math.ceil(math.log2(count)) + 2
    everything = frozenset(space(count).order)
    for known in ({f"p{cause}"}, everything - {f"p{cause}"}):
        assert known in truth.asked or known in (set(), everything)


def test_one_moved_pin_is_named_without_a_measurement() -> None:
    found = search.find(space(1), Truth(never))
    assert [one.pins for one in found.causes] == [("p0",)] and found.complete and not found.steps


@given(
    st.integers(2, MOST_PINS).flatmap(
        lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1), min_size=2, max_size=2))
    )
)
def test_two_causes_are_both_found(case: tuple[int, set[int]]) -> None:
    count, causes = case
    truth = Truth(any_of(*([f"p{cause}"] for cause in causes)))
    found = search.find(space(count), truth)
    assert sorted(one.pins for one in found.causes) == sorted((f"p{cause}",) for cause in causes)
    assert found.complete and len(truth.asked) <= search.MOST_MEASUREMENTS


@given(
    st.integers(2, MOST_PINS).flatmap(
        lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1), min_size=2, max_size=3))
    )
)
def test_pins_that_change_it_only_together_are_named_together(case: tuple[int, set[int]]) -> None:
    count, together = case
    names = [f"p{number}" for number in sorted(together)]
    found = search.find(space(count), Truth(any_of(names)), most=100)
    assert [one.pins for one in found.causes] == [tuple(names)]
    assert found.complete and found.causes[0].separated


@given(spaces_with_causes(most_causes=3, most_pins=3))
def test_the_causes_that_are_named_change_it_by_themselves_and_the_rest_does_not(
    case: tuple[Space, list[Pins]],
) -> None:
    drawn, causes = case
    changes = any_of(*causes)
    truth = Truth(changes)
    found = search.find(drawn, truth, most=200)
    assert found.complete
    for one in found.causes:
        assert one.separated and changes(frozenset(one.with_needed))
        for pin in one.pins:
            others = drawn.closed(frozenset(one.pins) - {pin})
            assert pin in others or not changes(others)
    named = frozenset(pin for one in found.causes for pin in one.pins)
    rest = drawn.without(frozenset(drawn.order), named)
    assert not changes(rest)
    assert named | rest | set(found.never_alone) == set(drawn.order)


@given(spaces_with_causes(most_causes=3, most_pins=2))
def test_every_tree_that_is_asked_for_is_whole_and_none_is_asked_twice(case: tuple[Space, list[Pins]]) -> None:
    drawn, causes = case
    truth = Truth(any_of(*causes))
    search.find(drawn, truth, most=200)
    assert all(drawn.closed(pins) == pins for pins in truth.asked)
    assert frozenset() not in truth.asked and frozenset(drawn.order) not in truth.asked


@given(spaces_with_causes(most_causes=3, most_pins=2), st.integers(0, 8))
def test_no_more_trees_are_measured_than_was_said(case: tuple[Space, list[Pins]], most: int) -> None:
    drawn, causes = case
    truth = Truth(any_of(*causes))
    found = search.find(drawn, truth, most)
    assert len(truth.asked) == len(found.steps) <= most
    if not found.complete:
        assert f"the limit of {most} measurements was reached" in found.ended and found.unresolved


@given(
    spaces_with_causes(most_causes=2, most_pins=2),
    st.sampled_from([INCONCLUSIVE, UNBUILDABLE]),
    st.sets(st.integers(0, 40)),
)
def test_trees_that_tell_nothing_never_lead_to_a_wrong_name(
    case: tuple[Space, list[Pins]], word: Word, silent: set[int]
) -> None:
    drawn, causes = case
    changes = any_of(*causes)

    def hidden(pins: Pins) -> Word | None:
        return word if len(truth.asked) in silent else None

    truth = Truth(changes, hidden)
    found = search.find(drawn, truth, most=200)
    answered = {frozenset(step.moved): step.word for step in found.steps}
    answered[frozenset(drawn.order)] = CHANGED
    for one in found.causes:
        # what is named was measured by itself, and is a cause or holds one
        assert answered[frozenset(one.with_needed)] == CHANGED and changes(frozenset(one.with_needed))
        if one.separated:
            assert all(not changes(drawn.closed(frozenset(one.pins) - {pin}) - {pin}) for pin in one.pins)
    named = frozenset(pin for one in found.causes for pin in one.pins)
    rest = drawn.without(frozenset(drawn.order), named)
    assert found.complete == (not found.ended)
    if found.complete:
        assert not changes(rest) and (not rest or answered[rest] == UNCHANGED)
    else:
        # a cause that was not found is among the pins that are said to be unresolved
        assert changes(frozenset(drawn.order)) and set(found.unresolved) <= set(drawn.order)
        assert not changes(rest) or changes(drawn.closed(frozenset(found.unresolved)))


@given(spaces, st.lists(st.sampled_from(WORDS), min_size=search.MOST_MEASUREMENTS, max_size=search.MOST_MEASUREMENTS))
def test_trees_that_say_anything_at_all_end_the_search_within_the_limit(drawn: Space, words: list[Word]) -> None:
    answered: dict[tuple[str, ...], Word] = {drawn.order: CHANGED}

    def measure(moved: tuple[str, ...]) -> Word:
        answered[moved] = words[len(answered) - 1]
        return answered[moved]

    found = search.find(drawn, measure)
    assert len(found.steps) == len(answered) - 1 <= search.MOST_MEASUREMENTS
    assert all(answered[one.with_needed] == CHANGED for one in found.causes)


def test_what_cannot_be_built_is_stepped_around() -> None:
    drawn = space(8)
    middle = frozenset(f"p{number}" for number in range(4))
    found = search.find(drawn, Truth(any_of(["p5"]), lambda pins: UNBUILDABLE if pins == middle else None))
    assert [one.pins for one in found.causes] == [("p5",)]
    assert found.complete and found.causes[0].separated


def test_pins_that_no_tree_separates_are_named_as_a_group() -> None:
    drawn = space(4)
    both = {"p1", "p2"}
    found = search.find(drawn, Truth(any_of(["p2"]), lambda pins: UNBUILDABLE if len(pins & both) == 1 else None))
    assert [(one.pins, one.separated) for one in found.causes] == [(("p1", "p2"), False)]
    assert found.complete


def test_what_a_tree_needs_to_be_built_is_not_named_as_a_part_of_the_cause() -> None:
    # p1 changes it, and no tree with p1 is built without p0, though no demand says so
    found = search.find(
        space(3), Truth(any_of(["p1"]), lambda pins: UNBUILDABLE if "p1" in pins and "p0" not in pins else None)
    )
    assert [(one.pins, one.separated) for one in found.causes] == [(("p0", "p1"), False)]


def test_a_pin_that_needs_others_is_named_and_the_others_are_not() -> None:
    drawn = space(4, {3: {1}})
    truth = Truth(any_of(["p3"]))
    found = search.find(drawn, truth)
    assert [(one.pins, one.with_needed) for one in found.causes] == [(("p3",), ("p1", "p3"))]
    assert found.complete and not found.never_alone


def test_a_pin_that_cannot_be_without_the_cause_is_said_to_be_unproven() -> None:
    found = search.find(space(4, {3: {1}}), Truth(any_of(["p1"])))
    assert [one.pins for one in found.causes] == [("p1",)]
    assert found.complete and found.never_alone == ("p3",)


@pytest.mark.parametrize("word", [INCONCLUSIVE, UNBUILDABLE])
def test_a_cause_whose_rest_tells_nothing_is_named_and_the_rest_is_left_open(word: Word) -> None:
    drawn = space(4)
    rest = frozenset(drawn.order) - {"p1"}
    found = search.find(drawn, Truth(any_of(["p1"]), lambda pins: word if pins == rest else None))
    assert [one.pins for one in found.causes] == [("p1",)]
    assert not found.complete and found.unresolved == ("p0", "p2", "p3")
    assert found.ended == f"the head without p1 is {word} against the base"
