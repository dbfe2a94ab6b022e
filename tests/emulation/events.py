"""The versions of the emulated stacks, and how the recorded events of a run are counted."""

from __future__ import annotations

from collections.abc import Iterable

from runner.contract.records import JsonObject

NEW_TOKENS = 100


# Python, torch, transformers, optimum-habana
VERSIONS = {
    "gaudi-1.9": ("3.8", "1.13.1", "4.28.1", "1.5.0"),
    "gaudi-1.10": ("3.8", "2.0.1", "4.28.1", "1.6.1"),
    "gaudi-1.24": ("3.10", "2.10.0", "4.55.4", "1.21.2"),
}


NEWEST = "gaudi-1.24"


def times(events: Iterable[JsonObject], kind: str, **facts: object) -> int:
    matching = [
        event for event in events if event["event"] == kind and all(event.get(key) == facts[key] for key in facts)
    ]
    return sum(event["times"] for event in matching)


def flat(events: Iterable[JsonObject]) -> list[JsonObject]:
    return [event for event in events for _ in range(event["times"])]


def before_the_loop(stack: str, batch: int, width: int) -> list[tuple[str, object]]:
    """Return the (event, shape or cause) that come before the first step.

    1.5.0 and 1.6.1: token_idx, ids and mask, and the number that ends a text. 1.21.2: ids and mask; the three special numbers,
    compared with each other and with the last ids; and, padded by now, token_idx, which the host reads twice.
    """
    if stack != NEWEST:
        return [("h2d", []), ("h2d", [batch, width]), ("h2d", [batch, width]), ("h2d", [1])]
    prompt = ("h2d", [batch, width - NEW_TOKENS])
    compared = [("sync", "bool")] * (2 if batch == 1 else 3)
    return [*[prompt] * 2, *[("h2d", [])] * 3, *compared, ("h2d", []), *[("sync", "item")] * 2]
