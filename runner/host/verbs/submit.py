"""The verb ``submit``: put the Jobs of rendered manifests into a cluster, one after the other, and follow each to its result."""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import yaml

from runner.contract import path_lists, secrets
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import (
    ClusterRefused,
    DamagedResult,
    Interrupted,
    JobFailed,
    NotStarted,
    ResultLost,
    Unreachable,
    UsageError,
)
from runner.contract.records import JsonObject
from runner.host.cluster import errors, evidence, preflight, runs, submission
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.cluster.events import LogKept, RunEnded
from runner.host.cluster.follower import Follower
from runner.host.cluster.kubeconfig import NoCluster
from runner.host.cluster.options import add_flags, add_follow_flags, connect, follow_options, show, whole_seconds
from runner.host.cluster.runs import FollowedRun
from runner.host.cluster.submission import Decision, Plan, PlannedRun, Repetition, Step
from runner.host.diagnosis import diagnose
from runner.host.objects.manifest_files import read
from runner.host.objects.names import COMPONENT


@dataclass(frozen=True)
class RunDetached(Event, word="run"):
    """A run was created, or is in the cluster already, and is not followed (`--detach`)."""

    run: str = field(metadata=fact("name of the run"))
    kind: str = field(metadata=fact("Job, MPIJob or JobSet"))
    namespace: str = field(metadata=fact("namespace of the run"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.run


@dataclass(frozen=True)
class ObjectPlanned(Event, word="object"):
    """An object that would be created (`--dry-run`)."""

    object: JsonObject = field(metadata=fact("the object of Kubernetes, its secrets masked"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    parser = verb_parser(
        "submit",
        description="Check that the cluster can take the Jobs of MANIFESTS, create them one at a time after the weights are there,"
        " and follow each until its result lies here. Progress goes to standard error, the paths of the logs with the results to"
        " standard output, for `python -m runner collect`. A run that runs already is followed, and a run that is complete is"
        " collected: neither is started again. Ctrl-C detaches and says how to come back; a second Ctrl-C cancels.",
        epilog="Exit codes: that of the first run that went wrong; see `python -m runner --help`.",
    )
    parser.add_argument(
        "manifests", nargs="*", metavar="MANIFESTS", help="files or folders that `python -m runner render` wrote"
    )
    path_lists.add_from(parser, path_lists.MANIFESTS)
    parser.add_argument(
        "--only", action="append", metavar="PART", help="only the Jobs with this in their name; may be given again"
    )
    parser.add_argument("--rerun", action="store_true", help="measure again what was measured, or failed, already")
    parser.add_argument(
        "--detach",
        action="store_true",
        help="create all at once, as patient as they were rendered, and return; names go to standard output, for `follow`",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check, print what would be created, and create nothing; where there is no kubeconfig, check the manifests alone. What looks"
        " like a secret is masked, in the kit's own texts too: read what is printed, and apply the manifests themselves",
    )
    parser.add_argument(
        "--deadline-s",
        type=whole_seconds,
        metavar="S",
        help="each Job's own deadline (default: that of its model; as rendered with --detach)",
    )
    add_json(parser, "each log, each run, or each object of --dry-run,")
    add_flags(parser)
    add_follow_flags(parser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Submit the runs of manifests, follow them to their ends, and return the exit code of the first run that went wrong.

    Raises ``UsageError`` where no run is named, ``InputError`` for a manifest that cannot be submitted, ``Interrupted`` after a
    signal, ``ClusterRefused`` and ``Unreachable``.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    paths = path_lists.given(options.manifests, options.listed_in, path_lists.MANIFESTS)
    if not paths:
        raise UsageError("No MANIFESTS are named. Name a folder, or the file that lists folders with --from.")
    manifests = read(paths)
    plan = submission.plan(manifests, options.only, options.deadline_s, options.detach)
    if not plan.measures:
        raise UsageError(
            f"No Job in {', '.join(paths)} is labelled {COMPONENT}=bench. Name a folder that `python -m runner render`"
            " wrote."
        )
    preflight.check_images(plan.manifests)
    # without a cluster all ConfigMaps are printed; a cluster may have some of them
    offline = plan.with_config_maps(preflight.config_maps(manifests, plan.manifests))
    try:
        cluster = connect(options)
        plan = plan.with_config_maps(preflight.check_cluster(cluster, manifests, plan.manifests, show))
    except NoCluster as problem:
        if not options.dry_run:
            raise
        show(f"No cluster was asked, and the manifests alone were checked. {problem}")
        _print(offline.objects, announcer)
        return 0
    except Unreachable:
        if options.dry_run:
            _print(offline.objects, announcer)
            show("The manifests alone were checked; what is printed was not shown to the cluster.")
        raise
    if options.dry_run:
        _print(plan.objects, announcer)
        return 0
    try:
        for config_map in plan.config_maps:
            preflight.create_once(cluster, config_map)
        return _submit_all(cluster, plan, options, announcer)
    except (Refused, Unanswered) as problem:
        raise errors.as_kit_error(problem, cluster) from None


def _print(objects: Iterable[JsonObject], announcer: Announcer) -> None:
    masked: list[JsonObject] = [secrets.mask_json(manifest) for manifest in objects]
    text = yaml.safe_dump_all(masked, sort_keys=False, allow_unicode=True)
    announcer.announce_together(map(ObjectPlanned, masked), text)


def _submit_all(cluster: Cluster, plan: Plan, options: argparse.Namespace, announcer: Announcer) -> int:
    """Submit and follow each run in turn; return the exit code of the first run that went wrong, 0 if none did.

    A bench Job that fails does not stop the runs after it; a prefetch Job that fails does.
    """
    exit_code = 0
    for number, planned in enumerate(plan.runs, 1):
        try:
            _submit(cluster, planned, options, announcer)
        except (ClusterRefused, DamagedResult, JobFailed, NotStarted, ResultLost) as error:
            if planned.required:
                raise
            show(f"runner: {error}")
            exit_code = exit_code or error.exit_code
        except Interrupted as interrupted:
            later = plan.runs[number:]
            if not later:
                raise
            raise _with_later_runs(interrupted, later, options.rerun) from None
    return exit_code


def _with_later_runs(interrupted: Interrupted, later: Sequence[PlannedRun], rerun: bool) -> Interrupted:
    """Return the error of an interruption with the number of runs that were not created yet, and how to create them."""
    step = "the same `submit` again meets what there is and goes on with the rest."
    if rerun:
        # the same command would measure the runs before the interruption once more
        step = f"`submit --rerun` with `--only` measures them: {', '.join(run.rendered_name for run in later)}."
    were = "was" if len(later) == 1 else "were"
    return Interrupted(f"{interrupted} Of these manifests {len(later)} more {were} not created yet: {step}")


def _submit(cluster: Cluster, planned: PlannedRun, options: argparse.Namespace, announcer: Announcer) -> None:
    """Create a run, or find it in the cluster, and follow it to its end; with ``--detach`` print its name instead.

    Raises what went wrong with the run, after the paths of its logs are printed.
    """
    run = _act(cluster, _decide(cluster, planned.manifest, options), options.detach)
    if options.detach:
        announcer.announce(RunDetached(run.name, run.kind, cluster.namespace))
        return
    (outcome,) = Follower(cluster, [run], follow_options(options), show).follow()
    for path in outcome.results:
        announcer.announce(LogKept(run.name, str(path)))
    announcer.announce(RunEnded.of(outcome, cluster))
    if outcome.error is not None:
        raise outcome.error


def _decide(cluster: Cluster, manifest: JsonObject, options: argparse.Namespace) -> Decision:
    """Look up the repetitions of a run, and decide what to do with the newest."""
    newest: Repetition | None = None
    for number in itertools.count(1):
        run = FollowedRun.of(submission.repeated(manifest, number), cluster, options.runs)
        repetition = Repetition(run, cluster.get(run.kind, run.name), evidence.saved_object(run.folder))
        if not repetition.known:
            break
        newest = repetition
    return submission.decide(newest, repetition.run, options.rerun, cluster.kubectl)


def _act(cluster: Cluster, decision: Decision, detach: bool) -> FollowedRun:
    """Do what was decided for a run; return the run as it is to be followed."""
    run = decision.run
    if decision.step == Step.CREATE:
        evidence.check_writable(run)
        created = runs.create(cluster, run.manifest)
        if created.existed:
            # the answer of a first try was lost, or another client was faster: the digest tells
            return _act(cluster, submission.meet(run, created.manifest, cluster.kubectl), detach)
        show(f"{run.name}: {decision.step.value} in {cluster.namespace}.")
        run = run.created(created.manifest, time.monotonic())
    elif decision.step == Step.TAKE_FAILED and detach:
        problem = diagnose(runs.observe_once(cluster, run.manifest))
        raise JobFailed(f"{run.name} failed before: {problem} The same `submit` with --rerun measures again.")
    else:
        show(f"{run.name}: {decision.step.value}.")
    if decision.step != Step.TAKE_GONE:
        evidence.save_object(run)
    return run
