"""Tables of how often each rule is right: read from the test that simulates the rules, or computed by the kit's own code."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

from docs.markdown import table
from runner.host.judging import verdict
from runner.host.judging.power import Power

TEST = Path(__file__).resolve().parents[1] / "tests" / "host" / "judging" / "test_operating_characteristics.py"

# The test that simulates how measurements are merged.
MERGED = TEST.with_name("test_random_effects.py")

# Levels that the kit's was chosen from, and variations between launches.
LEVELS = (0.05, 0.01, 0.005, 0.001)
VARIATIONS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.2)
SPREADS = (0.002, 0.005, 0.01, 0.02)

RULES = {
    "rule_of_the_kit": "**the kit**: Welch's test on launches at 0.5%, and over 2%",
    "rule_of_pooled_t": "t-test on all iterations pooled (as pyperf)",
    "rule_of_pooled_welch": "Welch's test on all iterations pooled (as hyperfine's script)",
    "rule_of_ten_percent": "one launch a side, over 10% slower (as nm-vllm's alarms)",
    "rule_of_seven_percent": "one value a side, over 7% (as torchbench)",
    "rule_of_one_run_at_five_percent": "one launch a side, over 5% slower (as optimum-habana's CI)",
    "rule_of_ranks_and_a_factor": "Mann-Whitney and a factor of 1.1 (as asv)",
    "rule_of_a_bootstrap_beyond_one_percent": "pooled t-test and bootstrap beyond 1% (as criterion)",
    "rule_of_overlapping_intervals": "95% intervals of the launches do not overlap",
}


def coverage() -> str:
    """Return how often the 95% interval of each kind of samples contains the true value."""
    rows = []
    for launches, calls, pooled, rate in _parameters("test_only_launches_as_samples_cover_the_truth"):
        if pooled:
            samples = (
                f"{calls} calls of {launches} launch"
                if launches == 1
                else f"{calls} calls of each of {launches} launches"
            )
        else:
            samples = f"{launches} launches, one value each"
        rows.append((f"{samples}, pooled" if pooled else samples, f"{rate:.0%}"))
    return table(("samples", "how often the interval contains the true value"), rows)


def merged() -> str:
    """Return how often the intervals of merged measurements contain the truth, by method."""
    rows = []
    for number, tau, rates, prediction in ast.literal_eval(_value("EXPECTED", MERGED)):
        told = [f"{rate:.0%}" for rate in rates]
        rows.append((str(number), f"{tau:.0%}", *told, "none" if prediction is None else f"{prediction:.0%}"))
    head = ("measurements", "between laboratories", "**the kit**", "Hartung and Knapp", "normal", "prediction interval")
    return table(head, rows)


def verdicts() -> str:
    """Return how often each verdict comes at a margin of 5%."""
    rows = [
        (f"{ratio:.2f}", str(launches), *(f"{rate:.0%}" for rate in rates))
        for ratio, launches, rates in _parameters("test_verdicts_at_five_percent_come_as_often_as_expected")
    ]
    return table(("true ratio", "launches", "REPRODUCED", "INCONCLUSIVE", "SLOWER"), rows)


def rules() -> str:
    """Return how often each rule flags a change between two sets of five launches of five calls."""
    expected = _value("EXPECTED")
    if not isinstance(expected, ast.Dict):
        raise TypeError(f"EXPECTED of {TEST.name} is no dict")
    rows = []
    for rule, rates in zip(expected.keys, expected.values, strict=True):
        if not isinstance(rule, ast.Name):
            raise TypeError(f"a key of EXPECTED of {TEST.name} is no name of a rule")
        rows.append((RULES[rule.id], *map(_percent, ast.literal_eval(rates))))
    changes = ast.literal_eval(_value("CHANGES"))
    return table(("rule", *(f"true change {change - 1:.0%}" for change in changes)), rows)


def _percent(rate: float) -> str:
    """Return a rate as a percentage, with two digits where it is small: half of a thousandth is no thousandth."""
    return f"{rate:.2%}" if 0 < rate < 0.01 else f"{rate:.1%}"


def change_words() -> str:
    """Return how often each word of run against run comes, by how much launches vary and by the true change."""
    changes = ast.literal_eval(_value("CHANGES"))
    rows = []
    for variation, rates in ast.literal_eval(_value("CHANGE_WORDS")).items():
        told = [(changed, unchanged, max(0.0, 1 - changed - unchanged)) for changed, unchanged in rates]
        for word, column in zip(("CHANGED", "UNCHANGED", "INCONCLUSIVE"), zip(*told, strict=True), strict=True):
            rows.append((f"{variation:.1%}", word, *map(_percent, column)))
    return table(("launches vary by", "word", *(f"true change {change - 1:.0%}" for change in changes)), rows)


def levels() -> str:
    """Return what each level of Welch's test would give, with five launches a side: computed, and not simulated."""
    bound = math.log1p(verdict.CHANGE_MARGIN)
    rows = []
    for level in LEVELS:
        of_variation = {spread: Power((spread, spread), (5, 5), bound, level) for spread in VARIATIONS}
        alarms = max(power.of(0.0) for power in of_variation.values())
        chosen = " (the kit's)" if level == verdict.CHANGE_SIGNIFICANCE else ""
        cells = [f"{alarms:.2%}", f"{_at_most_two(alarms):.0%}"]
        cells += [f"{of_variation[spread].of(math.log(1.05)):.1%}" for spread in (0.01, 0.02)]
        rows.append((f"{level:.1%}{chosen}", *cells))
    head = ("level", "false alarms, at worst", "at most 2 of 200 runs alarm", "5% caught at 1%", "5% caught at 2%")
    return table(head, rows)


def _at_most_two(rate: float) -> float:
    """Return the probability of at most two alarms in 200 runs, each an alarm at ``rate``."""
    return sum(math.comb(200, count) * rate**count * (1 - rate) ** (200 - count) for count in range(3))


def smallest_changes() -> str:
    """Return the smallest change that a number of launches a side shows nine times in ten."""
    bound = math.log1p(verdict.CHANGE_MARGIN)
    rows = []
    for count in (3, 5, 8, 12):
        powers = [Power((spread, spread), (count, count), bound, verdict.CHANGE_SIGNIFICANCE) for spread in SPREADS]
        smallest = [power.smallest() for power in powers]
        rows.append((str(count), *("-" if size is None else f"{math.expm1(size):.1%}" for size in smallest)))
    return table(("launches a side", *(f"launches vary by {spread:.1%}" for spread in SPREADS)), rows)


def _tree(test: Path = TEST) -> ast.Module:
    return ast.parse(test.read_text(encoding="utf-8"))


def _value(name: str, test: Path = TEST) -> ast.expr:
    """Return the value that a test gives to a name. Raises ``KeyError`` where it gives none."""
    for node in _tree(test).body:
        # with an annotation or without
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and node.value
            and any(ast.unparse(target) == name for target in targets)
        ):
            return node.value
    raise KeyError(f"{test.name} has no {name}")


def _parameters(function: str) -> list[Any]:
    """Return the list of parameters of a test. Raises ``KeyError`` where there is no such test with parameters."""
    for node in _tree().body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.parametrize":
                    return list(ast.literal_eval(decorator.args[1]))
    raise KeyError(f"{TEST.name} has no {function} with parameters")
