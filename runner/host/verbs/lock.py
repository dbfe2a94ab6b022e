"""The verb ``lock``: resolve what versions.lock leaves open, or check it; say what could not be reached."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.contract import progress
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError, Unreachable, UsageError
from runner.contract.progress import Step
from runner.host import paths
from runner.host.pins import answering, presence, resolve, silence
from runner.host.pins.events import OriginSilent, PinUnresolved, ReleaseYanked

# announced by `answering`; the page of events lists what a verb's module holds
from runner.host.pins.events import PinNotThere as PinNotThere
from runner.host.pins.events import PinResolved as PinResolved
from runner.host.readers import lockfile
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


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's arguments."""
    flags = verb_parser(
        "lock",
        description="Compile the hash-locked requirements of every stack, resolve what versions.lock leaves open, and say what"
        " could not be reached. What was resolved before is never changed: `bump` moves a pin. To resolve a value again, set it to"
        " unresolved.",
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


def _resolve(only: resolve.Kind | None, stack: str | None, announcer: Announcer) -> None:
    """Resolve pins, and say what stays unresolved. Raises ``InputError``, ``Unreachable`` where a question failed."""
    outcomes: Counter[answering.Outcome] = Counter()

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
            outcomes[answering.answer(question, announcer)] += 1
        task.end()
    for where in resolve.unresolved(lockfile.read()):
        announcer.announce(PinUnresolved(".".join(where)))
    answering.refuse_failures(outcomes, ("refused",))


def _show(line: str) -> None:
    print(f"[lock] {line}", file=sys.stderr, flush=True)


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
