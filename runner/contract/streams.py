"""Print the text of a verb: secrets masked, control characters made visible, and no exception for a stream that cannot take text.

Standard output and error can be closed, full, a pipe whose reader has gone, or of a character set that lacks a letter. A
measurement of hours must not end for that: text that cannot be printed is dropped, and the exit code says so at the end.

Bars of progress go through here as well, by ``Output.show_live``: whoever draws bars hands over lines of text, which are masked and
made visible as all other text is. The cursor is moved by ``contract.live`` alone, so no name of a file, message of a cluster or output of
a rank can move the cursor.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
from typing import Callable, ContextManager, Iterator, Mapping, Sequence, TextIO

from runner.contract.frame import MARK as FRAME
from runner.contract.live import LiveLines
from runner.contract.secrets import mask
from runner.contract.text import printable, visible

# How Python writes the bytes of a path that are no text (PEP 383).
_UNDECODABLE = re.compile("[\udc80-\udcff]")
# The bold and underlined headings of tables, for a terminal; any other sequence may hide or move text.
_STYLE = re.compile(r"\x1b\[(?:0|1|4|1;4)?m")
# Where a terminal does not say how large it is.
_TERMINAL_SIZE = os.terminal_size((80, 24))


class Output(io.TextIOBase):
    """A text stream over a standard stream. ``problem`` is the ``OSError`` that ended the stream, None while it takes text.

    A line is written when it ends: a secret that comes in two pieces is masked as a whole.
    """

    def __init__(self, stream: TextIO | None, name: str, live: LiveLines | None = None) -> None:
        """``stream`` is None where the process was started without it; ``name`` names the stream in messages.

        ``live`` are the lines below all other text of the terminal, which two streams to one terminal share.
        """
        self._stream, self.name = stream, name
        self._live = live or LiveLines()
        self._pending = ""
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self.problem: OSError | None = None
        try:
            self._terminal = stream is not None and stream.isatty()
        except (OSError, ValueError):
            self._terminal = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has a settable attribute
        """The name of the stream's character set."""
        return self._encoding

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._terminal

    def fileno(self) -> int:
        """Return the file descriptor. Raises ``io.UnsupportedOperation`` for a closed stream."""
        if self._stream is None:
            raise io.UnsupportedOperation("the stream is closed")
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def takes_live_lines(self, environment: Mapping[str, str]) -> bool:
        """Return whether lines may be drawn anew here: on a terminal, unless TERM, NO_COLOR or CI ask for plain text."""
        plain = environment.get("TERM", "dumb") in ("", "dumb", "unknown")
        return self._terminal and not plain and not environment.get("NO_COLOR") and not environment.get("CI")

    def terminal_size(self) -> os.terminal_size:
        """Return the columns and lines of the terminal; 80 and 24 where the terminal does not say."""
        with contextlib.suppress(OSError, ValueError):
            size = os.get_terminal_size(self.fileno())
            if size.columns > 0 and size.lines > 0:
                return size
        return _TERMINAL_SIZE

    def as_shown(self, text: str) -> str:
        """Return foreign text as a terminal shows it: on one line, masked, and without letters that the character set lacks."""
        return _encoded(printable(mask(text)), self._encoding, True).decode(self._encoding, errors="replace")

    def show_live(self, lines: Sequence[str]) -> None:
        """Keep ``lines`` below all other text of the terminal, instead of the lines before; none take the lines away.

        No line may be wider than ``terminal_size``. Never raises ``OSError``.
        """
        with self._live.lock:
            self._live.set([safe(mask(line), terminal=True) for line in lines])
            self._redraw()

    def _redraw(self) -> None:
        drawn = self._live.around("")
        if drawn:
            self._put(drawn)

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Keep live lines off the terminal while the block runs, in which another program uses the terminal."""
        with self._live.lock:
            self._live.lend()
            self._redraw()
        try:
            yield
        finally:
            with self._live.lock:
                self._live.take_back()
                self._redraw()

    def write(self, text: str) -> int:
        """Take text, and write the lines of it that ended. Never raises ``OSError``."""
        whole, newline, unfinished = (self._pending + text).rpartition("\n")
        self._pending = unfinished
        if newline:
            self._write(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Write the begun line too. Never raises ``OSError``."""
        if self._pending:
            pending, self._pending = self._pending, ""
            self._write(pending)
        if self._stream is not None:
            self._try(self._stream.flush)

    def _write(self, text: str) -> None:
        # a frame is the base64 of a result that was masked before it was sealed: a changed byte would damage the result
        lines = [line if FRAME in line else safe(mask(line), self._terminal) for line in text.split("\n")]
        if not self._terminal:
            self._put("\n".join(lines))
            return
        with self._live.lock:
            self._put(self._live.around("\n".join(lines)))

    def _put(self, text: str) -> None:
        """Write text as it is."""
        stream = self._stream
        if stream is None:
            self.problem = self.problem or OSError(errno.EBADF, os.strerror(errno.EBADF))
            return
        buffer = getattr(stream, "buffer", None)
        encoded = _encoded(text, self._encoding, self._terminal)
        if buffer is None:
            self._try(lambda: stream.write(encoded.decode(self._encoding, errors="replace")))
        else:
            self._try(lambda: (stream.flush(), buffer.write(encoded), buffer.flush()))

    def _try(self, write: Callable[[], object]) -> None:
        if self.problem is not None or self._stream is None:
            return
        try:
            write()
        except OSError as problem:
            self.problem = problem
        # the stream was closed by this process
        except ValueError as problem:
            self.problem = OSError(errno.EBADF, str(problem))

    def abandon(self) -> None:
        """Keep the interpreter from flushing a broken stream again as it exits, and from printing an error of its own."""
        if self.problem is not None and self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def safe(text: str, terminal: bool = False) -> str:
    """Return text with control and direction-changing characters visible, but for tabs.

    A terminal keeps the styles of headings; a file or pipe keeps the bytes of a path that is no text (surrogates here).
    """
    if text.isascii() and text.isprintable():
        return text
    if not terminal:
        return visible(text, kept="\t" + "".join(_UNDECODABLE.findall(text)))
    pieces, last = [], 0
    for style in _STYLE.finditer(text):
        pieces += [visible(text[last : style.start()], kept="\t"), style[0]]
        last = style.end()
    return "".join([*pieces, visible(text[last:], kept="\t")])


def _encoded(text: str, encoding: str, terminal: bool) -> bytes:
    """Encode text for a stream; a path that is no text goes to a file or pipe as its own bytes, so that it can be used again."""
    try:
        return text.encode(encoding, "backslashreplace" if terminal else "surrogateescape")
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace")


@contextlib.contextmanager
def guarded() -> Iterator[tuple[Output, Output]]:
    """Put an ``Output`` in the place of ``sys.stdout`` and ``sys.stderr`` while the block runs, and yield both."""
    before, live = (sys.stdout, sys.stderr), LiveLines()
    outputs = Output(before[0], "standard output", live), Output(before[1], "standard error", live)
    sys.stdout, sys.stderr = outputs
    try:
        yield outputs
    finally:
        for output in outputs:
            output.flush()
        sys.stdout, sys.stderr = before
        for output in outputs:
            output.abandon()


def lent_terminal() -> ContextManager[None]:
    """Keep bars of progress off the terminal while the block runs, in which another program asks a person there."""
    return sys.stderr.lent() if isinstance(sys.stderr, Output) else contextlib.nullcontext()
