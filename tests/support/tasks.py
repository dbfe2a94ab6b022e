"""A task that keeps what it is told."""

from __future__ import annotations

from runner.contract.progress import Step


class RecordedTask:
    """Keeps the first words of lines, and the names of steps, in ``events``, among what a test puts there."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def line(self, text: str) -> None:
        self.events.append(text.split(":")[0])

    def update(self, step: Step) -> None:
        self.events.append(step.what)

    def end(self) -> None:
        pass
