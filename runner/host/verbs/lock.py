"""The verb ``lock``: resolve what versions.lock leaves open, or check it; say what could not be reached."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from runner.contract.arguments import verb_parser
from runner.contract.errors import InputError, Unreachable, UsageError
from runner.host import paths
from runner.host.pins import agreement, presence, resolve, silence
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import Lock


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
    return flags


def main(arguments: Sequence[str]) -> int:
    """Run the verb and return its exit code. Raises ``UsageError``, ``InputError``, ``Unreachable``."""
    options = parser().parse_args(arguments)
    paths.need_a_clone("lock")
    if options.online and not options.check:
        raise UsageError("--online goes with --check.")
    lock = lockfile.read()
    if options.stack is not None and options.stack not in lock.stacks:
        raise InputError(f"versions.lock has no stack {options.stack}. Take one of {', '.join(lock.stacks)}.")
    silence.forget()
    if options.check:
        _check(lock)
        if options.online:
            ask_presence(lock, options.only, options.stack)
    else:
        _resolve(options.only, options.stack)
    return 0


def _check(lock: Lock) -> None:
    """Compare lock and requirements files offline. Raises ``InputError`` for every contradiction."""
    agreement.refuse_contradictions(lock)
    files = len(lockfile.requirements_files(lock))
    print(f"{files} requirements files are as versions.lock says; {len(resolve.unresolved(lock))} pins are unresolved.")


@dataclass
class _Failures:
    """How many questions were answered with a refusal, such as that there is no such thing, and how many not at all."""

    refused: int = 0
    silent: int = 0


def _resolve(only: resolve.Kind | None, stack: str | None) -> None:
    """Resolve pins, and say what stays unresolved. Raises ``InputError``, ``Unreachable`` where a question failed."""
    failures = _Failures()
    for kind in resolve.KINDS:
        # a kind's questions follow from what the kinds before it resolved
        for question in resolve.plan(lockfile.read(), kind, stack) if only in (None, kind) else ():
            _answer(question, failures)
    for where in resolve.unresolved(lockfile.read()):
        print(f"unresolved: {'.'.join(where)}")
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


def _answer(question: resolve.Question, failures: _Failures) -> None:
    """Ask one question, and write its answer into the lock at once."""
    where = ".".join(question.where)
    try:
        answer = question.ask()
    except Unreachable as problem:
        print(f"not reached: {where}: {problem}", file=sys.stderr)
        failures.silent += 1
        return
    except InputError as problem:
        print(f"not there: {where}: {problem}", file=sys.stderr)
        failures.refused += 1
        return
    if answer is None:
        print(f"not there: {where}: its origin has none", file=sys.stderr)
    elif lock_editor.edit(paths.LOCK, {question.where: answer}):
        print(f"resolved: {where} is {answer}")


def ask_presence(lock: Lock, only: resolve.Kind | None, stack: str | None) -> None:
    """Ask the origin of every resolved pin for the pin, and say what is gone.

    Raises ``InputError`` where a pin is gone, ``Unreachable`` where an origin did not answer.
    """
    gone = present = silent = 0
    for question in presence.plan(lock, only, stack):
        where = ".".join(question.where)
        try:
            problem = question.problem()
        except Unreachable as refusal:
            print(f"not reached: {where}: {refusal}", file=sys.stderr)
            silent += 1
            continue
        except InputError as refusal:
            problem = str(refusal)
        if problem:
            print(f"gone: {where}: {problem}")
            gone += 1
        else:
            present += 1
    print(f"{present} pins are still there, {gone} are not, {silent} could not be asked for")
    if gone:
        raise InputError(
            "What is gone (above) cannot be installed again. Set its value to unresolved, or pin another one."
        )
    if silent:
        raise Unreachable("Some origins did not answer (above). Run it again where they can be reached.")
