"""The tables of the page docs/time-machine.md, from docs/time-machine.json: what ran of each release, and what changed to the next.

`make bench-stacks ARGS="--changes --write"` records that file. Each function returns Markdown. Where versions.lock has moved since,
the table says which pins it was recorded with and which the lock has now.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.markdown import table

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "time-machine.json"

_AGAIN = '`make bench-stacks ARGS="--changes --write"` records it'


def stacks() -> str:
    """Return one row for each stack that was recorded, and one for each stack of the lock that was not."""
    rows = [_row(stack) for stack in _record()["stacks"]]
    return table(
        ("stack", "revision of the post", "Python", "packages", "tokens", "forward passes", "graphs built", "stood in"),
        rows,
    )


def changes() -> str:
    """Return a section for each two neighbours: a sentence of what is the same, and a table of what changed."""
    record = _record()
    by_name = {stack["stack"]: stack for stack in record["stacks"]}
    return "\n\n".join(
        _section(change, by_name[change["before"]], by_name[change["after"]]) for change in record["changes"]
    )


def moved_since() -> str:
    """Return a sentence for each pin that versions.lock has moved since the record, or that there is none."""
    lines = list(_stale(_record(), _locked()))
    return "\n".join(lines or ["Every pin in these tables is the one that `versions.lock` has now."])


def _record() -> dict[str, Any]:
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def _locked() -> dict[str, dict[str, str]]:
    """Return the pins of each stack of versions.lock, as a record has them: image, Python and packages in one mapping."""
    # BaseLoader keeps every scalar as text, so that 1.10 stays 1.10, and makes nothing but text, lists and mappings
    lock = yaml.load((ROOT / "versions.lock").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    return {
        name: {
            "base image": stack["image"]["tag"],
            "Python": stack["python"],
            **{package: pin["version"] for package, pin in stack["packages"].items()},
        }
        for name, stack in lock["stacks"].items()
    }


def _stale(record: Mapping[str, Any], locked: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    """Yield a line of a list for each difference between what was recorded and what the lock has."""
    recorded = {
        stack["stack"]: {
            "base image": stack["pins"]["image"],
            "Python": stack["pins"]["python"],
            **stack["pins"]["packages"],
        }
        for stack in record["stacks"]
    }
    for name, pins in locked.items():
        if name not in recorded:
            yield f"- `{name}` is not recorded. {_AGAIN}."
            continue
        for pin in dict.fromkeys([*recorded[name], *pins]):
            before, now = recorded[name].get(pin, "no pin"), pins.get(pin, "no pin")
            if before != now:
                yield f"- `{name}` was recorded with {pin} {before}; the lock has {now}. {_AGAIN}."


def _row(stack: Mapping[str, Any]) -> tuple[str, ...]:
    name, revision = f"`{stack['stack']}`", ", ".join(stack["revisions"]) or "none"
    seen = stack["seen"]
    if seen is None:
        return name, revision, stack["pins"]["python"], f"did not run: {stack['cannot']}", *[""] * 4
    engine = f", engine `{seen['engine']}`" if stack["stack"] == "cpu" else ""
    packages = ", ".join(f"{package} {version}" for package, version in seen["packages"].items() if version)
    right = "plain greedy decoding's" if seen["tokens"]["equal_plain"] else "OTHERS than plain greedy decoding's"
    tokens = f"{seen['tokens']['new_tokens']}, {right}"
    passes, graphs = str(seen["forward_calls"]), str(seen["graph_builds"])
    stood_in = "; ".join(f"{part}: {by}" for part, by in seen["stood_in"].items()) or "nothing"
    return name + engine, revision, seen["python"], packages, tokens, passes, graphs, stood_in


def _section(change: Mapping[str, Any], older: Mapping[str, Any], newer: Mapping[str, Any]) -> str:
    before, after = change["before"], change["after"]
    rows = [(f"`{row['pin']}`", row["before"] or "none", row["after"] or "none") for row in change["packages"]]
    others = change["others"]
    needed = f"{others['moved']} moved, {others['added']} came, {others['removed']} went"
    return "\n\n".join(
        [
            f"### {before} to {after}",
            table(("pin", f"`{before}`", f"`{after}`"), rows),
            f"Of the packages that these need: {needed}. {_of_tokens(change)}{_of_the_device(change)}"
            f"{_of_the_watch(older, newer)}",
            table(("operators", "kinds", "which"), _of_calls(change["calls"])) if change["calls"] else "Not compared.",
        ]
    )


def _of_tokens(change: Mapping[str, Any]) -> str:
    words = {
        "equal": "Tokens: equal.",
        "other": "Tokens: OTHERS.",
        "not comparable": "Tokens: not compared with each other, since the two runs make other numbers of tokens.",
        None: "Tokens: not known.",
    }
    return words[change["tokens"]]


def _of_the_device(change: Mapping[str, Any]) -> str:
    if change["generate"] is None:
        return ""
    same = "the same calls, in the same order, with the same shapes" if change["generate"] else "other calls"
    return f" A timed call asks the device for {same}."


def _of_the_watch(older: Mapping[str, Any], newer: Mapping[str, Any]) -> str:
    if older["seen"] is None or newer["seen"] is None:
        return ""
    before, after = (stack["seen"]["operators"]["seen_by"] for stack in (older, newer))
    if before == after:
        return ""
    return (
        f" The two are watched in different ways, by {before} and by {after}: an operator that one watch alone can see counts"
        " as added or removed."
    )


def _of_calls(found: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, str, str]]:
    """Yield a row for added, removed and changed kinds, each kind with how many times it comes in one generate."""
    for word in ("added", "removed", "changed"):
        kinds = ", ".join(f"`{kind}` {_times(times)}" for kind, times in found[word].items())
        yield word, str(len(found[word])), kinds or "none"


def _times(times: int | list[int]) -> str:
    return f"x{times}" if isinstance(times, int) else f"{times[0]} to {times[1]}"
