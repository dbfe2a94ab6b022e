"""Results with their samples, files and rows: what a report and an export are made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.host.judging import measured, verdict
from runner.host.judging.measured import Measured
from runner.host.readers import catalog
from runner.host.results import result_files
from runner.host.results.index import Index
from tests.examples import made_up
from tests.examples.made_up import MadeUp

TABLES = catalog.read()


def read(folder: Path, *many: MadeUp, sources: tuple[str, ...] = ()) -> list[Measured]:
    made_up.write(folder, list(many))
    with Index(None) as index:
        return measured.of_results(result_files.read_whole([folder], index, []), TABLES, sources=sources)


def test_every_launch_is_a_sample_and_every_result_a_file_in_the_order_of_time(tmp_path: Path) -> None:
    (found,) = read(tmp_path, MadeUp("gaudi2-1-bloomz-7b1", attempts=3, launches=2, failed=1))
    assert sorted(sample.latency_s for sample in found.samples) == sorted(found.group.latencies_s)
    assert [sample.index for sample in found.samples] == [0, 1] * 3
    attempts = [file.attempt for file in found.files]
    assert attempts == sorted(attempts) == sorted(found.group.attempts)
    for file in found.files:
        result, _ = result_files.read_one(file.path)
        assert (file.attempt, file.sha256) == (result["attempt"]["id"], result["sha256"])


def test_without_sources_the_rows_are_those_that_the_case_names(tmp_path: Path) -> None:
    (found,) = read(tmp_path, MadeUp("a100-8-bloomz"))
    assert [row.claim for row in found.rows] == found.group.request.beside == ["post-3-a100-8-bloomz"]


def test_the_same_cell_of_another_revision_gets_a_row_and_its_own_verdict(tmp_path: Path) -> None:
    found = read(tmp_path, MadeUp("a100-8-bloomz"), MadeUp("gaudi2-8-bloomz"), sources=("post-1", "post-3"))
    words = {row.claim: row.verdict.word for each in found for row in each.rows}
    # A100's number is the same in both revisions; Gaudi2's of the first was measured on other software
    assert words == {
        "post-3-a100-8-bloomz": verdict.REPRODUCED,
        "post-1-a100-8-bloomz": verdict.REPRODUCED,
        "post-3-gaudi2-8-bloomz": verdict.REPRODUCED,
        "post-1-gaudi2-8-bloomz": verdict.NOT_COMPARABLE,
    }


@pytest.mark.parametrize("source", ["bloom-2022", "ci-1.9.0", "h100-2026"])
def test_a_number_of_another_cell_or_another_unit_gets_no_row(tmp_path: Path, source: str) -> None:
    (found,) = read(tmp_path, MadeUp("gaudi2-8-bloomz"), sources=(source,))
    assert [row.claim for row in found.rows] == ["post-3-gaudi2-8-bloomz"]
