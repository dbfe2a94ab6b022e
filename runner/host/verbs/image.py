"""The verb ``image``: build the images of stacks from what versions.lock pins, and push them if asked to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from runner.contract import found_devices, patterns, progress
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError, KitError, UnresolvedPin, Unsupported, UsageError
from runner.host import case_flags, cases, choice, pairs, paths
from runner.host.images import build, buildah, push
from runner.host.images.events import ImageBuilt, ImagePushed, OtherBuilder
from runner.host.pins import silence
from runner.host.pins.events import OriginSilent as OriginSilent
from runner.host.pins.events import PinNotThere as PinNotThere
from runner.host.pins.events import PinResolved as PinResolved
from runner.host.pins.events import ReleaseYanked as ReleaseYanked
from runner.host.pins.origins import container_registry
from runner.host.preparation import work
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile
from runner.host.readers.lockfile import Lock


@dataclass(frozen=True)
class PushedImageChecked(Event, word="checked"):
    """The pushed image of a stack was held against the inputs of this checkout (`--check`)."""

    stack: str = field(metadata=fact("name of the stack"))
    reference: str | None = field(metadata=fact("reference of the pushed image by digest; null where none was pushed"))
    is_current: bool | None = field(
        metadata=fact("whether the image was built from the inputs of this checkout; null where none was pushed")
    )

    @property
    def sentence(self) -> str:
        """The line for people."""
        if self.reference is None:
            return f"{self.stack}: no image was pushed"
        return f"{self.stack}: {self.reference} is of {'these' if self.is_current else 'other'} inputs"


@dataclass(frozen=True)
class ImagePresent(Event, word="present"):
    """The image of a stack is there already, and was not built (`--missing`)."""

    stack: str = field(metadata=fact("name of the stack"))
    image: str = field(
        metadata=fact("reference of the pushed image by digest, or the local id of the one that was built here")
    )

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.stack}: {self.image} is there"


@dataclass(frozen=True)
class StackLeftOut(Complaint, word="left-out"):
    """The image of a stack cannot be built; the other stacks are. The first such stack ends the verb with its error."""

    stack: str = field(metadata=fact("name of the stack"))
    error: str = field(metadata=fact("class of the error"))
    message: str = field(metadata=fact("why, and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.stack}: {self.message}"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's arguments."""
    flags = verb_parser(
        "image",
        description="Build the image of each STACK (default: all) with buildah: base by digest, packages by hash, no network"
        " while it builds, all times those of the commit. What was built, and an SBOM of it, go below build/images. A stack"
        " with an unresolved pin is named and left out.",
        epilog="Exit codes: 4 a stack has an unresolved pin, 9 an index or registry did not answer; see `python -m runner --help`.",
    )
    flags.add_argument("stacks", nargs="*", metavar="STACK", help="a stack of versions.lock")
    flags.add_argument(
        "--push", metavar="REGISTRY/TEAM", help="push each image there and write its digest into versions.lock (built)"
    )
    flags.add_argument(
        "--check", action="store_true", help="build nothing; say, offline, which pushed images are not of these inputs"
    )
    flags.add_argument("--cases", nargs="*", default=[], metavar="CASE", help="the stacks of these cases too")
    flags.add_argument(
        "--missing",
        action="store_true",
        help="build only what versions.lock names no pushed image of, and what was not built here of these inputs; pins that keep this"
        " from being built are resolved first",
    )
    flags.add_argument(
        "--base",
        metavar="IMAGE",
        help="a local image that stands in for the pinned base, of one STACK; the image built on it says so and is never pushed",
    )
    flags.add_argument(
        "--interpreter",
        metavar="IMAGE",
        help="with --base: a local image whose Python is taken, where the stand-in has none",
    )
    flags.add_argument(
        "--source",
        metavar="NAME=FOLDER",
        action="append",
        default=[],
        help="a local copy of a git repository of versions.lock's sources; commit and tree are checked",
    )
    flags.add_argument(
        "--run",
        nargs=argparse.REMAINDER,
        metavar="WORD",
        help="last: the words that `python -m runner run` gets afterwards. Nothing is built for its --dry-run, nor for a stack whose image"
        " its --image names",
    )
    case_flags.add_here(flags)
    case_flags.add_changes(flags)
    add_json(flags, "each image")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Run the verb and return its exit code. A stack that cannot be built does not stop the stacks after it.

    Raises the first of their errors, ``InputError``, ``UsageError``, ``Unreachable``.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    paths.need_a_clone("image")
    lock = lockfile.read()
    names = _stacks(lock, options) or list(lock.stacks)
    for name in names:
        if name not in lock.stacks:
            raise InputError(f"{name} is no stack of versions.lock. Take one of {', '.join(lock.stacks)}.")
    if options.check:
        _check(lock, names, announcer)
        return 0
    _refuse_flags(options, names)
    checkouts = _checkouts(options.source, lock)
    silence.forget()
    if options.push:
        # nobody builds for minutes, to learn afterwards that the registry is silent
        container_registry.knock(f"{push.repository(names[0], options.push)}:latest")
    run = _of_run(options.run or [], lock)
    if run.is_dry:
        return 0
    if options.missing and not options.base:
        work.unblock(lock, [name for name in names if _present(lock, name) is None], announcer)
        lock = lockfile.read()
    failures: list[KitError] = []
    for name in names:
        if name in run.images:
            continue
        present = _present(lock, name) if options.missing else None
        if present is not None:
            announcer.announce(ImagePresent(name, present))
            continue
        task = progress.begin(name, _show)
        try:
            built = build.execute(build.plan(lock, name, options.base, options.interpreter, checkouts), task)
        except (UnresolvedPin, Unsupported) as problem:
            announcer.announce(StackLeftOut(name, type(problem).__name__, str(problem)))
            failures.append(problem)
            continue
        finally:
            task.end()
        announcer.announce(ImageBuilt.of(name, built))
        if options.push:
            difference = push.other_builder(built, lock)
            if difference is not None:
                announcer.announce(OtherBuilder(name, difference))
            _show(f"{name}: pushing {built.bytes / 1e9:.2f} GB, less what the registry has, to {options.push}")
            entry = push.push(name, built, options.push)
            announcer.announce(ImagePushed(name, entry.reference))
    if failures:
        raise failures[0]
    return 0


