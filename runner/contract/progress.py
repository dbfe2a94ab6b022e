"""Say how far long work has come: the steps, the tasks that show the steps, and the lines that are printed without a terminal.

A verb begins a task with ``begin`` and hands the task down to the code that works. Where the verb runs on a terminal, ``__main__`` has
named a display that draws bars (``runner/display.py``); everywhere else a task prints lines. The working code sees no difference.
"""

from __future__ import annotations

import contextlib
import time
from typing import Callable, ContextManager, Iterator, Literal, NamedTuple, Protocol, Union

# Prints one line. The line may hold foreign text; the function makes the line printable.
Show = Callable[[str], None]
# How much of a step is done. The display calls a function at each drawing, in a thread of its own.
Done = Union[int, Callable[[], int]]

# What a step is counted in.
StepUnit = Literal["bytes", "rows", "calls", "steps"]

# Seconds between two printed lines of one counted step.
LINE_S = 10.0
# Seconds between two updates of a step that counts bytes: a read or a write takes a millisecond, and drawing a bar takes longer.
COUNT_S = 1.0


class Step(NamedTuple):
    """What a task does now.

    ``what`` names the step in a few words. ``done`` and ``of`` count it in ``unit``; all three are None where nothing is counted.
    ``sentence`` is the line for a task without a terminal; an empty sentence prints nothing. ``quiet`` says that a measurement runs: the
    display then draws rarely, since drawing takes time of a processor core.
    """

    what: str
    done: Done | None = None
    of: int | None = None
    unit: StepUnit | None = None
    sentence: str = ""
    quiet: bool = False

    @property
    def kind(self) -> tuple[str, int | None, StepUnit | None]:
        """What stays the same while a step is counted on."""
        return self.what, self.of, self.unit

    def done_now(self) -> int | None:
        """Return how much is done at this moment."""
        return self.done() if callable(self.done) else self.done


class Task(Protocol):
    """A piece of long work, as its user sees it."""

    def line(self, text: str) -> None:
        """Show a sentence that stays."""
        ...

    def update(self, step: Step) -> None:
        """Show what is done now; the step before it is over."""
        ...

    def end(self) -> None:
        """Show no step any more. A later ``update`` begins anew."""
        ...


class Display(Protocol):
    """Where tasks are shown."""

    def begin(self, name: str, show: Show) -> Task:
        """Return a new task. ``name`` stands before its steps; ``show`` prints its sentences."""
        ...


class PlainTask:
    """A task without a terminal: every sentence is a line; a counted step gets a line at most every ``LINE_S`` seconds, and its last."""

    def __init__(self, show: Show, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is monotonic, in seconds."""
        self._show, self._clock = show, clock
        self._step: Step | None = None
        self._shown_at_s = 0.0

    def line(self, text: str) -> None:
        """Print the sentence."""
        self._show(text)

    def update(self, step: Step) -> None:
        """Print the sentence of the step, unless the step was told less than ``LINE_S`` seconds ago."""
        now_s = self._clock()
        is_new = self._step is None or self._step.kind != step.kind
        is_last = step.of is not None and step.done == step.of
        if step.sentence and (is_new or is_last or now_s - self._shown_at_s >= LINE_S):
            self._shown_at_s = now_s
            self._show(step.sentence)
        self._step = step

    def end(self) -> None:
        """Forget the step: the next one is new."""
        self._step = None


class _Silent:
    def line(self, text: str) -> None:
        pass

    def update(self, step: Step) -> None:
        pass

    def end(self) -> None:
        pass


# Shows nothing: for ranks other than the first.
SILENT: Task = _Silent()


class Part:
    """A part of a task, such as one launch of an attempt: its name stands before all that the part shows."""

    def __init__(self, task: Task, name: str) -> None:
        self._task, self._name = task, name

    def line(self, text: str) -> None:
        """Show the sentence behind the name of the part."""
        self._task.line(f"{self._name}: {text}")

    def update(self, step: Step) -> None:
        """Show the step behind the name of the part."""
        sentence = step.sentence and f"{self._name}: {step.sentence}"
        self._task.update(step._replace(what=f"{self._name}: {step.what}", sentence=sentence))

    def end(self) -> None:
        """Show no step of the task any more."""
        self._task.end()


class ByteCount:
    """Counts bytes towards a total as one step of a task, and says in its lines how much time is left."""

    def __init__(
        self, task: Task, what: str, of_bytes: int, done_bytes: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``done_bytes`` were done before; they tell nothing of the speed. ``clock`` is monotonic, in seconds."""
        self._task, self._what, self._of_bytes, self._clock = task, what, of_bytes, clock
        self._done_bytes = self._done_before_bytes = done_bytes
        self._began_s = self._updated_s = clock()
        task.update(Step(what, done_bytes, of_bytes, "bytes"))

    def add(self, number_bytes: int) -> None:
        """Count bytes on; the task is told at most every ``COUNT_S`` seconds."""
        self._done_bytes += number_bytes
        now_s = self._clock()
        if now_s - self._updated_s >= COUNT_S:
            self._updated_s = now_s
            self._task.update(
                Step(self._what, self._done_bytes, self._of_bytes, "bytes", self._sentence(now_s - self._began_s))
            )

    def _sentence(self, elapsed_s: float) -> str:
        counted_bytes = self._done_bytes - self._done_before_bytes
        left_s = (self._of_bytes - self._done_bytes) * elapsed_s / counted_bytes if counted_bytes > 0 else None
        time_left = "" if left_s is None else f", about {max(0.0, left_s):.0f} s left"
        return f"{self._what}: {self._done_bytes / 1e9:.2f} of {self._of_bytes / 1e9:.2f} GB{time_left}"


class PlainDisplay:
    """Shows tasks as lines."""

    def begin(self, name: str, show: Show) -> Task:  # noqa: ARG002 - a line has its name from `show`
        """Return a task that prints its sentences by ``show``."""
        return PlainTask(show)


class _LazyDisplay:
    """Opens a display when the first task begins: a verb without long work imports nothing that draws."""

    def __init__(self, opened: contextlib.ExitStack, open_display: Callable[[], ContextManager[Display]]) -> None:
        self._opened, self._open_display = opened, open_display
        self._display: Display | None = None

    def begin(self, name: str, show: Show) -> Task:
        if self._display is None:
            self._display = self._opened.enter_context(self._open_display())
        return self._display.begin(name, show)


_displays: list[Display] = [PlainDisplay()]


def begin(name: str, show: Show) -> Task:
    """Begin a task on the display of this process, which is a ``PlainDisplay`` unless ``shown_by`` named another."""
    return _displays[-1].begin(name, show)


@contextlib.contextmanager
def shown_by(open_display: Callable[[], ContextManager[Display]]) -> Iterator[None]:
    """Show all tasks that begin while the block runs on the display that ``open_display`` opens; close the display at the end."""
    with contextlib.ExitStack() as opened:
        display = _LazyDisplay(opened, open_display)
        _displays.append(display)
        try:
            yield
        finally:
            _displays.remove(display)
