"""Print the events of a verb: a sentence for people, or one JSON object a line for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import ClassVar, Iterable

from runner.contract.records import JsonObject
from runner.contract.secrets import mask_json


@dataclasses.dataclass(frozen=True)
class Event:
    """What a verb did or found. Each kind of event is a frozen dataclass; its fields are the facts, and are JSON values.

    ``word`` names the event in JSON, and stands in the class's own line: ``class Built(Event, word="built")``. Names of facts carry
    units, as in result files. An event is printed on standard output. docs/json-output.md is made from these classes.
    """

    word: ClassVar[str] = ""

    def __init_subclass__(cls, word: str = "") -> None:
        super().__init_subclass__()
        cls.word = word

    @property
    def sentence(self) -> str | None:
        """The line for people; None for an event that people read in the progress, or in a table."""
        return None

    def facts(self) -> JsonObject:
        """Return the event as a JSON object, its secrets masked."""
        facts: JsonObject = mask_json({"event": self.word, **dataclasses.asdict(self)})
        return facts


@dataclasses.dataclass(frozen=True)
class Complaint(Event):
    """An event for standard error: something was left out, refused or not reached, and the verb goes on."""


def fact(meaning: str) -> dict[str, str]:
    """Return the metadata of a dataclass field that is a fact of an event; ``meaning`` is the fact's row in the documentation."""
    return {"meaning": meaning}


class Announcer:
    """Prints the events of a verb in one of two forms. The form is chosen once, by ``--json``."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def announce(self, event: Event) -> None:
        """Print an event: its sentence, if it has one, or its JSON object."""
        # ASCII alone: what no terminal may get, and the bytes of a path that is no text, stay JSON's own escapes
        text = json.dumps(event.facts()) if self.as_json else event.sentence
        if text is not None:
            print(text, file=sys.stderr if isinstance(event, Complaint) else sys.stdout, flush=True)

    def announce_together(self, events: Iterable[Event], text: str) -> None:
        """Print events that people read as one ``text`` of whole lines, such as a list: the text, or the JSON object of each event."""
        if self.as_json:
            for event in events:
                self.announce(event)
        else:
            print(text, end="")
