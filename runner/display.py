"""Draw bars of progress on a terminal, with rich. Only ``__main__`` imports this module; an image does not hold it.

rich lays out lines of plain text, and never gets the terminal: ``contract.streams`` masks the lines, makes them visible and draws them.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.progress import Task as Row
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from runner.contract.progress import Show, Step, StepUnit, Task
from runner.contract.streams import Output

# Seconds between two drawings, so that elapsed times go on.
DRAW_S = 1.0
# The same while a measurement runs. Drawing a line takes 1 ms of a processor core, 0.01% of ten seconds.
QUIET_DRAW_S = 10.0
# Narrower terminals show no bar, or a percentage instead of the count too.
_BAR_COLUMNS = 80
_COUNT_COLUMNS = 60
# As wide as "0:00:00 left", so that the columns stay where they are when the speed becomes known.
_TIME_COLUMNS = 12
_WORDS: dict[StepUnit, str] = {"rows": "rows", "calls": "calls", "steps": "steps"}


class LiveTask:
    """A task with a line of its own below all other text, from its first step to its end."""

    def __init__(self, display: LiveDisplay, name: str, show: Show) -> None:
        self._display, self._name, self._show = display, name, show
        self._row: TaskID | None = None
        self._step: Step | None = None

    def line(self, text: str) -> None:
        """Print a line above the bars."""
        self._show(text)

    def update(self, step: Step) -> None:
        """Show the step; a step that was not counted on before starts its clock anew."""
        with self._display.lock:
            if self._step is None or self._step.kind != step.kind:
                # The bar stands for the sentences of a counted step. Only the last sentence stays.
                if step.sentence and step.of is None:
                    self._show(step.sentence)
                self._row = self._display.replace(self._row, f"{self._name}: {step.what}", step)
            elif self._row is not None:
                self._display.count(self._row, step)
            if step.sentence and step.of is not None and step.done == step.of:
                self._show(step.sentence)
            self._step = step

    def end(self) -> None:
        """Take the task's line away."""
        with self._display.lock:
            row, self._row, self._step = self._row, None, None
            if row is not None:
                self._display.remove(row)
        self._display.rest()


class LiveDisplay:
    """Draws a line for each task that has a step: anew at each change, and every ``draw_s`` seconds in between.

    The thread that draws in between runs only while a task has a step: a process must not fork while another thread runs.
    """

    def __init__(self, output: Output, draw_s: float = DRAW_S) -> None:
        self.lock = threading.RLock()
        self._output, self._draw_s = output, draw_s
        # it is never started: what rich draws by itself would go past ``output``
        self._progress = Progress(auto_refresh=False, console=self._console(80))
        self._steps: dict[TaskID, Step] = {}
        self._ticker: _Ticker | None = None

    def begin(self, name: str, show: Show) -> Task:
        """Return a new task; its line appears with its first step."""
        return LiveTask(self, self._output.as_shown(name), show)

    def replace(self, row: TaskID | None, description: str, step: Step) -> TaskID:
        """Put a new line in the place of another, and return it. The clock of the new line starts now."""
        if row is not None:
            self._progress.remove_task(row)
            del self._steps[row]
        new = self._progress.add_task(self._output.as_shown(description), total=step.of)
        self.count(new, step)
        if self._ticker is None:
            self._ticker = _Ticker(self)
        return new

    def count(self, row: TaskID, step: Step) -> None:
        """Count a step on."""
        self._steps[row] = step
        self.draw()

    def remove(self, row: TaskID) -> None:
        """Take a line away."""
        self._progress.remove_task(row)
        del self._steps[row]
        self.draw()

    def rest(self) -> None:
        """End the thread that draws where no line is left. Whoever calls must not hold ``lock``, for which the thread may wait."""
        with self.lock:
            ticker = None if self._steps else self._ticker
            if ticker is not None:
                self._ticker = None
        if ticker is not None:
            ticker.stop()

    def close(self) -> None:
        """Take all lines away."""
        with self.lock:
            for row in list(self._steps):
                self.remove(row)
        self.rest()

    def pause_s(self) -> float:
        """Return how many seconds to wait until the lines are drawn again."""
        with self.lock:
            quiet = any(step.quiet for step in self._steps.values())
            return QUIET_DRAW_S if quiet else self._draw_s

    def draw(self) -> None:
        """Draw the lines of all tasks, as many as the terminal has room for."""
        with self.lock:
            size = self._output.terminal_size()
            for row, step in self._steps.items():
                done = step.done_now()
                if done is not None:
                    self._progress.update(row, completed=min(done, step.of) if step.of is not None else done)
            self._output.show_live(self._lines(size.columns, max(1, size.lines - 2)))

    def _lines(self, columns: int, most: int) -> list[str]:
        rows = self._progress.tasks
        shown = rows if len(rows) <= most else rows[: most - 1]
        has_bar = columns >= _BAR_COLUMNS
        table = Table.grid(
            Column(no_wrap=True, overflow="ellipsis", ratio=1),
            *([Column(no_wrap=True)] if has_bar else []),
            Column(no_wrap=True, justify="right"),
            Column(no_wrap=True, justify="right", min_width=_TIME_COLUMNS),
            padding=(0, 2, 0, 0),
            expand=True,
        )
        for row in shown:
            step = self._steps[row.id]
            bar = [_bar(row, columns // 8)] if has_bar else []
            count = _count(row, step) if columns >= _COUNT_COLUMNS else _share(row)
            table.add_row(Text(row.description), *bar, Text(count), Text(_time(row)))
        # a character in the last column would leave the cursor behind the line
        console = self._console(columns - 1)
        segments = console.render_lines(table, pad=False)
        lines = ["".join(segment.text for segment in line if not segment.control).rstrip() for line in segments]
        return [*lines, f"and {len(rows) - len(shown)} more"] if len(shown) < len(rows) else lines

    def _console(self, columns: int) -> Console:
        """Return a console that lays out text without any style, in the characters that the terminal's character set has."""
        file = io.TextIOWrapper(io.BytesIO(), encoding=self._output.encoding)
        return Console(
            file=file, width=columns, color_system=None, force_terminal=True, legacy_windows=False, _environ={}
        )


class _Ticker:
    """A thread that draws a display every few seconds."""

    def __init__(self, display: LiveDisplay) -> None:
        self._display, self._stopped = display, threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._display.pause_s()):
            self._display.draw()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


def _bar(row: Row, columns: int) -> ProgressBar | Text:
    return Text("") if row.total is None else ProgressBar(total=row.total, completed=row.completed, width=columns)


def _count(row: Row, step: Step) -> str:
    if step.of is None or step.unit is None:
        return ""
    if step.unit == "bytes":
        return f"{row.completed / 1e9:.1f} of {step.of / 1e9:.1f} GB"
    return f"{row.completed:.0f} of {step.of} {_WORDS[step.unit]}"


def _share(row: Row) -> str:
    return "" if row.total is None else f"{row.percentage:.0f}%"


def _time(row: Row) -> str:
    """Return the time that is left where the speed is known, else the time since the step began."""
    if row.total is not None and row.time_remaining is not None:
        return f"{_clock(row.time_remaining)} left"
    return _clock(row.elapsed or 0.0)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


@contextlib.contextmanager
def opened(output: Output) -> Iterator[LiveDisplay]:
    """Yield a display on a terminal, and leave the terminal without bars at the end."""
    display = LiveDisplay(output)
    try:
        yield display
    finally:
        display.close()
