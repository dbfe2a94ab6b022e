"""Run a step of a job, keep what it prints, and note how it ended: a job that fails still has to say what failed.

The notes lie in ``FOLDER/steps.jsonl``, one object a line; each step's output lies in ``FOLDER/NAME.log``.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.contract import files, patterns, secrets, strictjson
from runner.contract.errors import DamagedResult, InputError
from runner.contract.fields import Fields
from runner.contract.text import printable, visible

NOTES = "steps.jsonl"
MAX_STEPS = 20
TAIL_LINES = 40
# What is read of the end of a log for the tail. Of a line, in characters.
TAIL_BYTES = 64 * 1024
MAX_LINE = 600


@dataclass(frozen=True)
class Step:
    """A step that ran: its command as one line, its exit code, and the last lines that it printed, printable."""

    name: str
    command: str
    exit_code: int
    tail: list[str]


def run(folder: Path, name: str, command: list[str]) -> int:
    """Run a command, print and keep what it prints, add its note, and return its exit code. Raises ``InputError``."""
    if patterns.problem(patterns.NAME, name):
        raise InputError(f"{printable(name, 60)!r} is no name of a step: {patterns.NAME.words}.")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except OSError as problem:
            raise InputError(
                f"{printable(command[0], 100)} cannot be run: {files.reason(problem)}. Check the step."
            ) from None
        with process:
            assert process.stdout is not None
            for block in iter(lambda: os.read(process.stdout.fileno(), 65536), b""):  # type: ignore[union-attr]
                file.write(block)
                sys.stdout.buffer.write(block)
                sys.stdout.buffer.flush()
    code = process.returncode
    # a signal, as a shell tells it
    code = 128 - code if code < 0 else code
    note = Step(name, printable(secrets.mask(shlex.join(command)), 300), code, tail(log))
    with (folder / NOTES).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(asdict(note)) + "\n")
    return code


def tail(log: Path) -> list[str]:
    """Return the last lines of a log, secrets masked, control characters visible, long lines cut."""
    with files.open_regular(log) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - TAIL_BYTES, 0))
        text = secrets.mask(file.read(TAIL_BYTES).decode("utf-8", "replace"))
    # a bar of progress writes its line again and again
    lines = [line.rstrip().rpartition("\r")[2] for line in text.split("\n")]
    return [visible(line[:MAX_LINE]) for line in lines if line.strip()][-TAIL_LINES:]


def read(folder: Path) -> list[Step]:
    """Return the steps that ran, in their order; none where nothing was noted. Raises ``DamagedResult``."""
    path = folder / NOTES
    if not path.exists():
        return []
    lines = files.read_bytes(path, 1024 * 1024, DamagedResult, "Run the job again.").splitlines()
    if len(lines) > MAX_STEPS:
        raise DamagedResult(f"{path} has more than {MAX_STEPS} steps. Run the job again.")
    return [_step(strictjson.loads(line, str(path), DamagedResult), str(path)) for line in lines]


def _step(document: object, where: str) -> Step:
    fields = Fields(document, where, DamagedResult)
    step = Step(
        name=fields.form("name", patterns.NAME),
        command=fields.form("command", patterns.TEXT),
        exit_code=fields.count("exit_code", most=255),
        tail=fields.texts("tail"),
    )
    fields.done()
    return step
