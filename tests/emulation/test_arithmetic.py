"""In bfloat16 upstream's tokens are not those of plain transformers; each difference is that of an operation that rounds elsewhere.

The reference (arithmetic.py) decodes as transformers does, and with the causes of a stack switched on as that stack does: to the last
token, in the stack's own torch. Run with ``-s`` to read what each cause does.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from runner.contract.records import JsonObject
from tests.emulation import arithmetic, table
from tests.emulation.conftest import Outcome, Ran, stacks
from tests.emulation.events import refuses, release
from tests.emulation.runs import launch_of
from tests.stacks import build

EACH = stacks(*build.names("hpu"))
BATCHES = ("1", "8")
NEW = 100

# The ids of a batch, row by row.
Tokens = list[list[int]]


def apart(ids: Tokens, other_ids: Tokens) -> int | None:
    """Return the first place where two batches differ in any row, or None."""
    places = [place for row, other in zip(ids, other_ids) for place in range(NEW) if row[place] != other[place]]
    return min(places, default=None)


def told(stack: str, what: str, batch: str, seen: JsonObject, tokens: Tokens, causes: Iterable[str]) -> None:
    """Print the causes: where one alone parts from plain transformers, and where all but it part from what really ran."""
    rows: list[tuple[object, ...]] = [
        (f"{stack}, {what}, batch {batch}", "alone, from plain", "left out, from upstream", "")
    ]
    for cause in causes:
        alone, without = apart(seen["alone"][cause], seen["plain"]), apart(seen["without"][cause], tokens)
        rows.append((cause, *("-" if place is None else place for place in (alone, without)), arithmetic.CAUSES[cause]))
    rows.append(
        ("none / all", apart(tokens, seen["plain"]), "-" if seen["all"] == tokens else apart(tokens, seen["all"]), "")
    )
    print("\n" + table.aligned(rows))


@EACH
@pytest.mark.parametrize("batch", BATCHES)
def test_without_a_cause_the_reference_is_plain_transformers(outcome: Outcome, stack: str, batch: str) -> None:
    seen = outcome(stack, "causes.py", "single", release(stack))[batch]
    assert seen["none"] == seen["plain"]
    assert seen["float32"]["none"] == seen["float32"]["plain"]
    assert [len(row) for row in seen["none"]] == [NEW] * int(batch)


@EACH
@pytest.mark.parametrize("batch", BATCHES)
def test_with_its_causes_the_reference_is_upstream(outcome: Outcome, stack: str, batch: str) -> None:
    both = outcome(stack, "causes.py", "single", release(stack))
    seen = both[batch]
    told(stack, "one process", batch, seen, seen["found"], arithmetic.of_optimum(release(stack)))
    assert seen["all"] == seen["found"]
    # else there was nothing to explain
    assert any(both[size]["found"] != both[size]["plain"] for size in BATCHES)


@EACH
def test_no_cause_can_be_left_out(outcome: Outcome, stack: str) -> None:
    """Over rows of several lengths; what another shape of a product does is the processor's, and is told, not asked."""
    seen = outcome(stack, "causes.py", "single", release(stack))["8"]
    for cause in arithmetic.of_optimum(release(stack)):
        if cause != "width":
            assert seen["without"][cause] != seen["found"], cause
            # nothing is written over in a cache that grows
            assert seen["alone"][cause] != seen["plain"] or cause == "write", cause


@EACH
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("batch", BATCHES)
def test_with_its_causes_the_reference_is_the_runner(
    outcome: Outcome, ran: Ran, stack: str, ranks: int, batch: str
) -> None:
    if refuses(stack, ranks, int(batch)):
        pytest.skip(f"the runner refuses a batch of {batch} on {ranks} devices of {stack}: test_runner.py holds it")
    launch = launch_of(ran(stack, ranks=ranks, batch=int(batch), precision="bfloat16"))
    assert launch["conditions"]["precision"] == "bfloat16"
    tokens = launch["tokens"]["output_ids"]
    seen = outcome(stack, "causes.py", "runner", release(stack), ranks)[batch]
    told(stack, f"{ranks} rank(s)", batch, seen, tokens, arithmetic.of_runner(release(stack), ranks))
    assert seen["all"] == tokens
    assert [len({*row}) > 15 for row in tokens] == [True] * int(batch)
