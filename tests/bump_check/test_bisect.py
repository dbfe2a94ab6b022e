"""What an attribution says: by counts exactly, by times with corrected p-values, and where nothing can be named."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import InputError, Unreachable
from runner.host.judging import verdict
from tools.bump_check import bisect, comment, environments, launches, search, verdicts
from tools.bump_check.bisect import Asked, Attribution, Compare
from tools.bump_check.launches import Measured, Outcome
from tools.bump_check.search import Space, Word
from tools.bump_check.sides import Side
from tools.bump_check.verdicts import Compared

Row = dict[str, Any]
CASE = "cpu-1"


def by_counts(changed: bool, output_ids: str = "equal", differences: Sequence[str] = ()) -> Row:
    calls = {"name": "forward calls", "word": "differs" if changed else "equal"}
    calls["reason"] = "forward calls: 20 before, 39 after" if changed else None  # type: ignore[assignment]
    return {
        "case": CASE,
        "word": "CHANGED" if changed else "UNCHANGED",
        "found": ["counts"] if changed else [],
        "reasons": [],
        "counts": [calls, {"name": "output ids", "word": output_ids, "reason": None}],
        "times": {"word": None, "reason": "not judged", "p": None, "interval": None},
        "differences": list(differences),
    }


def by_times(word: str, p: float) -> Row:
    times = {"word": word, "reason": f"p = {p}", "p": p, "interval": [1.04, 1.06]}
    found = ["slower"] if word == "CHANGED" else []
    return {**by_counts(False), "word": word, "found": found, "times": times}


@dataclass
class Bench:
    """Stands in for trees, environments, launches and ``compare``: ``row`` tells what is measured of a tree."""

    row: Callable[[tuple[str, ...]], Row | Exception]
    order: tuple[str, ...] = ("cpu/datasets", "cpu/deepspeed", "cpu/transformers")
    fails: bool = False
    launched: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    moved: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def attribute(self, folder: Path, most: int = 16) -> Attribution | None:
        head = self.row(self.order)
        assert isinstance(head, dict)
        asked = Asked((), (), (), "counts", 5, most, folder)
        sides = [Side(name, folder / name, Path("python")) for name in ("base", "head")]
        measured = Measured({"base": folder / "base", "head": folder / "head"}, (), {CASE: "cpu"}, ())
        return bisect.attribute(sides[0], sides[1], measured, Compared([head], "", None), asked, lambda text: None)

    def of(self, folder: Path) -> tuple[str, ...]:
        """Return what is moved in the tree whose results lie in ``folder``."""
        return next((moved for tree, moved in self.moved.items() if folder.name == tree[:12]), self.order)

    def make(self, names: Sequence[str], folder: Path) -> Path:
        row = self.row(tuple(names))
        if isinstance(row, InputError):
            raise row
        tree = folder / "-".join(name.partition("/")[2] for name in names)
        self.moved[tree.name] = tuple(names)
        return tree


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    def put(row: Callable[[tuple[str, ...]], Row | Exception], **more: Any) -> Bench:
        bench = Bench(row, **more)

        class Between:
            space = Space(bench.order, {name: frozenset({name}) for name in bench.order})
            make = staticmethod(bench.make)

        def measure(
            sides: Sequence[Side], cases: Sequence[str], number: int, folder: Path, *rest: Any, **more: Any
        ) -> Measured:
            bench.launched.append((tuple(side.name for side in sides), number))
            row = bench.row(bench.of(folder))
            error = str(row) if isinstance(row, Exception) else None
            # a launch that fails a check has a result
            failed = bench.fails or isinstance(row, Exception)
            result = None if isinstance(row, Exception) else "result.json"
            outcome = Outcome(
                CASE, sides[-1].name, 1, result, error or ("failed" if failed else None), 6, 0.0, 0.0, 1.0
            )
            return Measured({side.name: folder / side.name for side in sides}, (outcome,), {CASE: "cpu"}, ())

        def compare(side: Side, measured: Measured, *rest: Any) -> Compared:
            row = bench.row(bench.of(measured.results[side.name].parent))
            assert isinstance(row, dict) and "base" in measured.results
            return Compared([row], "", None)

        monkeypatch.setattr(bisect, "Between", lambda *arguments: Between())
        monkeypatch.setattr(bisect, "_stacks", lambda *arguments: ["cpu"])
        monkeypatch.setattr(environments, "make", lambda tree, show: Path("python"))
        monkeypatch.setattr(launches, "measure", measure)
        monkeypatch.setattr(verdicts, "compare", compare)
        return bench

    return put


def test_by_counts_one_launch_of_each_tree_between_is_measured_and_the_pin_is_named(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    one = bench(lambda moved: by_counts("cpu/transformers" in moved))
    found = one.attribute(tmp_path)
    assert found is not None
    assert found.sentence == (
        "cpu/transformers changed it: the base with nothing else of the head is CHANGED. Without it the head has the counts of"
        " the base. Counts are exact; 3 trees were measured between base and head, of 16 at most."
    )
    assert {number for _, number in one.launched} == {1}
    assert all("base" not in names for names, _ in one.launched)
    assert [each.word for each in found.compared] == ["CHANGED", "UNCHANGED", "UNCHANGED", "CHANGED"]
    assert found.compared[0].reasons == ("cpu-1: forward calls: 20 before, 39 after",)


def test_by_times_base_and_tree_are_measured_in_turn_and_p_is_corrected_for_all_comparisons(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    def row(moved: tuple[str, ...]) -> Row:
        return by_times("CHANGED", 0.001) if "cpu/transformers" in moved else by_times("UNCHANGED", 0.4)

    one = bench(row)
    found = one.attribute(tmp_path)
    assert found is not None and found.by == "times" and found.complete
    assert [cause.pins for cause in found.causes] == [("cpu/transformers",)]
    assert {(names[0], number) for names, number in one.launched} == {("base", 5)}
    # of 4 comparisons two are at 0.001
    assert [each.adjusted_p for each in found.compared] == pytest.approx([0.004, 0.8, 0.8, 0.004])
    assert "Times decide" in found.sentence


def test_by_times_a_head_that_fresh_launches_do_not_confirm_is_attributed_to_nothing(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    launched: list[tuple[tuple[str, ...], int]] = []
    rows = [by_times("CHANGED", 0.001), by_times("INCONCLUSIVE", 0.2)]
    one = bench(lambda moved: rows[1] if launched else rows[0], launched=launched)
    found = one.attribute(tmp_path)
    assert found is not None and not found.causes and found.unresolved == one.order
    assert "fresh launches of the head are INCONCLUSIVE against the base (cpu-1: p = 0.2)" in found.sentence
    assert one.launched == [(("base", "head"), 5)]


@pytest.mark.parametrize("slower, most_wrong", [(0.1, 0.02), (0.05, 0.02), (0.0, 0.0)])
def test_of_searches_by_times_hardly_any_names_a_wrong_pin(slower: float, most_wrong: float) -> None:
    """Launches vary by 1%. Among eight pins one makes it slower; or none does, and the head that began the search was a false alarm."""
    source = random.Random(1)
    order = tuple(f"p{number}" for number in range(8))
    space = Space(order, {pin: frozenset({pin}) for pin in order})
    searches, right, wrong = 200, 0, 0
    for _ in range(searches):
        cause = source.choice(order)
        compared: list[Compare] = []

        def measure(moved: tuple[str, ...], cause: str = cause, compared: list[Compare] = compared) -> Word:
            after_s = 1 + slower * (cause in moved)
            before, after = ([center * math.exp(source.gauss(0, 0.01)) for _ in range(5)] for center in (1.0, after_s))
            change = verdict.between_runs(before, after)
            compared.append(Compare(moved, change.word, (), change.p))
            return change.word

        # what comes after fresh launches of the head confirmed it
        if measure(order) == "CHANGED":
            found = bisect._attribution(search.find(space, measure), "times", order, compared, 16)
            named = {pin for one in found.causes for pin in one.pins}
            right += found.complete and named == {cause}
            wrong += bool(named - {cause}) or (bool(named) and not slower)
    print(f"slower by {slower:.0%}: {right} named right, {wrong} wrong, of {searches}")
    assert wrong <= most_wrong * searches
    assert not slower or right >= 0.4 * searches


def test_a_p_value_that_is_too_large_after_the_correction_names_nothing(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    found = bench(
        lambda moved: by_times("CHANGED", 0.02) if "cpu/transformers" in moved else by_times("UNCHANGED", 0.4)
    ).attribute(tmp_path)
    assert found is not None
    assert not found.causes and not found.complete and found.unresolved == ("cpu/transformers",)
    assert found.sentence.startswith(
        "No pin is named. The search ended: the corrected p-value of cpu/transformers is 0.05 or more"
    )


def test_the_smallest_p_value_of_several_cases_counts_as_often() -> None:
    order, steps = ("one", "two"), [("CHANGED", 0.004), ("UNCHANGED", 0.5), ("CHANGED", 0.004)]
    moved = (order, ("one",), ("two",))
    compared = [Compare(pins, word, (), p) for pins, (word, p) in zip(moved, steps, strict=True)]  # type: ignore[arg-type]
    words = {each.moved: each.word for each in compared}
    found = search.find(Space(order, {pin: frozenset({pin}) for pin in order}), lambda pins: words[pins])
    sure = bisect._attribution(found, "times", order, compared, 16, cases=1)
    assert [cause.pins for cause in sure.causes] == [("two",)] and sure.complete
    # three comparisons of five cases each are fifteen
    unsure = bisect._attribution(found, "times", order, compared, 16, cases=5)
    assert not unsure.causes and not unsure.complete and unsure.unresolved == ("two",)


def test_where_one_case_changed_in_counts_and_another_in_time_counts_decide_and_the_other_is_told(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench(lambda moved: by_counts("cpu/transformers" in moved))
    attribute = bisect.attribute

    def with_another(*arguments: Any) -> Attribution | None:
        base, head, measured, compared, *rest = arguments
        other = {**by_times("CHANGED", 0.001), "case": "cpu-2"}
        return attribute(base, head, measured, Compared([other, *compared.changes], "", None), *rest)

    monkeypatch.setattr(bisect, "attribute", with_another)
    found = one.attribute(tmp_path)
    assert found is not None and found.by == "counts"
    assert [cause.pins for cause in found.causes] == [("cpu/transformers",)]
    assert "Which pin changed the time of cpu-2 was not looked for" in found.sentence


@pytest.mark.parametrize(
    "word, told",
    [
        (by_counts(False, output_ids="unsteady"), "INCONCLUSIVE"),
        (by_counts(True, differences=["devices"]), "INCONCLUSIVE"),
        (by_counts(False, output_ids="not told"), "INCONCLUSIVE"),
        (Unreachable("the index did not answer"), "UNBUILDABLE"),
        (InputError("these versions do not go together"), "UNBUILDABLE"),
    ],
)
def test_a_tree_that_tells_nothing_has_the_word_for_it_and_leads_to_no_wrong_name(
    bench: Callable[..., Bench], tmp_path: Path, word: Row | Exception, told: str
) -> None:
    def row(moved: tuple[str, ...]) -> Row | Exception:
        return by_counts(True) if len(moved) == 3 else word

    found = bench(row).attribute(tmp_path)
    assert found is not None
    assert {each.word for each in found.compared[1:]} == {told}
    for cause in found.causes:
        assert not cause.separated and len(cause.pins) == 3


def test_an_index_that_does_not_answer_ends_the_search(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench(lambda moved: by_counts("cpu/transformers" in moved))

    def silent(tree: Path, show: object) -> Path:
        raise Unreachable("the index did not answer")

    monkeypatch.setattr(environments, "make", silent)
    found = one.attribute(tmp_path)
    assert found is not None and not found.causes
    assert found.sentence == (
        "No pin is named. The search ended: a tree between is INCONCLUSIVE against the base. A cause is among cpu/datasets,"
        " cpu/deepspeed, cpu/transformers. Counts are exact; 1 tree was measured between base and head, of 16 at most."
    )


def test_two_causes_are_named_each_for_itself(bench: Callable[..., Bench], tmp_path: Path) -> None:
    found = bench(lambda moved: by_counts("cpu/datasets" in moved or "cpu/transformers" in moved)).attribute(tmp_path)
    assert found is not None and found.complete
    assert sorted(cause.pins for cause in found.causes) == [("cpu/datasets",), ("cpu/transformers",)]
    assert "Without them the head has the counts of the base" in found.sentence


def test_a_launch_that_failed_a_check_tells_its_counts(bench: Callable[..., Bench], tmp_path: Path) -> None:
    found = bench(lambda moved: by_counts("cpu/transformers" in moved), fails=True).attribute(tmp_path)
    assert found is not None and found.complete
    assert [cause.pins for cause in found.causes] == [("cpu/transformers",)]


def test_a_launch_that_failed_and_tells_no_counts_is_no_word_on_the_tree(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    one = bench(lambda moved: by_counts(True) if len(moved) == 3 else by_counts(False, "not told"), fails=True)
    found = one.attribute(tmp_path)
    assert found is not None
    assert {each.word for each in found.compared[1:]} == {"UNBUILDABLE"}


def test_what_did_not_change_is_not_attributed(bench: Callable[..., Bench], tmp_path: Path) -> None:
    assert bench(lambda moved: by_counts(False)).attribute(tmp_path) is None


def test_trees_that_differ_in_nothing_that_acts_are_refused(bench: Callable[..., Bench], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing can be attributed"):
        bench(lambda moved: by_counts(True), order=()).attribute(tmp_path)


def test_the_comment_shows_every_tree_with_its_word(bench: Callable[..., Bench], tmp_path: Path) -> None:
    found = bench(lambda moved: by_counts("cpu/transformers" in moved)).attribute(tmp_path)
    lines = list(comment._attributed(found))
    assert found is not None and lines[0] == f"`{found.sentence}`"
    assert "| everything | CHANGED | `cpu-1: forward calls: 20 before, 39 after` |" in lines
    assert "| `cpu/datasets, cpu/deepspeed` | UNCHANGED | `cpu-1: all counts that both sides tell are equal` |" in lines
