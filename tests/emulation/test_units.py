"""The stand-in keeps its promises, on this torch and on those of the stacks."""

from __future__ import annotations

import ast

import pytest

from tests.emulation import drive
from tests.emulation.conftest import HERE, Outcome
from tests.stacks import build

UNITS = [
    node.name
    for node in ast.parse((drive.FOLDER / "units.py").read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("it_")
]
EVERYWHERE = pytest.mark.parametrize(
    "where",
    [
        pytest.param(HERE, marks=pytest.mark.torch),
        *(pytest.param(name, marks=pytest.mark.stacks(name)) for name in build.names("hpu")),
    ],
)


@EVERYWHERE
@pytest.mark.parametrize("unit", UNITS)
def test_the_stand_in(outcome: Outcome, where: str, unit: str) -> None:
    problems = outcome(where, "units.py")
    assert set(problems) == set(UNITS)
    assert problems[unit] is None, problems[unit]


@EVERYWHERE
def test_collectives_are_over_when_they_return(outcome: Outcome, where: str) -> None:
    ranks = outcome(where, "collectives.py", ranks=("processes", 2))
    for rank, seen in enumerate(ranks):
        assert (seen["rank"], seen["backend"]) == (rank, "hccl")
        assert set(map(tuple, seen["reduced"].values())) == {(3, 3)}
        # bfloat16 too, which gloo of torch 1.13 has not
        assert len(seen["reduced"]) == 3
        assert seen["graph"] == [[2], [20]]
        assert seen["broadcast"] == [0, 0]
        assert seen["gathered"] == [{"rank": 0}, {"rank": 1}]
    first, second = ([event["event"] for event in seen["events"]] for seen in ranks)
    assert first == second
    # a replay reaches the other rank again
    assert first[3:7] == ["capture", "collective", "replay", "collective"]
