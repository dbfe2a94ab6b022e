"""The messages between parent and ranks: the input of a rank, and the marks of lines that a rank prints for the parent."""

from __future__ import annotations

import base64
import zlib
from typing import TypedDict, get_args

from runner.contract import strictjson
from runner.contract.errors import LaunchFailed
from runner.contract.progress import Step, StepUnit
from runner.contract.records import JsonObject

# The parent shows the text behind this mark as progress. The parent keeps every other line of a rank's output for the
# case of a failure.
PROGRESS = "@bench "
# A rank prints how far its work has come behind this mark, as the JSON of a ``StepRecord``.
STEP = "@bench-step "
# A rank on another host prints its last words, as JSON, behind this mark.
ERROR = "@bench-error "


class RankInput(TypedDict):
    """The input that every rank of a launch gets from the parent in its command.

    A rank on another host shares neither a file nor variables with the parent.
    """

    request: JsonObject
    # Name to value of the launch's variables.
    variables: dict[str, str]


class StepRecord(TypedDict):
    """The JSON of a ``progress.Step`` that a rank prints."""

    what: str
    done: int | None
    of: int | None
    unit: StepUnit | None
    sentence: str
    quiet: bool


class _LastWords(TypedDict):
    exit_code: int
    message: str


class LastWords(_LastWords, total=False):
    """The JSON that a rank leaves when an error ends the rank."""

    # Whether the rank ended because another process had ended before.
    echo: bool
    # The host's clock in seconds.
    at: float


def pack(value: RankInput) -> str:
    """Return a JSON value as one word of letters, digits, -, _ and =, which shells and launchers hand on unchanged."""
    return base64.urlsafe_b64encode(zlib.compress(strictjson.canonical(value))).decode()


def unpack(word: str) -> RankInput:
    """Return the value that ``pack`` was given. Raises ``LaunchFailed`` for a word that was changed on its way."""
    try:
        content = zlib.decompress(base64.urlsafe_b64decode(word))
    except (ValueError, zlib.error):
        raise LaunchFailed("What the launcher handed to this rank is not what the parent packed.") from None
    value: RankInput = strictjson.loads(content, "what the parent packed", LaunchFailed)
    return value


def step_line(step: Step) -> str:
    """Return a step as the line that a rank prints."""
    record: StepRecord = {
        "what": step.what,
        "done": step.done_now(),
        "of": step.of,
        "unit": step.unit,
        "sentence": step.sentence,
        "quiet": step.quiet,
    }
    return STEP + strictjson.canonical(record).decode()


def step_of(line: str) -> Step | None:
    """Return the step that a line of a rank's output tells; None for any other line, and for one that was damaged on its way."""
    if not line.startswith(STEP):
        return None
    try:
        record = strictjson.loads(line[len(STEP) :].encode(), "a rank's step", LaunchFailed)
    except LaunchFailed:
        return None
    if not isinstance(record, dict) or set(record) != set(StepRecord.__annotations__):
        return None
    step = Step(**record)
    counts = (step.done, step.of)
    is_counted = all(type(count) is int and count >= 0 for count in counts) and step.unit in get_args(StepUnit)
    is_uncounted = counts == (None, None) and step.unit is None
    texts = isinstance(step.what, str) and isinstance(step.sentence, str) and isinstance(step.quiet, bool)
    return step if texts and (is_counted or is_uncounted) else None
