"""A terminal for tests: a pty, and what a screen shows of the characters that a program wrote to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.support.patience import HANG_S

# A character that no program writes here.
_MARK = b"\0"
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
    """The two ends of a pty: ``program`` is the descriptor for a program's streams.

    A thread reads what is written: a pty that nobody reads holds a few thousand characters, and then its writer waits.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self._person, self.program = pty.openpty()
        fcntl.ioctl(self.program, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.columns = columns
        self._written, self._marks, self._hung_up = b"", 0, False
        self._changed = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                piece = os.read(self._person, 65536)
            # Linux says so when the program that the terminal controls has ended
            except OSError:
                piece = b""
            with self._changed:
                self._written += piece.replace(_MARK, b"")
                self._marks += piece.count(_MARK)
                self._hung_up = not piece
                self._changed.notify_all()
            if not piece:
                return

    def read(self) -> bytes:
        """Return all that was written before this call."""
        with self._changed:
            awaited = self._marks + 1
        # characters come in their order, after a moment in the kernel
        with contextlib.suppress(OSError):
            os.write(self.program, _MARK)
        with self._changed:
            assert self._changed.wait_for(lambda: self._hung_up or self._marks >= awaited, HANG_S)
            return self._written

    def read_until(self, holds: Callable[[bytes], bool]) -> bytes:
        """Return all that was written as soon as ``holds`` of it."""
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self._written), HANG_S), self._written
            return self._written

    def type(self, keys: bytes) -> None:
        """Type keys, such as b"\\x03" for Ctrl-C."""
        os.write(self._person, keys)

    def screen(self) -> list[str]:
        """Return the lines that the terminal shows now."""
        return screen(self.read(), self.columns)

    def close(self) -> None:
        """Close the program's end; the thread ends with it."""
        with contextlib.suppress(OSError):
            os.close(self.program)
        with self._changed:
            assert self._changed.wait_for(lambda: self._hung_up, HANG_S)
        os.close(self._person)


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
