"""The verb ``run``: measure requests in the images of their stacks, with podman or docker on this host, as their Jobs would."""

from __future__ import annotations

import argparse
import collections
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import path_lists, patterns, signals
from runner.contract import secrets as masking
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, seconds, verb_parser
from runner.contract.errors import (
    InputError,
    Interrupted,
    KitError,
    Unreachable,
    UsageError,
)
from runner.contract.request import Request, read_request
from runner.contract.text import printable
from runner.host import pairs
from runner.host.containers import attached, ending, images, plans, runtimes, starting
from runner.host.containers.attached import Stream
from runner.host.containers.run_folder import Log
from runner.host.containers.starting import Planned, Setting
from runner.host.manifests.site import Site
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles
from runner.host.readers.lockfile import Lock


@dataclass(frozen=True)
class LogKept(Event, word="log"):
    """A container has ended, and its log with the results lies here."""

    case: str = field(metadata=fact("name of the case"))
    path: str = field(metadata=fact("path of the log"))
    attempts: list[str] = field(metadata=fact("ids of the attempts whose results are in the log"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.path


@dataclass(frozen=True)
class ContainerStarted(Event, word="container"):
    """A container is about to start."""

    case: str = field(metadata=fact("name of the case"))
    name: str = field(metadata=fact("name of the container"))
    program: str = field(metadata=fact("podman or docker"))
    image: str = field(metadata=fact("reference of the image by digest, as the request names it"))
    request: str = field(metadata=fact("id of the request"))


@dataclass(frozen=True)
class CommandPlanned(Event, word="command"):
    """The command that would start a container (`--dry-run`)."""

    case: str = field(metadata=fact("name of the case"))
    words: list[str] = field(metadata=fact("the words of the command, secrets masked"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return shlex.join(self.words)


@dataclass(frozen=True)
class RunFailed(Complaint, word="failed"):
    """A container ended without its result, or could not start; the others are run. The first such error ends the verb."""

    case: str = field(metadata=fact("name of the case"))
    error: str = field(metadata=fact("class of the error"))
    exit_code: int = field(metadata=fact("exit code of that error"))
    message: str = field(metadata=fact("what went wrong, and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"[{self.case}] {self.message}"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    flags = verb_parser(
        "run",
        description="Run each request in the image of its stack, one after the other, as its Job in a cluster would: the same"
        " command, user, read-only root, volumes, shared memory and devices, and no network. What the container says goes to"
        " standard error, the paths of the logs with the results to standard output, for `python -m runner collect`. The image"
        " is the one of --image, else the one that versions.lock names, else the one that was built here.",
        epilog="Ctrl-C, SIGTERM and SIGHUP let the container end, which keeps what was measured; a second one kills it. Exit codes:"
        " that of the first container that went wrong; see `python -m runner --help`.",
    )
    flags.add_argument("requests", nargs="*", metavar="REQUEST", help="a file that `python -m runner request` wrote")
    path_lists.add_from(flags, path_lists.REQUESTS)
    flags.add_argument(
        "--with",
        dest="program",
        choices=runtimes.PROGRAMS,
        help="the program that runs containers (default: the first that is here and can hand out the devices)",
    )
    flags.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="STACK=REFERENCE@sha256:DIGEST",
        help="the image of a stack; repeatable",
    )
    flags.add_argument(
        "--model-dir",
        metavar="FOLDER",
        type=Path,
        help="the folder of the model's real weights (default: the user's hub cache at the pinned revision)",
    )
    flags.add_argument(
        "--variable",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one more variable of each container's environment, such as HCCL_SOCKET_IFNAME=lo; repeatable",
    )
    flags.add_argument(
        "--deadline-s",
        type=seconds,
        metavar="S",
        help="how long each container may run (default: as long as the Job of its model)",
    )
    flags.add_argument(
        "--runs",
        default=Path("build/runs/containers"),
        metavar="FOLDER",
        type=Path,
        help="where logs and results of containers go (default: %(default)s)",
    )
    flags.add_argument("--dry-run", action="store_true", help="print the command of each container, and start none")
    add_json(flags, "each log, or each command of --dry-run,")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Run the requests in containers, and return the exit code of the first that went wrong.

    Everything that can be refused is refused before the first container starts. Raises ``UsageError``, ``InputError`` for a request, an
    image or weights that are not here, ``Unsupported`` where no program can run the containers, ``Unreachable`` where an image cannot be
    fetched, ``Interrupted`` after a signal.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    path_lists.refuse_unlistable(options.runs, "--runs")
    paths = path_lists.given(options.requests, options.listed_in, path_lists.REQUESTS)
    if not paths:
        raise UsageError("No REQUEST is named. Name one, or the file that lists them with --from.")
    requests = [read_request(path) for path in paths]
    lock = lockfile.read()
    given = pairs.of_images(options.image, lock.stacks)
    site = Site(
        variables=pairs.read(options.variable, "--variable", "NAME=VALUE", patterns.VARIABLE, patterns.TEXT.or_empty())
    )
    chosen = {stack: images.find(lock, stack, given) for stack in dict.fromkeys(_stack(lock, one) for one in requests)}
    catalog = catalogs.read()
    amounts = profiles.read(catalog)
    container_plans = [plans.make(catalog, amounts, one, chosen[one.stack.name].reference, site) for one in requests]
    available = runtimes.usable([options.program] if options.program else runtimes.PROGRAMS)
    setting = Setting(available, options.runs, options.deadline_s, options.model_dir)
    planned = [starting.start_of(plan, chosen[plan.request.stack.name], setting) for plan in container_plans]
    if options.dry_run:
        for one in planned:
            announcer.announce(CommandPlanned(one.case, masking.mask_json(one.command)))
        return 0
    with signals.as_interrupt():
        return _run_all(planned, announcer)


def _run_all(planned: Sequence[Planned], announcer: Announcer) -> int:
    """Run containers one after the other; return the exit code of the first that went wrong, 0 if none did."""
    exit_code = 0
    for one in planned:
        try:
            _run(one, announcer)
        except (Interrupted, Unreachable):
            raise
        except KitError as problem:
            announcer.announce(RunFailed(one.case, type(problem).__name__, problem.exit_code, printable(str(problem))))
            exit_code = exit_code or problem.exit_code
    return exit_code


def _stack(lock: Lock, request: Request) -> str:
    """Return the name of a request's stack. Raises ``InputError`` for one that the lock does not have."""
    if request.stack.name not in lock.stacks:
        raise InputError(
            f"The request of {request.case} names the stack {request.stack.name}, which versions.lock does not have. Make the request"
            " anew."
        )
    return request.stack.name


def _run(planned: Planned, announcer: Announcer) -> None:
    """Run one container to its end, print the path of its log, and raise what went wrong with it."""
    request, place = planned.plan.request, planned.place
    program = place.runtime.program
    images.bring(program, request.stack.name, planned.image, place.images[planned.image.reference])
    planned.folder.make(request)
    if planned.image.stand_in:
        _show(planned.case, "the image stands on a stand-in for the stack's base, and is nobody's measurement")
    _show(planned.case, f"{program} {place.runtime.version} runs {place.name} in {planned.image.reference}")
    announcer.announce(ContainerStarted(planned.case, place.name, program, planned.image.reference, request.id))
    last_words: collections.deque[str] = collections.deque(maxlen=3)
    with Log(planned.folder) as log:

        def take(stream: Stream, line: bytes) -> None:
            text = log.take(line)
            if stream == "stderr":
                last_words.append(printable(text, 300))
                print(printable(text), file=sys.stderr, flush=True)

        grace_s = planned.plan.template["spec"]["terminationGracePeriodSeconds"]
        ended = attached.run(planned.command, place.name, grace_s, planned.deadline_s, take)
        attempts = log.add_results()
    if attempts:
        announcer.announce(LogKept(planned.case, str(planned.folder.log), attempts))
    error = ending.error_of(planned, ended, attempts, list(last_words))
    if error is not None:
        raise error


def _show(case: str, text: str) -> None:
    print(f"[{case}] {printable(text)}", file=sys.stderr, flush=True)
