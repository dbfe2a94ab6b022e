"""Made-up results are what the kit reads: whole, sealed, true to the schema, and the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.host.judging import measured
from runner.host.judging.measured import Measured
from runner.host.readers import catalog
from runner.host.results import index, result_files
from tests.examples import made_up
from tests.examples.made_up import MadeUp


def read(folder: Path) -> list[Measured]:
    with index.Index(None) as remembered:
        results = list(result_files.read_all([folder], remembered))
    whole = [result for result in results if isinstance(result, result_files.ReadResult)]
    assert whole == results
    return measured.of_results(whole, catalog.read())


def test_each_of_the_eight_published_cells_gets_the_verdict_that_it_was_made_for(tmp_path: Path) -> None:
    paths = made_up.write_eight_cells(tmp_path)
    for path in paths:
        result_files.read_one(path)
    words = {row.claim: row.verdict.word for group in read(tmp_path) for row in group.rows}
    tables = catalog.read()
    wanted = {tables.cases[made.case].beside[0]: word.partition(",")[0] for word, made in made_up.EIGHT_CELLS.items()}
    assert words == wanted
    assert set(words) == {name for name, claim in tables.claims.items() if claim.source == "post-3"}


@pytest.mark.parametrize("seed", [0, 7])
def test_mean_and_variation_are_those_asked_for_whatever_the_seed(tmp_path: Path, seed: int) -> None:
    made_up.write(tmp_path, [MadeUp("gaudi2-8-bloomz", ratio=1.02, cv=0.01, attempts=2)], seed)
    (row,) = read(tmp_path)[0].rows
    assert row.verdict.launches == 10
    assert row.verdict.ratio == pytest.approx(1.02)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    files = {
        name: [path.read_bytes() for path in made_up.write_eight_cells(tmp_path / name, seed)]
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    }
    assert files["first"] == files["again"]
    assert not set(files["first"]) & set(files["other"])


def test_energy_flags_failures_and_emulation_are_told_where_they_were_asked_for(tmp_path: Path) -> None:
    asked = MadeUp("gaudi2-8-bloomz", latency_s=4.0, watts=100, flagged={1: "throttling"}, failed=1, emulated=True)
    made_up.write(tmp_path, [asked])
    (group,) = read(tmp_path)
    assert [sample.flagged for sample in group.samples] == [(), ("throttling",), (), (), ()]
    # eight devices at 100 W
    assert [sample.energy_j for sample in group.samples] == pytest.approx([800 * s.latency_s for s in group.samples])
    assert group.group.failed == 1
    assert group.group.emulated


def test_a_history_is_one_case_on_four_stacks_and_a_laboratory_is_another_host(tmp_path: Path) -> None:
    made_up.write_history(tmp_path / "history")
    history = read(tmp_path / "history")
    assert len({group.group.request.id for group in history}) == 4
    assert {group.group.request.case for group in history} == {"gaudi2-8-bloomz"}
    (path, *_) = made_up.write_laboratory(tmp_path / "laboratory")
    assert result_files.read_one(path)[0]["environment"]["host"] == "made-up-elsewhere"
