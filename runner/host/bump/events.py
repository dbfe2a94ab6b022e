"""The events of carrying out a bump: its steps, the notes that it replaced, and what is left to do."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

from runner.contract.announce import Complaint, Event, fact

_COLUMNS = 80


@dataclass(frozen=True)
class StepPlanned(Event, word="planned"):
    """A step that the bump would take (`--dry-run`)."""

    number: int = field(metadata=fact("number of the step, from 1"))
    message: str = field(metadata=fact("what the step does"))
    files: str = field(metadata=fact("the files and folders that the step writes, with blanks between; empty for none"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"  {self.number}. {self.message}" + (f": {self.files}" if self.files else "")


@dataclass(frozen=True)
class StepTaken(Event, word="step"):
    """A step of the bump begins."""

    number: int = field(metadata=fact("number of the step, from 1"))
    of: int = field(metadata=fact("number of steps"))
    message: str = field(metadata=fact("what the step does"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.number}/{self.of} {self.message}"


@dataclass(frozen=True)
class NoteReplaced(Event, word="note"):
    """A note of versions.lock spoke of what a pin was before, and now says so."""

    pin: str = field(metadata=fact("place of the entry in versions.lock"))
    note: str = field(metadata=fact("the note as it was"))
    now: str = field(metadata=fact("the note that the bump writes"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        said = f"the note of {self.pin} said: {self.note}\n  There stands now: {self.now}\n  "
        return f"{said}Write a note again in versions.lock if what it said still holds."


@dataclass(frozen=True)
class LeftToDo(Event, word="left"):
    """Something that the bump could not do, or that no program can do."""

    number: int = field(metadata=fact("number of what is left, from 1"))
    of: int = field(metadata=fact("number of things that are left"))
    message: str = field(metadata=fact("what is left to do, and by which command or from which source"))

    @property
    def sentence(self) -> str:
        """The lines for people."""
        begin = f"left to do, {self.number} of {self.of}: "
        return textwrap.fill(f"{begin}{self.message}", _COLUMNS, subsequent_indent="  ", break_on_hyphens=False)


@dataclass(frozen=True)
class StepFailed(Complaint, word="step-failed"):
    """A step of the bump failed after versions.lock was moved; the steps after it go on."""

    message: str = field(metadata=fact("the step, and why it failed"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"failed: {self.message}"


@dataclass(frozen=True)
class BumpDone(Event, word="bumped"):
    """The bump ended; what is unresolved or left to do stands above."""

    message: str = field(metadata=fact("what was bumped"))
    files: int = field(metadata=fact("number of files that differ from the commit"))
    check: str | None = field(
        metadata=fact("the command that says what the bump changed, null where a value is unresolved")
    )
    undo: str = field(metadata=fact("the command that undoes all of it"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        files = f"{self.files} file{'' if self.files == 1 else 's'} differ{'s' if self.files == 1 else ''}"
        check = f"; what it changed: {self.check}" if self.check is not None else ""
        return f"bumped: {self.message}. {files} from the commit{check}; undo: {self.undo}"
