from __future__ import annotations

import csv
import io
from dataclasses import replace

import pandas
import pytest

from runner.host.exports import launches_csv
from tests.host.exports import made


def rows(text: str) -> list[dict[str, str]]:
    """Return the rows as Python's reader of strict CSV has them."""
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_each_launch_is_a_row_with_the_conditions_of_its_request() -> None:
    first, *others = rows(launches_csv.text(made.of(made.gaudi2())))
    assert len(others) == len(made.STEADY_S) - 1
    del first["ratios"]
    assert first == {
        "attempt": "20261122T100000Z-0123abcd",
        "request": made.gaudi2()[1].id,
        "case": "gaudi2-8-bloomz",
        "launch": "0",
        "accelerator": "gaudi2",
        "devices": "8",
        "model": "bloomz",
        "revision": "7" * 40,
        "weights": "hub",
        "stack": "gaudi-1.10",
        "precision": "bfloat16",
        "engine": "plain",
        "protocol": "gaudi-1.10",
        "batch_size": "1",
        "input_tokens": "7",
        "output_tokens": "100",
        "walk_through": "false",
        "emulated": "false",
        "latency_s": "3.1",
        "ttft_s": "0.05",
        "tpot_s": repr(0.2 / 99),
        "energy_j": "",
        "flagged": "",
        "claims": "post-3-gaudi2-8-bloomz",
        "published_s": "3.103",
        "verdicts": "REPRODUCED",
        "path": "results/r.json",
        "sha256": made.SEAL,
    }


def test_pandas_reads_numbers_as_the_same_floats_and_unknown_as_missing() -> None:
    latencies_s = (3.1, 1 / 3, 3.0000000000000004)
    table = pandas.read_csv(io.StringIO(launches_csv.text(made.of(made.gaudi2(*latencies_s)))))
    assert table["latency_s"].tolist() == list(latencies_s)
    assert table["energy_j"].isna().all() and table["walk_through"].tolist() == [False] * 3


def test_a_walk_through_and_dummy_weights_are_said_in_each_row() -> None:
    (row,) = rows(launches_csv.text(made.of(made.cpu())))
    assert (row["walk_through"], row["weights"], row["verdicts"]) == ("true", "dummy", "NOT-COMPARABLE")


def test_a_stand_in_has_no_times() -> None:
    (row,) = rows(launches_csv.text(made.of(made.stand_in())))
    assert [row[column] for column in row if column.endswith("_s") and column != "published_s"] == [""] * 3
    assert (row["emulated"], row["energy_j"], row["ratios"]) == ("true", "", "")


def test_lines_end_as_the_standard_says_and_the_header_comes_first() -> None:
    text = launches_csv.text(made.of(made.gaudi2()))
    assert text.count("\r\n") == text.count("\n") == len(made.STEADY_S) + 1
    assert text.startswith(",".join(launches_csv.COLUMNS) + "\r\n")


def test_without_results_the_header_stands_alone() -> None:
    assert rows(launches_csv.text([])) == []


@pytest.mark.parametrize("name", made.HOSTILE, ids=ascii)
def test_no_foreign_text_begins_a_formula_or_a_row(name: str) -> None:
    for result, path in [(made.flagged(name), "r.json"), (made.gaudi2(), name)]:
        text = launches_csv.text(made.of(result, path=path))
        assert len(rows(text)) == len(made.STEADY_S)
        # a spreadsheet whose separator is another one than the comma sees these cells
        for separator in ",;\t":
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
                for cell in row:
                    assert not cell.strip('"').startswith(tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")), cell
                    assert all(character.isprintable() for character in cell)


def test_the_items_of_a_cell_stay_as_many_as_they_are() -> None:
    body, request = made.cpu()
    request = replace(request, beside=["post-3-gaudi2-1-bloomz-7b1", "post-3-a100-1-bloomz-7b1"])
    (row,) = rows(launches_csv.text(made.of((body, request))))
    columns = [row[column].split(";") for column in ("claims", "published_s", "ratios", "verdicts")]
    assert columns[:2] == [request.beside, ["0.772", "2.119"]]
    assert {len(items) for items in columns} == {2}
    checks = rows(launches_csv.text(made.of(made.flagged("a;b"))))
    assert checks[0]["flagged"] == "a,b"
