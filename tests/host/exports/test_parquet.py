from __future__ import annotations

import importlib.util
import io
from typing import Any

import pandas
import pytest
from pyarrow import parquet as reader

from runner.contract.errors import Unsupported
from runner.host.exports import launches_csv, parquet
from tests.host.exports import made


def table(*results: Any, path: str = "results/r.json") -> Any:
    return reader.read_table(io.BytesIO(parquet.data(made.of(*results, path=path))))


def test_pyarrow_reads_the_columns_of_the_csv_with_their_types() -> None:
    read = table(made.gaudi2(3.1, 1 / 3))
    assert tuple(read.column_names) == launches_csv.COLUMNS
    types = {field.name: str(field.type) for field in read.schema}
    assert types["launch"] == "int64" and types["latency_s"] == "double" and types["walk_through"] == "bool"
    assert types["ratios"].startswith("list<") and types["ratios"].endswith("double>") and types["path"] == "string"
    assert read["latency_s"].to_pylist() == [3.1, 1 / 3]
    first = read.to_pylist()[0]
    assert (first["claims"], first["published_s"], first["energy_j"]) == (["post-3-gaudi2-8-bloomz"], [3.103], None)


def test_pandas_reads_the_same_numbers_as_from_the_csv() -> None:
    measured = made.of(made.gaudi2(), made.cpu())
    of_parquet = pandas.read_parquet(io.BytesIO(parquet.data(measured)))
    of_csv = pandas.read_csv(io.StringIO(launches_csv.text(measured)))
    for column in ("launch", "devices", "latency_s", "tpot_s", "walk_through", "weights"):
        assert of_parquet[column].tolist() == of_csv[column].tolist()
    assert of_parquet["energy_j"].isna().all()


def test_a_walk_through_says_so_and_a_stand_in_has_no_times() -> None:
    walk_through, stand_in = table(made.cpu(), made.stand_in()).to_pylist()
    assert (walk_through["walk_through"], walk_through["weights"], walk_through["revision"]) == (True, "dummy", None)
    assert stand_in["emulated"] is True
    assert [stand_in[name] for name in ("latency_s", "ttft_s", "tpot_s", "energy_j")] == [None] * 4
    assert stand_in["ratios"] == [None]


def test_without_launches_the_columns_keep_their_types() -> None:
    assert table().schema.equals(table(made.gaudi2()).schema)


@pytest.mark.parametrize("name", made.HOSTILE, ids=ascii)
def test_foreign_text_is_visible(name: str) -> None:
    for row in [*table(made.flagged(name)).to_pylist(), *table(made.gaudi2(), path=name).to_pylist()]:
        assert all(character.isprintable() for text in (*row["flagged"], row["path"]) for character in text)


def test_without_pyarrow_the_error_names_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match="make export"):
        parquet.data([])
