"""The verb ``bump``: list what is newer than versions.lock, with dates and sources, or carry a bump out."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections import Counter
from collections.abc import Sequence

from runner.contract import progress
from runner.contract.announce import Announcer, Event
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError, Unreachable, UsageError
from runner.contract.progress import Step
from runner.contract.text import printable
from runner.host import paths, tables
from runner.host.bump import moving, newer, recipe, rows, stack_row, targets, terminal

# announced by `recipe`; the page of events lists what a verb's module holds
from runner.host.bump.events import BumpDone as BumpDone
from runner.host.bump.events import LeftToDo as LeftToDo
from runner.host.bump.events import NoteReplaced as NoteReplaced
from runner.host.bump.events import StepFailed as StepFailed
from runner.host.bump.events import StepPlanned as StepPlanned
from runner.host.bump.events import StepTaken as StepTaken
from runner.host.bump.findings import (
    DayNotAsked,
    Finding,
    NewerFound,
    NotComparable,
    PythonTooOld,
    RowNotReached,
    RowNotThere,
    RowsCounted,
    StackToAdd,
    VersionHeld,
)
from runner.host.bump.findings import NothingNewer as NothingNewer
from runner.host.pins import silence
from runner.host.pins.events import OriginSilent as OriginSilent
from runner.host.pins.events import PinNotThere as PinNotThere
from runner.host.pins.events import PinResolved as PinResolved
from runner.host.pins.events import PinUnresolved as PinUnresolved
from runner.host.pins.events import ReleaseYanked as ReleaseYanked
from runner.host.readers import lockfile
from runner.host.readers.lockfile import Lock


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's arguments."""
    flags = verb_parser(
        "bump",
        description="Without a name: list what is newer than versions.lock: packages on the index, tags and rebuilt images, tags and"
        " branches of git repositories, revisions of models, releases of SynapseAI. Nothing is changed then. What could not be reached is"
        " listed, and is never taken for nothing newer. With the name of a row: move its pin, and do all that follows: what depends on"
        " the pin, the requirements files, the manifests, the pages, the line in the changelog. With the name of a new stack and"
        " --like: add the stack beside an old one. `git checkout` undoes either; the last line says which files.",
        epilog="Exit codes: 0 all that was asked for answered, whether or not something is newer; 2 --to names what the row"
        " cannot move to; 3 the pins do not go together, or files"
        " have changes that no commit has: then every file is as before; 9 something could not be reached, and stays unresolved;"
        " see `python -m runner --help`.",
    )
    flags.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a row to move, such as cpu/datasets, or datasets in all stacks that are not kept; or the name of a new stack",
    )
    flags.add_argument("--to", metavar="VALUE", help="what the row moves to; the newest unless it is named")
    flags.add_argument("--like", metavar="STACK", help="NAME is a new stack, beside this one")
    flags.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a value of the new stack, such as image.tag=1.25.0-1 or packages.torch.version=2.11.0; may be given several times",
    )
    flags.add_argument(
        "--offline", action="store_true", help="take only the steps that ask no origin; the rest stays unresolved"
    )
    flags.add_argument("--dry-run", action="store_true", help="print each step and its files; change nothing")
    flags.add_argument("--only", choices=newer.KINDS, help="only one kind of row")
    flags.add_argument("--stack", metavar="STACK", help="only the rows of one stack")
    add_json(flags, "what is newer, one object a row")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Run the verb and return its exit code. Raises ``UsageError``, ``InputError``, ``Unreachable``."""
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    paths.need_a_clone("bump")
    lock = lockfile.read()
    _refuse_mixtures(options)
    if options.stack is not None:
        _refuse_stack(lock, options.stack)
    silence.forget()
    if options.name is None:
        _list_newer(lock, options.only, options.stack, announcer)
    else:
        plan = _plan(lock, options, announcer)
        if plan is not None:
            recipe.carry_out(plan, announcer, options.offline, options.dry_run)
    return 0


def _refuse_mixtures(options: argparse.Namespace) -> None:
    """Raise ``UsageError`` for flags that do not go together."""
    given = {
        "--to": options.to is not None,
        "--like": options.like is not None,
        "--set": bool(options.set),
        "--offline": options.offline,
        "--dry-run": options.dry_run,
    }
    if options.name is None:
        alone = next((flag for flag, is_given in given.items() if is_given), None)
        if alone is not None:
            raise UsageError(
                f"{alone} goes with the name of a row, or of a new stack. `python -m runner bump` lists rows."
            )
    elif options.only is not None or options.stack is not None:
        raise UsageError("--only and --stack are for the list; leave them out, or leave the name out.")
    elif options.like is not None and options.to is not None:
        raise UsageError("--to moves a row, and --like adds a stack. Give a new stack's values with --set.")
    elif options.like is None and options.set:
        raise UsageError("--set gives values of a new stack. Name the stack that it is like with --like.")
    elif options.like is None and options.offline and options.to is None:
        raise UsageError("Without a network nobody knows what is newest. Name it with --to.")


def _plan(lock: Lock, options: argparse.Namespace, announcer: Announcer) -> recipe.Plan | None:
    """Return what a bump does; None where no row has anything to move to, which is announced.

    Raises ``UsageError``, ``InputError``, ``Unreachable``.
    """
    if options.like is not None:
        given = stack_row.read(lock, options.name, options.like, options.set)
        days = {} if options.offline else targets.days_of(stack_row.given_versions(lock, given), announcer)
        return stack_row.plan(lock, given, max(days.values(), default=None))
    found = rows.named(lock, options.name)
    if options.to is not None:
        chosen = targets.named(lock, found, options.to, options.offline, announcer)
    else:
        chosen = targets.newest(lock, found, announcer)
    return moving.plan(lock, chosen) if chosen else None


def _refuse_stack(lock: Lock, stack: str) -> None:
    """Raise ``UsageError`` for a stack that the lock lacks, or about which nothing is asked."""
    newest = newer.newest_gaudi_stack(lock)
    # nothing follows a kept stack, but a new release of SynapseAI calls for a stack beside the newest
    asked = [name for name in lock.stacks if not rows.is_kept(lock, name) or (newest is not None and newest[0] == name)]
    if stack not in lock.stacks:
        raise UsageError(f"versions.lock has no stack {printable(stack, 100)}. Take one of {', '.join(asked)}.")
    kept = rows.why_kept(lock, stack)
    if kept is not None and stack not in asked:
        raise UsageError(kept)


def _list_newer(lock: Lock, only: newer.Kind | None, stack: str | None, announcer: Announcer) -> None:
    """Ask every origin and print what was found.

    Raises ``UsageError`` for a kind that the stack lacks, ``InputError`` where a row is not there, ``Unreachable`` for a silent origin.
    """
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    questions = newer.plan(lock, today, lockfile.notes(), only, stack)
    if not questions and only is not None and stack is not None:
        raise UsageError(
            f"the stack {stack} has no rows of the kind {only}, so nothing was asked. Leave out --only or --stack."
        )
    found: list[Finding] = []
    complaints: list[RowNotReached | RowNotThere] = []
    newest = 0
    task = progress.begin("bump", _show)
    for done, question in enumerate(questions):
        row = question.row
        sentence = f"{done} of {len(questions)} rows are asked about; asking for {row.name}"
        task.update(Step("asking what is newer", done, len(questions), "steps", sentence))
        told = (row.name, question.kind, row.current, question.source)
        try:
            answers = question.ask()
        except Unreachable as problem:
            complaints.append(RowNotReached(*told, str(problem)))
        except InputError as problem:
            complaints.append(RowNotThere(*told, str(problem)))
        else:
            found += answers
            newest += not answers
    task.end()
    counts = Counter[type[Event]](map(type, [*found, *complaints]))
    counted = RowsCounted(
        newer=counts[NewerFound],
        new_stacks=counts[StackToAdd],
        held=counts[VersionHeld],
        needs_python=counts[PythonTooOld],
        newest=newest,
        unresolved=counts[NotComparable],
        not_asked=counts[DayNotAsked],
        not_there=counts[RowNotThere],
        not_reached=counts[RowNotReached],
    )
    _print(found, complaints, counted, announcer)
    if counts[RowNotThere]:
        raise InputError(
            f"{counts[RowNotThere]} of the rows are not where they were pinned (above). Mend them in versions.lock."
        )
    if counts[RowNotReached]:
        raise Unreachable(
            f"{counts[RowNotReached]} of the rows could not be asked about (above), so nobody knows what is newer than they are."
            " Run it again where their origins can be reached."
        )


def _print(
    found: Sequence[Finding],
    complaints: Sequence[RowNotReached | RowNotThere],
    counted: RowsCounted,
    announcer: Announcer,
) -> None:
    """Print the events for programs, or a table and lines for people."""
    if announcer.as_json:
        for event in (*found, *complaints, counted):
            announcer.announce(event)
        return
    console = tables.console(terminal.COLUMNS)
    table = terminal.table(found)
    if table is not None:
        console.print(table)
    for line in (*terminal.lines(found), *terminal.wrapped(counted.sentence)):
        tables.say(console, line)
    sys.stdout.flush()
    for line in terminal.complaints(complaints):
        print(line, file=sys.stderr, flush=True)


def _show(line: str) -> None:
    print(f"[bump] {line}", file=sys.stderr, flush=True)
