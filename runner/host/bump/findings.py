"""What `bump` finds when it looks for what is newer than the lock, one event for each row."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.contract.announce import Complaint, Event, fact
from runner.contract.text import printable

_NAME = "name of the row, as `bump NAME` takes it"
_KIND = "kind of the row: tools, requirements, packages, images, models, datasets, sources or actions"
_CURRENT = "what versions.lock pins: a version, a tag, a day, or a commit"
_DAY = "day of it in UTC, null where its origin does not say it"
_SOURCE = "address that lists it"
# Of a foreign text in a sentence, as of a message in the list.
_CHARACTERS = 240


@dataclass(frozen=True)
class NewerFound(Event, word="newer"):
    """Something is newer than a row of the lock."""

    name: str = field(metadata=fact(_NAME))
    kind: str = field(metadata=fact(_KIND))
    current: str = field(metadata=fact(_CURRENT))
    version: str = field(metadata=fact("what is newer: a version, a tag, or a commit"))
    pin: str | None = field(
        metadata=fact("digest or commit that the tag names, the commit of a branch or model, null for a package")
    )
    day: str | None = field(metadata=fact(_DAY))
    source: str = field(metadata=fact(_SOURCE))
    why: str | None = field(metadata=fact("what else is to say, such as that the same tag names another image now"))


@dataclass(frozen=True)
class StackToAdd(Event, word="new-stack"):
    """A release, a build or a package of SynapseAI is newer than the newest Gaudi stack has: a stack to add beside it."""

    name: str | None = field(metadata=fact("name for the new stack, null where its release is not told"))
    like: str = field(metadata=fact("stack that the new one is like"))
    part: str = field(metadata=fact("what is newer: recipes, image, or optimum-habana"))
    current: str = field(metadata=fact("what that stack has"))
    version: str = field(metadata=fact("what is newer: a release, a tag, or a version"))
    release: str | None = field(metadata=fact("release of SynapseAI, null where nothing tells it"))
    pin: str | None = field(metadata=fact("commit or digest that the tag names, null for a package"))
    day: str | None = field(metadata=fact(_DAY))
    source: str = field(metadata=fact(_SOURCE))


@dataclass(frozen=True)
class VersionHeld(Event, word="held"):
    """A newer version of a package is excluded by the `hold` of its row."""

    name: str = field(metadata=fact(_NAME))
    kind: str = field(metadata=fact(_KIND))
    current: str = field(metadata=fact(_CURRENT))
    version: str = field(metadata=fact("newest version that the hold excludes"))
    day: str | None = field(metadata=fact(_DAY))
    source: str = field(metadata=fact(_SOURCE))
    hold: str = field(metadata=fact("versions that the row may move to"))
    note: str | None = field(metadata=fact("note of the row, which says why"))

    @property
    def sentence(self) -> str:
        """The line for people who asked for this row alone."""
        why = f": {printable(self.note, _CHARACTERS)}" if self.note else ""
        newer = f"{printable(self.version, 100)} is newer, and held at {self.hold}{why}"
        return f"{self.name} {self.current}: {newer}. Name a version within the bound with --to."


@dataclass(frozen=True)
class PythonTooOld(Event, word="needs-python"):
    """A newer version of a package does not run on the Python of its row."""

    name: str = field(metadata=fact(_NAME))
    kind: str = field(metadata=fact(_KIND))
    current: str = field(metadata=fact(_CURRENT))
    version: str = field(metadata=fact("newest such version"))
    day: str | None = field(metadata=fact(_DAY))
    source: str = field(metadata=fact(_SOURCE))
    requires_python: str = field(metadata=fact("what the version asks of Python"))
    pythons: list[str] = field(metadata=fact("Pythons of the row"))

    @property
    def sentence(self) -> str:
        """The line for people who asked for this row alone."""
        newer = (
            f"{printable(self.version, 100)} is newer, and runs on Python {printable(self.requires_python, 100)} alone"
        )
        has = f"the row has {' and '.join(self.pythons)}"
        return f"{self.name} {self.current}: {newer}; {has}. Name a version that runs there with --to."


@dataclass(frozen=True)
class DayNotAsked(Event, word="not-asked"):
    """A requirements file of the kit holds packages up to an earlier day; only compiling it tells whether anything moves."""

    name: str = field(metadata=fact(_NAME))
    kind: str = field(metadata=fact(_KIND))
    current: str = field(metadata=fact("day in versions.lock"))
    version: str = field(metadata=fact("today, in UTC"))


@dataclass(frozen=True)
class NotComparable(Event, word="not-comparable"):
    """Nothing can be compared with a row, since what the row pins is unresolved or has no name at its origin."""

    name: str = field(metadata=fact(_NAME))
    kind: str = field(metadata=fact(_KIND))
    current: str = field(metadata=fact(_CURRENT))
    message: str = field(metadata=fact("why, and what to do"))


@dataclass(frozen=True)
class NothingNewer(Event, word="nothing-newer"):
    """A row that was to move stays: its origin answered, and has nothing newer."""

    name: str = field(metadata=fact(_NAME))
    current: str = field(metadata=fact(_CURRENT))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"Nothing newer was found for {self.name} {self.current}."


@dataclass(frozen=True)
class RowNotReached(Complaint, word="row-not-reached"):
    """The origin of a row did not answer, so nobody knows whether anything is newer."""

    name: str = field(metadata=fact(_NAME))
    kind: str = field(metadata=fact(_KIND))
    current: str = field(metadata=fact(_CURRENT))
    source: str = field(metadata=fact("origin that was asked"))
    message: str = field(metadata=fact("why"))


@dataclass(frozen=True)
class RowNotThere(Complaint, word="row-not-there"):
    """The origin of a row does not have what the row names."""

    name: str = field(metadata=fact(_NAME))
    kind: str = field(metadata=fact(_KIND))
    current: str = field(metadata=fact(_CURRENT))
    source: str = field(metadata=fact("origin that was asked"))
    message: str = field(metadata=fact("what the origin says"))


@dataclass(frozen=True)
class RowsCounted(Event, word="counted"):
    """Every origin was asked."""

    newer: int = field(metadata=fact("number of rows that have something newer"))
    new_stacks: int = field(metadata=fact("number of findings that call for a new stack"))
    held: int = field(metadata=fact("number of rows with a newer version that is held"))
    needs_python: int = field(metadata=fact("number of rows with a newer version that needs another Python"))
    newest: int = field(metadata=fact("number of rows that have nothing newer"))
    unresolved: int = field(metadata=fact("number of rows with which nothing can be compared"))
    not_asked: int = field(metadata=fact("number of requirements files of the kit that were not compiled"))
    not_there: int = field(metadata=fact("number of rows that their origin does not have"))
    not_reached: int = field(metadata=fact("number of rows whose origin did not answer"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        counts = (
            (self.newer, "newer"),
            (self.new_stacks, "for a new stack"),
            (self.held, "held"),
            (self.needs_python, "for another Python"),
            (self.newest, "nothing newer"),
            (self.unresolved, "unresolved"),
            (self.not_asked, "not asked"),
            (self.not_there, "not there"),
            (self.not_reached, "not reached"),
        )
        return ", ".join(f"{number} {words}" for number, words in counts if number) or "no row was asked about"


Finding = NewerFound | StackToAdd | VersionHeld | PythonTooOld | DayNotAsked | NotComparable