class _Run(NamedTuple):
    """What a run says that follows: whether no container is started, and the images that are named for stacks."""

    is_dry: bool
    images: dict[str, str]


def _of_run(words: Sequence[str], lock: Lock) -> _Run:
    """Return what the words of a run say. Raises ``UsageError`` for images as the run would."""
    flags = argparse.ArgumentParser("python -m runner image --run", add_help=False, allow_abbrev=False)
    flags.add_argument("--dry-run", action="store_true")
    flags.add_argument("--image", action="append", default=[])
    # the other words are looked at by the run
    options, _ = flags.parse_known_args(words)
    return _Run(options.dry_run, pairs.of_images(options.image, lock.stacks))


def _stacks(lock: Lock, options: argparse.Namespace) -> list[str]:
    """Return the stacks that are named, and those of cases: of the named ones, and of those that fit this host where none is named.

    Raises ``UsageError`` for an unknown case and for flags of ``--here`` without it, and what ``choice.choose`` raises.
    """
    catalog = catalogs.read()
    if options.here is None:
        if case_flags.are_given(options):
            raise UsageError(
                "What changes a case, --device and --model-dir are for --here, whose FILE lists this host's devices."
            )
        of_cases = [cases.known(catalog.cases, name, "case").stack for name in options.cases]
    else:
        # requests for environments of this host: the versions that only an image's base tells are not asked for
        asked = case_flags.asked(options, in_images=False)
        chosen = choice.choose(catalog, lock, found_devices.read(options.here), asked, os.environ)
        of_cases = [request.stack.name for request in chosen.requests]
        of_cases += [catalog.cases[name].stack for name in chosen.in_images]
    return list(dict.fromkeys([*options.stacks, *of_cases]))


def _present(lock: Lock, name: str) -> str | None:
    """Return the image of a stack that need not be built, None where there is none."""
    if name in lock.built:
        return lock.built[name].reference
    built = build.current(lock, name)
    return built.image if built is not None and buildah.is_here(built.image) else None


def _check(lock: Lock, names: Sequence[str], announcer: Announcer) -> None:
    """Say, offline, which pushed images are of this checkout's inputs. Raises ``InputError`` where one is not."""
    stale = []
    for name in names:
        entry = lock.built.get(name)
        is_current = None if entry is None else push.is_current(lock, name, entry)
        announcer.announce(PushedImageChecked(name, None if entry is None else entry.reference, is_current))
        if is_current is False:
            stale.append(name)
    if stale:
        raise InputError(
            f"What {', '.join(stale)} was built from has changed since. Build and push again: `make images PUSH=registry/team`."
        )


def _show(line: str) -> None:
    print(line, file=sys.stderr)


def _refuse_flags(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Raise ``InputError`` for flags that do not go together, and ``UsageError`` for a value that is of no image's form."""
    if options.base and (len(names) != 1 or options.push):
        raise InputError(
            "--base takes one STACK, and what it makes is never pushed. Leave out --push and name the stack."
        )
    if options.interpreter and not options.base:
        raise InputError("--interpreter goes with --base.")
    for flag, form, value in (
        ("--push", patterns.REPOSITORY, options.push),
        ("--base", patterns.LOCAL_IMAGE, options.base),
        ("--interpreter", patterns.LOCAL_IMAGE, options.interpreter),
    ):
        problem = None if value is None else patterns.problem(form, value)
        if problem is not None:
            raise UsageError(f"{flag} {problem}. See `python -m runner image --help`.")


def _checkouts(pairs: Sequence[str], lock: Lock) -> dict[str, Path]:
    """Return the folders of NAME=FOLDER, absolute, since git runs in another folder. Raises ``InputError``."""
    checkouts = {}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        if name not in lock.sources:
            raise InputError(f"--source takes NAME=FOLDER; NAME is one of {', '.join(lock.sources)}.")
        if not folder or not Path(folder).is_dir():
            raise InputError(f"--source {name}: {folder!r} is no folder. Name a local copy of its git repository.")
        checkouts[name] = Path(folder).resolve()
    return checkouts
