"""The verb ``follow``: come back to runs that were submitted, wait for their end, and take their results."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from runner.contract.announce import Announcer
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import InputError
from runner.host.cluster import errors, evidence, runs
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.cluster.events import LogKept, RunEnded
from runner.host.cluster.follower import Follower
from runner.host.cluster.options import add_flags, add_follow_flags, connect, follow_options, run_name, show
from runner.host.cluster.runs import FollowedRun
from runner.host.objects.names import component_of


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    parser = verb_parser(
        "follow",
        description="Follow runs by name, such as Jobs that `submit --detach` or kubectl created, until their results lie here. The"
        " paths of their logs go to standard output, for `python -m runner collect`. The results of a run that is gone from the"
        " cluster are taken from the logs in its folder here and from the volume.",
        epilog="Exit codes: that of the first run that went wrong; see `python -m runner --help`.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="RUN",
        type=run_name,
        help="names of Jobs, MPIJobs or JobSets (default: all of this kit in the namespace)",
    )
    add_json(parser, "each log and the end of each run")
    add_flags(parser)
    add_follow_flags(parser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Follow runs to their ends, print the paths of their logs, and return the exit code of the first run that went wrong.

    Raises ``InputError`` for a run that is nowhere, ``Interrupted`` after a signal, ``ClusterRefused`` and ``Unreachable``.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    cluster = connect(options)
    try:
        followed = [_find(cluster, name, options) for name in options.names] or _find_all(cluster, options)
    except (Refused, Unanswered) as problem:
        raise errors.as_kit_error(problem, cluster) from None
    outcomes = Follower(cluster, followed, follow_options(options), show).follow()
    for outcome in outcomes:
        for path in outcome.results:
            announcer.announce(LogKept(outcome.run.name, str(path)))
        announcer.announce(RunEnded.of(outcome, cluster))
    failures = [outcome.error for outcome in outcomes if outcome.error is not None]
    for error in failures:
        show(f"runner: {error}")
    return failures[0].exit_code if failures else 0


def _find_all(cluster: Cluster, options: argparse.Namespace) -> list[FollowedRun]:
    manifests = [manifest for manifest in runs.find_all(cluster) if component_of(manifest) == "bench"]
    if not manifests:
        raise InputError(f"No benchmark is in {cluster.namespace}. Start one: `python -m runner submit k8s/`.")
    return [FollowedRun.of(manifest, cluster, options.runs) for manifest in manifests]


def _find(cluster: Cluster, name: str, options: argparse.Namespace) -> FollowedRun:
    """Return the run of a name, from the cluster or else from the folder of runs. Raises ``InputError`` where neither has it."""
    manifest = runs.find(cluster, name) or evidence.saved_object(runs.folder_of(options.runs, cluster, name))
    if manifest is None:
        raise InputError(
            f"{name} is neither in {cluster.namespace} nor in {options.runs}. `{cluster.kubectl} get jobs` shows what there is."
        )
    return FollowedRun.of(manifest, cluster, options.runs)
