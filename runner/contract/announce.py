"""Print the events of a verb: a sentence for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO


class Announcer:
    """Prints each event of a verb in one of two forms. The form is chosen once, by ``--json``."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, event: str, sentence: str, **facts: Any) -> None:
        """Print an event on standard output: ``sentence``, or a JSON object of ``event`` and ``facts``.

        ``facts`` are JSON values. Their names carry units, as in result files.
        """
        self._print(sys.stdout, event, sentence, facts)

    def complain(self, event: str, sentence: str, **facts: Any) -> None:
        """Print an event on standard error: something was left out, refused or not reached, and the verb goes on."""
        self._print(sys.stderr, event, sentence, {"message": sentence, **facts})

    def _print(self, stream: TextIO, event: str, sentence: str, facts: dict[str, Any]) -> None:
        text = json.dumps({"event": event, **facts}, ensure_ascii=False) if self.as_json else sentence
        print(text, file=stream, flush=True)
