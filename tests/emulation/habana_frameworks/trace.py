"""What the program did to the device, in order; there are no times, since none would mean anything.

An event is a dict of JSON: its ``event``, and what that kind says of itself:

  h2d, d2h            a copy between host and device: shape, bytes
  sync                the host waited for one value: by (item, bool, tolist, ...)
  synchronize         the host waited for the device
  mark_step           lazy mode's end of a step
  capture, replay     a graph was recorded or run again: graph (a number in order of capture), shapes of its inputs
  collective          op, shape, dtype; also of replays, as the only thing inside them, since only they reach other ranks
  seed                value
  memory_stats        somebody asked; the answer was zeros
  mixed               a function was given tensors of the host and of the device; a device would have refused: function

Events inside a capture carry ``in_capture``: a device would refuse a sync or a host copy there.
HPU_EMULATION_TRACE names a file to which rank R appends every event, as a line of JSON, under that name and ``.R``.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any, ContextManager

events: list[dict[str, Any]] = []
_state = {"hidden": False, "capturing": False}


def note(event: str, **facts: Any) -> None:
    """Append an event, in memory and to this rank's file."""
    if _state["hidden"] and event != "collective":
        return
    facts = {"event": event, **facts, **({"in_capture": True} if _state["capturing"] else {})}
    events.append(facts)
    name = os.environ.get("HPU_EMULATION_TRACE")
    if name:
        with open("{}.{}".format(name, os.environ.get("RANK", "0")), "a") as file:
            file.write(json.dumps(facts) + "\n")


def clear() -> None:
    """Forget what memory holds; files are left as they are."""
    del events[:]


def count(event: str, **facts: Any) -> int:
    """Return how many events of a kind have these facts."""
    return sum(1 for noted in events if noted["event"] == event and all(noted.get(key) == facts[key] for key in facts))


@contextlib.contextmanager
def _set(key: str) -> Iterator[None]:
    before, _state[key] = _state[key], True
    try:
        yield
    finally:
        _state[key] = before


def hidden() -> ContextManager[None]:
    """Note nothing but collectives inside this block: what a replay does, the host does not do."""
    return _set("hidden")


def capturing() -> ContextManager[None]:
    return _set("capturing")
