"""Keep lines, such as bars of progress, below all other text of a terminal: which control sequences erase and draw them.

No other module of the kit moves a cursor. The cursor is never hidden, and rests at the begin of the last line: a process that is killed
leaves a terminal that works.
"""

from __future__ import annotations

import threading
from typing import Sequence


class LiveLines:
    """The lines below all other text of one terminal. Hold ``lock`` from the making of a text to its writing."""

    def __init__(self) -> None:
        # Reentrant: a signal's handler may print while its thread prints.
        self.lock = threading.RLock()
        self._lines: list[str] = []
        # How many lines stand on the terminal now, above the cursor and in its line.
        self._drawn = 0
        self._loans = 0
        # Whether the cursor stands behind text without a line break, where no line may begin.
        self._line_is_open = False

    def set(self, lines: Sequence[str]) -> None:
        """Have other lines drawn from now on. No line may hold a control character, or be wider than the terminal."""
        self._lines = list(lines)

    def lend(self) -> None:
        """Draw nothing until ``take_back``: another program uses the terminal."""
        self._loans += 1

    def take_back(self) -> None:
        """End one ``lend``."""
        self._loans -= 1

    def around(self, text: str) -> str:
        """Return the characters that write ``text`` above the lines, and draw the lines anew."""
        erased = self._erase()
        if text:
            self._line_is_open = not text.endswith("\n")
        if self._loans or self._line_is_open or not self._lines:
            return erased + text
        self._drawn = len(self._lines)
        return erased + text + "\n".join(self._lines) + "\r"

    def _erase(self) -> str:
        if not self._drawn:
            return ""
        up = f"\x1b[{self._drawn - 1}A" if self._drawn > 1 else ""
        self._drawn = 0
        return f"\r{up}\x1b[J"
