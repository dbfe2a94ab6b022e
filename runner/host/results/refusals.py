"""Say of refused results why they were refused: each as JSON, the first ones to people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.contract.announce import Announcer, Complaint, fact
from runner.contract.errors import DamagedResult
from runner.contract.text import printable

# Refusals that people are shown one by one.
SHOWN = 20


@dataclass(frozen=True)
class ResultRefused(Complaint, word="refused"):
    """A result was refused; the others count."""

    message: str = field(metadata=fact("why, and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"refused: {printable(self.message)}"

    @classmethod
    def announce_all(cls, announcer: Announcer, refused: Sequence[DamagedResult]) -> None:
        """Announce each refused result; people are shown the first ones, and how many more there are."""
        shown = refused if announcer.as_json else refused[:SHOWN]
        for problem in shown:
            announcer.announce(cls(str(problem)))
        if len(shown) < len(refused):
            print(f"refused: {len(refused) - len(shown):,} more; --json says why of each", file=sys.stderr)
