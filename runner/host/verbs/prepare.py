"""The verb ``prepare``: do all that is missing before the Jobs of sets can be rendered: pins, images, and the record of both."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from runner.contract import patterns, secrets
from runner.contract.announce import Announcer
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import UsageError
from runner.host import paths

# announced by `answering` and `work`; the page of events lists what a verb's module holds
from runner.host.images.events import ImageBuilt as ImageBuilt
from runner.host.images.events import ImagePushed as ImagePushed
from runner.host.images.events import OtherBuilder as OtherBuilder
from runner.host.pins import silence
from runner.host.pins.events import OriginSilent as OriginSilent
from runner.host.pins.events import PinNotThere as PinNotThere
from runner.host.pins.events import PinResolved as PinResolved
from runner.host.pins.events import ReleaseYanked as ReleaseYanked
from runner.host.preparation import events, here, needs, plan, work
from runner.host.preparation.events import FetchTold as FetchTold
from runner.host.preparation.events import StepTold as StepTold
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    described = verb_parser(
        "prepare",
        description="Do all that is missing before the Jobs of each SET can be rendered, in this order: resolve the open pins of the"
        " set's stacks and models, build each image, push it, and record its digest in versions.lock. What is done is left out, so"
        " that the same command goes on where an earlier one was cut off. What would fail later is looked at first: changes that no"
        " commit has, missing programs, a registry that takes no image, a pin whose origin has nothing.",
        epilog="Exit codes: 3 files were changed, or an origin has no such thing; 9 an origin or the registry did not answer or asks"
        " for a login; 10 a program is missing; see `python -m runner --help`.",
    )
    described.add_argument(
        "sets", nargs="+", metavar="SET", help="a set of runner/catalog/profiles.yaml, such as gaudi2"
    )
    described.add_argument(
        "--registry",
        metavar="REGISTRY/TEAM",
        required=True,
        help="where images are pushed to; log in with `buildah login` before",
    )
    described.add_argument(
        "--dry-run",
        action="store_true",
        help="do nothing; print every step up to the verdict, and what each would fetch; asks no network",
    )
    add_json(described, "each step")
    return described


def main(arguments: Sequence[str]) -> int:
    """Prepare sets, or print the plan, and return the exit code. Raises ``UsageError``, and what ``work.prepare`` raises."""
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    paths.need_a_clone("prepare")
    team = options.registry.rstrip("/")
    problem = patterns.problem(patterns.REPOSITORY, secrets.mask(team))
    if problem is not None:
        raise UsageError(f"--registry {problem}. See `python -m runner prepare --help`.")
    catalog, lock = catalogs.read(), lockfile.read()
    needed = needs.of(catalog, profiles.read(catalog), lock, options.sets)
    if options.dry_run:
        for event in events.of_plan(plan.make(catalog, lock, needed, here.look(needed), team)):
            announcer.announce(event)
        return 0
    silence.forget()
    work.prepare(catalog, needed, team, announcer)
    return 0
