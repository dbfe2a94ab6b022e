"""The events of questions to origins that more than one verb prints."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.contract.announce import Complaint, Event, fact


@dataclass(frozen=True)
class PinResolved(Event, word="resolved"):
    """A pin was resolved, and written into versions.lock."""

    pin: str = field(metadata=fact("place of the pin in versions.lock, its parts joined by dots"))
    value: str = field(metadata=fact("what was written"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"resolved: {self.pin} is {self.value}"


@dataclass(frozen=True)
class OriginSilent(Complaint, word="not-reached"):
    """The origin of a pin did not answer."""

    pin: str = field(metadata=fact("place of the pin in versions.lock"))
    message: str = field(metadata=fact("why"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"not reached: {self.pin}: {self.message}"


@dataclass(frozen=True)
class PinNotThere(Complaint, word="not-there"):
    """The origin of a pin does not have what the pin asks for."""

    pin: str = field(metadata=fact("place of the pin in versions.lock"))
    message: str = field(metadata=fact("what the origin says"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"not there: {self.pin}: {self.message}"


@dataclass(frozen=True)
class ReleaseYanked(Complaint, word="yanked"):
    """A release that is pinned was withdrawn by its authors; it is resolved all the same."""

    package: str = field(metadata=fact("name of the package"))
    version: str = field(metadata=fact("version of the release"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"yanked: {self.package} {self.version} was withdrawn by its authors; say in a note why it is kept."


@dataclass(frozen=True)
class PinUnresolved(Event, word="unresolved"):
    """A pin stays unresolved."""

    pin: str = field(metadata=fact("place of the pin in versions.lock"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"unresolved: {self.pin}"
