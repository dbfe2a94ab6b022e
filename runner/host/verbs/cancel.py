"""The verb ``cancel``: keep the evidence of runs, delete them from the cluster, and wait until they are gone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, seconds, verb_parser
from runner.contract.errors import InputError
from runner.host.cluster import errors, evidence, runs
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.cluster.follower import FollowOptions
from runner.host.cluster.options import add_flags, connect, run_name, show
from runner.host.cluster.runs import FollowedRun
from runner.host.diagnosis import diagnose


@dataclass(frozen=True)
class RunDeleted(Event, word="deleted"):
    """A run and its pods are gone from the cluster."""

    run: str = field(metadata=fact("name of the run"))
    kind: str = field(metadata=fact("Job, MPIJob or JobSet"))
    namespace: str = field(metadata=fact("namespace that the run was in"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    parser = verb_parser(
        "cancel",
        description="Delete runs and their pods from the cluster, and wait until they are gone. Results that lie on the volume stay"
        " there.",
        epilog="Exit codes: 12 if a run is not gone in time; see `python -m runner --help`.",
    )
    parser.add_argument("names", nargs="+", metavar="RUN", type=run_name, help="names of Jobs, MPIJobs or JobSets")
    parser.add_argument(
        "--cancel-s",
        type=seconds,
        default=FollowOptions().cancel_s,
        metavar="S",
        help="how long to wait until the runs are gone (default: %(default)g)",
    )
    add_json(parser, "each deleted run")
    add_flags(parser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Save the evidence of the runs that are named, delete the runs, and return 0 once they are gone.

    Raises ``InputError`` for a run that is not in the cluster, ``NotStarted`` for a run that is not gone in time, ``PublishFailed`` for
    evidence that cannot be written, ``ClusterRefused`` and ``Unreachable``.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    cluster = connect(options)
    try:
        cancelled = [_find(cluster, name, options) for name in options.names]
        runs.delete(cluster, cancelled, options.cancel_s, show)
    except (Refused, Unanswered) as problem:
        raise errors.as_kit_error(problem, cluster) from None
    for run in cancelled:
        evidence.forget_object(run)
        announcer.announce(RunDeleted(run.name, run.kind, cluster.namespace))
    return 0


def _find(cluster: Cluster, name: str, options: argparse.Namespace) -> FollowedRun:
    """Return the run of a name after its evidence is saved. Raises ``InputError`` where the cluster has no such run."""
    manifest = runs.find(cluster, name)
    if manifest is None:
        raise InputError(f"{name} is not in {cluster.namespace}. `{cluster.kubectl} get jobs` shows what there is.")
    run = FollowedRun.of(manifest, cluster, options.runs)
    observed = runs.observe_once(cluster, manifest)
    evidence.save_evidence(run, observed, None, diagnose(observed))
    return run
