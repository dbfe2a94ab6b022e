"""Tables of how often each rule is right, read from the test that simulates the rules: what the page says is what the test holds."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from docs.markdown import table

TEST = Path(__file__).resolve().parents[1] / "tests" / "host" / "judging" / "test_operating_characteristics.py"

RULES = {
    "rule_of_the_kit": "**the kit**: Welch's test on launches, and over 2%",
    "rule_of_pooled_t": "t-test on all iterations pooled (as pyperf)",
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
        rows.append((RULES[rule.id], *(f"{rate:.1%}" for rate in ast.literal_eval(rates))))
    changes = ast.literal_eval(_value("CHANGES"))
    return table(("rule", *(f"true change {change - 1:.0%}" for change in changes)), rows)


def _tree() -> ast.Module:
    return ast.parse(TEST.read_text(encoding="utf-8"))


def _value(name: str) -> ast.expr:
    """Return the value that the test gives to a name. Raises ``KeyError`` where it gives none."""
    for node in _tree().body:
        # with an annotation or without
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and node.value
            and any(ast.unparse(target) == name for target in targets)
        ):
            return node.value
    raise KeyError(f"{TEST.name} has no {name}")


def _parameters(function: str) -> list[Any]:
    """Return the list of parameters of a test. Raises ``KeyError`` where there is no such test with parameters."""
    for node in _tree().body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.parametrize":
                    return list(ast.literal_eval(decorator.args[1]))
    raise KeyError(f"{TEST.name} has no {function} with parameters")
