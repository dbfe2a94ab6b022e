"""The verb ``lock``: resolve what versions.lock leaves open, or check it; say what could not be reached."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.contract import progress
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError, Unreachable, UsageError
from runner.contract.progress import Step
from runner.host import paths
from runner.host.pins import presence, resolve, silence
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import Lock
from runner.host.stacks import agreement


@dataclass(frozen=True)
class FilesAgree(Event, word="checked"):
    """The requirements files are as versions.lock says (`--check`)."""

    requirements_files: int = field(metadata=fact("number of requirements files"))
    unresolved_pins: int = field(metadata=fact("number of pins that are unresolved"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.requirements_files} requirements files are as versions.lock says; {self.unresolved_pins} pins are unresolved."


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
class PinUnresolved(Event, word="unresolved"):
    """A pin stays unresolved."""

    pin: str = field(metadata=fact("place of the pin in versions.lock"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"unresolved: {self.pin}"


@dataclass(frozen=True)
class PinGone(Event, word="gone"):
    """A pin is no longer where it was pinned (`--check --online`)."""

    pin: str = field(metadata=fact("place of the pin in versions.lock"))
    message: str = field(metadata=fact("what its origin says"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"gone: {self.pin}: {self.message}"


@dataclass(frozen=True)
class PresenceCounted(Event, word="presence"):
    """Every pin was asked for (`--check --online`)."""

    present_pins: int = field(metadata=fact("number of pins that are still there"))
    gone_pins: int = field(metadata=fact("number of pins that are not"))
    silent_pins: int = field(metadata=fact("number of pins whose origin did not answer"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.present_pins} pins are still there, {self.gone_pins} are not, {self.silent_pins} could not be asked for"


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


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's arguments."""
    flags = verb_parser(
        "lock",
        description="Compile the hash-locked requirements of every stack, resolve what versions.lock leaves open, and say what"
        " could not be reached. What was resolved before is never changed: to move a pin, edit its version or set its value"
        " to unresolved.",
        epilog="Exit codes: 0 all that was asked for answered, 9 something could not be reached; see `python -m runner --help`.",
    )
    flags.add_argument(
        "--check", action="store_true", help="only compare the requirements files with the lock, offline"
    )
    flags.add_argument("--stack", metavar="STACK", help="only the pins of one stack")
    flags.add_argument(
        "--online",
        action="store_true",
        help="with --check, also ask every origin whether what is pinned is still there",
    )
    flags.add_argument("--only", choices=resolve.KINDS, help="only one kind of pin")
    add_json(flags, "what became of each pin")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Run the verb and return its exit code. Raises ``UsageError``, ``InputError``, ``Unreachable``."""
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    paths.need_a_clone("lock")
    if options.online and not options.check:
        raise UsageError("--online goes with --check.")
    lock = lockfile.read()
    if options.stack is not None and options.stack not in lock.stacks:
        raise InputError(f"versions.lock has no stack {options.stack}. Take one of {', '.join(lock.stacks)}.")
    silence.forget()
    if options.check:
        _check(lock, announcer)
        if options.online:
            ask_presence(lock, options.only, options.stack, announcer)
    else:
        _resolve(options.only, options.stack, announcer)
    return 0


def _check(lock: Lock, announcer: Announcer) -> None:
    """Compare lock and requirements files offline. Raises ``InputError`` for every contradiction."""
    agreement.refuse_contradictions(lock)
    announcer.announce(FilesAgree(len(lockfile.requirements_files(lock)), len(resolve.unresolved(lock))))


@dataclass
class _Failures:
    """How many questions were answered with a refusal, such as that there is no such thing, and how many not at all."""

    refused: int = 0
    silent: int = 0


def _resolve(only: resolve.Kind | None, stack: str | None, announcer: Announcer) -> None:
    """Resolve pins, and say what stays unresolved. Raises ``InputError``, ``Unreachable`` where a question failed."""
    failures = _Failures()

    def say_yanked(package: str, version: str) -> None:
        announcer.announce(ReleaseYanked(package, version))

    task = progress.begin("lock", _show)
    for kind in resolve.KINDS:
        # a kind's questions follow from what the kinds before it resolved
        questions = list(resolve.plan(lockfile.read(), kind, stack, say_yanked)) if only in (None, kind) else []
        for done, question in enumerate(questions):
            pin = ".".join(question.where)
            sentence = f"{done} of {len(questions)} questions about {kind} are answered; asking for {pin}"
            task.update(Step(f"asking for {kind}", done, len(questions), "steps", sentence))
            _answer(question, failures, announcer)
        task.end()
    for where in resolve.unresolved(lockfile.read()):
        announcer.announce(PinUnresolved(".".join(where)))
    if failures.refused:
        raise InputError(
            f"{failures.refused} of the pins cannot be resolved as they stand (above); what was resolved stays. Mend them in"
            " versions.lock."
        )
    if failures.silent:
        raise Unreachable(
            f"{failures.silent} of the origins asked did not answer (above); what was resolved stays. Run it again where they"
            " can be reached."
        )


def _show(line: str) -> None:
    print(f"[lock] {line}", file=sys.stderr, flush=True)


def _answer(question: resolve.Question, failures: _Failures, announcer: Announcer) -> None:
    """Ask one question, and write its answer into the lock at once."""
    where = ".".join(question.where)
    try:
        answer = question.ask()
    except Unreachable as problem:
        announcer.announce(OriginSilent(where, str(problem)))
        failures.silent += 1
        return
    except InputError as problem:
        announcer.announce(PinNotThere(where, str(problem)))
        failures.refused += 1
        return
    if answer is None:
        announcer.announce(PinNotThere(where, "its origin has none"))
    elif lock_editor.edit(paths.LOCK, {question.where: answer}):
        announcer.announce(PinResolved(where, answer))


def ask_presence(lock: Lock, only: resolve.Kind | None, stack: str | None, announcer: Announcer) -> None:
    """Ask the origin of every resolved pin for the pin, and say what is gone.

    Raises ``InputError`` where a pin is gone, ``Unreachable`` where an origin did not answer.
    """
    gone = present = silent = 0
    for question in presence.plan(lock, only, stack):
        where = ".".join(question.where)
        try:
            problem = question.problem()
        except Unreachable as refusal:
            announcer.announce(OriginSilent(where, str(refusal)))
            silent += 1
            continue
        except InputError as refusal:
            problem = str(refusal)
        if problem:
            announcer.announce(PinGone(where, problem))
            gone += 1
        else:
            present += 1
    announcer.announce(PresenceCounted(present, gone, silent))
    if gone:
        raise InputError(
            "What is gone (above) cannot be installed again. Set its value to unresolved, or pin another one."
        )
    if silent:
        raise Unreachable("Some origins did not answer (above). Run it again where they can be reached.")
