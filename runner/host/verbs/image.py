"""The verb ``image``: build the images of stacks from what versions.lock pins, and push them if asked to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.contract import patterns, progress
from runner.contract.arguments import verb_parser
from runner.contract.errors import InputError, KitError, UnresolvedPin, Unsupported, UsageError
from runner.host import paths
from runner.host.images import build, push
from runner.host.pins import silence
from runner.host.readers import lockfile
from runner.host.readers.lockfile import Lock


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
    return flags


def main(arguments: Sequence[str]) -> int:
    """Run the verb and return its exit code. A stack that cannot be built does not stop the stacks after it.

    Raises the first of their errors, ``InputError``, ``UsageError``, ``Unreachable``.
    """
    options = parser().parse_args(arguments)
    paths.need_a_clone("image")
    lock = lockfile.read()
    names = options.stacks or list(lock.stacks)
    for name in names:
        if name not in lock.stacks:
            raise InputError(f"{name} is no stack of versions.lock. Take one of {', '.join(lock.stacks)}.")
    if options.check:
        push.check(lock, names)
        return 0
    _refuse_flags(options, names)
    checkouts = _checkouts(options.source, lock)
    silence.forget()
    failures: list[KitError] = []
    for name in names:
        task = progress.begin(name, _show)
        try:
            built = build.execute(build.plan(lock, name, options.base, options.interpreter, checkouts), task)
        except (UnresolvedPin, Unsupported) as problem:
            _show(f"{name}: {problem}")
            failures.append(problem)
            continue
        finally:
            task.end()
        print(f"{name}: {built.image} of {built.base}, {built.packages} packages, {built.bytes / 1e6:.0f} MB")
        if options.push:
            entry = push.push(name, built, options.push)
            print(f"{name}: pushed as {entry.reference}, and written into versions.lock")
    if failures:
        raise failures[0]
    return 0


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
