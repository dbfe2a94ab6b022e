"""What the emulated stacks do by their release of optimum-habana, and how the recorded events of a run are counted."""

from __future__ import annotations

from collections.abc import Iterable

from runner.contract.records import JsonObject
from runner.host.readers import lockfile

NEW_TOKENS = 100


def release(stack: str) -> str:
    """Return the release of optimum-habana that a stack pins, such as 1.6.1."""
    return lockfile.read().stacks[stack].packages["optimum-habana"].version


def series(stack: str) -> tuple[int, ...]:
    """Return the series of optimum-habana that a stack pins, such as (1, 6)."""
    return tuple(int(part) for part in release(stack).split(".")[:2])


def is_before_1_5(stack: str) -> bool:
    """Return whether a stack pins a commit before release 1.5.0."""
    return release(stack).startswith("1.5.0.dev")


def refuses(stack: str, ranks: int, batch: int) -> bool:
    """Return whether the runner refuses a batch on several devices: before 1.5 upstream's tokens are wrong then."""
    return is_before_1_5(stack) and ranks > 1 and batch > 1


def pads_itself(stack: str) -> bool:
    """Return whether upstream's ``generate`` pads its inputs: from 1.8 on it does, and waits for the device after the first token."""
    return series(stack) >= (1, 8)


def is_under_deepspeed(stack: str) -> bool:
    """Return whether upstream runs one device under DeepSpeed too, as it did before 1.6."""
    return series(stack) < (1, 6)


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
    if not pads_itself(stack):
        return [("h2d", []), ("h2d", [batch, width]), ("h2d", [batch, width]), ("h2d", [1])]
    prompt = ("h2d", [batch, width - NEW_TOKENS])
    compared = [("sync", "bool")] * (2 if batch == 1 else 3)
    return [*[prompt] * 2, *[("h2d", [])] * 3, *compared, ("h2d", []), *[("sync", "item")] * 2]


def calls_of(events: Iterable[JsonObject], batch: int, width: int) -> tuple[list[str], list[list[JsonObject]]]:
    """Return what the host did to the device: "call" where a whole call ended, else "synchronize"; and each call's events.

    A call ends where ids [batch, width] are copied to the host. A synchronisation between the steps of a call is the call's own.
    """
    kinds, calls, inside = [], [], []
    for event in events:
        inside.append(event)
        if event["event"] == "d2h" and event["shape"] == [batch, width]:
            kinds.append("call")
            calls.append(inside)
            inside = []
        elif event["event"] == "synchronize" and not any(noted["event"] == "mark_step" for noted in inside):
            kinds.append("synchronize")
            inside = []
    return kinds, calls
