"""A terminal for tests: a pty, and what a screen shows of the characters that a program wrote to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.support.patience import HANG_S

_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def screen(written: bytes, columns: int) -> list[str]:
    """Return the lines that a terminal of ``columns`` columns shows after ``written``, without blank lines at the end.

    Knows line breaks, the sequences that erase live lines, and styles. Raises ``ValueError`` for any other control character.
    """
    text, lines, row, column, place = written.decode(), [""], 0, 0, 0
    while place < len(text):
        character = text[place]
        sequence = _SEQUENCE.match(text, place)
        place = sequence.end() if sequence else place + 1
        if sequence and sequence[2] == "A":
            row = max(0, row - int(sequence[1] or 1))
        elif sequence and sequence[2] == "J" and not sequence[1]:
            lines[row:] = [lines[row][:column]]
        elif sequence and sequence[2] == "m":
            pass
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
        elif not character.isprintable() and character != "\t":
            raise ValueError(f"{character!r} came to the terminal, before {text[place : place + 20]!r}")
        else:
            if column == columns:
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.rstrip() for line in lines]


class Terminal:
    """The two ends of a pty: ``program`` is the descriptor for a program's streams; ``written`` is what has been read so far."""

    def __init__(self, columns: int, lines: int) -> None:
        self._person, self.program = pty.openpty()
        fcntl.ioctl(self.program, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.columns, self.written = columns, b""

    def read(self) -> bytes:
        """Return all that was written so far."""
        while select.select([self._person], [], [], 0)[0]:
            try:
                piece = os.read(self._person, 65536)
            # Linux says so where no program has the terminal open any more
            except OSError:
                break
            if not piece:
                break
            self.written += piece
        return self.written

    def read_until(self, holds: Callable[[bytes], bool]) -> bytes:
        """Read until ``holds`` of all that was written. Raises ``AssertionError`` where that does not come."""
        until_s = time.monotonic() + HANG_S
        while not holds(self.read()):
            assert time.monotonic() < until_s, self.written
            select.select([self._person], [], [], 0.1)
        return self.written

    def type(self, keys: bytes) -> None:
        """Type keys, such as b"\\x03" for Ctrl-C."""
        os.write(self._person, keys)

    def screen(self) -> list[str]:
        """Return the lines that the terminal shows now."""
        return screen(self.read(), self.columns)

    def close(self) -> None:
        for descriptor in (self._person, self.program):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@contextlib.contextmanager
def opened(columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    """Yield a terminal of a size."""
    terminal = Terminal(columns, lines)
    try:
        yield terminal
    finally:
        terminal.close()


def start(command: Sequence[str], terminal: Terminal, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program on a terminal, which is its standard streams and sends it signals."""
    return subprocess.Popen(
        command,
        stdin=terminal.program,
        stdout=terminal.program,
        stderr=terminal.program,
        env={**environment, "TERM": "xterm-256color"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
