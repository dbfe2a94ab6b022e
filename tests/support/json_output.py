"""What verbs print with ``--json``, read as the documentation describes it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "json-output.md"


def page() -> dict[str, dict[str, set[str]]]:
    """Return the names of the facts by verb and event, as the page lists them."""
    listed: dict[str, dict[str, set[str]]] = {}
    text = PAGE.read_text(encoding="utf-8").partition("<!-- begin json-events -->")[2]
    for verb, rows in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE):
        facts: dict[str, set[str]] = {}
        for event, fact in re.findall(r"^\| `([a-z-]+)(?:\.(\w+))?` \|", rows, re.MULTILINE):
            facts.setdefault(event, set()).update([fact] if fact else [])
        listed[verb] = facts
    return listed


def events(text: str, verb: str) -> list[dict[str, Any]]:
    """Return the events in a verb's lines, each one of the page with exactly its facts there. Fails for any other line."""
    objects = [json.loads(line) for line in text.splitlines()]
    for event in objects:
        assert set(event) - {"event"} == page()[verb][event["event"]], event
    return objects
