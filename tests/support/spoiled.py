"""Strategies for hypothesis: results of which one place was changed, deleted or doubled, and sealed again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from runner.contract.records import JsonObject
from tests.support import samples

# what JSON can hold and a program may not expect
ODD: st.SearchStrategy[object] = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        0.0,
        -0.0,
        0.5,
        1.0,
        1e-320,
        1e308,
        10**18,
        10**400,
        "",
        "x\n",
        "a" * 64,
        "\x1b[31m",
        [],
        {},
        [[]],
    ]
) | st.sampled_from(["complete", "failed", "refuse", "cpu", "produced", ["x"], {"a": 1}, [0.25] * 5, [None]])


def small_body() -> JsonObject:
    """Return a body of a result with two launches and few tokens: a change of it meets something that matters."""
    body = samples.body(samples.request(workload=samples.workload(output_tokens=3), launches=2))
    check = {"name": "device", "act": "refuse", "passed": True, "wanted": "cpu", "found": "cpu", "reason": None}
    body["launches"][0]["checks"] = [check]
    body["launches"].append({**copy.deepcopy(body["launches"][0]), "index": 1})
    return body


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            yield from places(inner, (*path, index))


PLACES = [path for path in places(small_body()) if path]


@st.composite
def bodies(draw: st.DrawFn, changes: int = 2) -> JsonObject:
    """Draw a body with one or more changes."""
    body = small_body()
    for _ in range(draw(st.integers(1, changes))):
        where = draw(st.sampled_from(PLACES))
        last: Any = where[-1]
        holder: Any = body
        try:
            for key in where[:-1]:
                holder = holder[key]
            holder[last]
        except (KeyError, IndexError, TypeError):
            # an earlier change took the place away
            continue
        if not isinstance(holder, (dict, list)):
            continue
        how = draw(st.sampled_from(["replace", "replace", "replace", "delete", "scale", "more"]))
        if how == "delete":
            del holder[last]
        elif how == "scale" and type(holder[last]) in (int, float):
            holder[last] = min(1e308, holder[last] * draw(st.sampled_from([1000, -1, 0, 1e-3, 1e300])))
        elif how == "more" and isinstance(holder[last], list):
            holder[last] = holder[last] * 2
        else:
            holder[last] = draw(ODD)
    return body
