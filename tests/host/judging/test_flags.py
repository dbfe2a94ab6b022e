from __future__ import annotations

import ast
import inspect
from types import ModuleType

import pytest

from runner.bench.parent.checks import clock, device, durations, host, model, software, tokens
from runner.host.judging import flags
from runner.host.judging.flags import CONTENTION, FlaggedLaunches

CHECKS = {
    name
    for module in (clock, device, durations, host, model, software, tokens)
    for name, function in vars(module).items()
    if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
}


def test_each_name_is_that_of_a_check() -> None:
    assert CONTENTION <= CHECKS


@pytest.mark.parametrize("module", [host])
def test_all_that_is_seen_of_the_host_is_contention_but_for_its_governor(module: ModuleType) -> None:
    functions = {node.name for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.FunctionDef)}
    # mutmut puts changed copies of each function beside it
    checks = {name for name in functions if not name.startswith("_") and "__mutmut_" not in name}
    assert checks - CONTENTION == {"governor"}


def test_the_first_launches_are_named_and_all_are_counted() -> None:
    flagged = FlaggedLaunches()
    for number in range(5):
        flagged.add(f"launch {number}")
    (flag,) = flags.of_sides({"cpu_pressure": flagged}, {})
    assert (flag.number, flag.launches) == (5, ("launch 0", "launch 1", "launch 2"))
    assert flags.contended([flag]) == (
        "the host or the device did other work: before cpu_pressure in launch 0, launch 1, launch 2 and 2 more"
    )


def test_contention_of_both_sides_comes_first() -> None:
    once = FlaggedLaunches(1, ["a launch"])
    told = flags.of_sides({"governor": once, "throttling": once}, {"cpu_pressure": once, "drift": once})
    assert [(flag.side, flag.check) for flag in told] == [
        ("before", "throttling"),
        ("after", "cpu_pressure"),
        ("before", "governor"),
        ("after", "drift"),
    ]
    assert flags.contended(told) == (
        "the host or the device did other work: before throttling in a launch; after cpu_pressure in a launch"
    )
    assert flags.contended([flag for flag in told if not flag.contention]) is None
