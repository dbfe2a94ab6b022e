"""``bench --operators`` with the real software: what two launches of one request count, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract import strictjson
from tests.support.house import House

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

SHORT = ("--output-tokens", 6, "--launches", 2)


@pytest.mark.parametrize(
    "flags",
    [
        ("cpu-1",),
        pytest.param(("cpu-2", "--batch-size", 2), marks=pytest.mark.slow),
        pytest.param(("cpu-2", "--engine", "compiled"), marks=pytest.mark.slow),
    ],
)
def test_two_launches_of_one_request_count_the_same(tmp_path: Path, flags: tuple[object, ...]) -> None:
    house = House(tmp_path)
    (path,) = house.requests(*flags, *SHORT)
    (result,) = house.bench("--operators", path)
    assert result["request"] == strictjson.read(path)
    first, second = result["launches"]
    told = first["operators"]
    assert told is not None
    assert second["operators"] == told
    assert told["output_tokens"] == 4
    assert told["output_ids"] == [row[:4] for row in first["tokens"]["output_ids"]]
    assert told["calls"]["aten::argmax"] == 4
    assert told["kernels"] == []
    # The call came after all that is timed.
    assert len(first["timed"]["iterations_s"]) == 5
    assert [check["passed"] for check in first["checks"] if check["name"] == "operators"] == [True]
