"""The verb ``submit``: put the Jobs of rendered manifests into a cluster, one at a time, and follow each to its result."""

import itertools
import time
from typing import Any

import yaml

from runner.contract import path_lists, secrets
from runner.contract.arguments import verb_parser
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
from runner.host.cluster import errors, evidence, follower, preflight, runs
from runner.host.cluster import options as connection
from runner.host.cluster.client import Refused, Unanswered
from runner.host.cluster.kubeconfig import NoCluster
from runner.host.cluster.runs import Run
from runner.host.diagnosis import diagnose, ending
from runner.host.objects import manifest_files
from runner.host.objects.names import BENCH, COMPONENT, PREFETCH, SPEC_SHA256, component_of, name_of
from runner.host.objects.submitted import to_submit


def parser():
    described = verb_parser(
        "submit",
        description="Check that the cluster can take the Jobs of MANIFESTS, create them one at a time after the weights are there,"
        " and follow each until its result lies here. Progress goes to standard error, the paths of the logs with the results to"
        " standard output, for `python -m runner collect`. What runs or is done already is not started again. Ctrl-C detaches"
        " and says how to come back; a second one cancels.",
        epilog="Exit codes: that of the first run that went wrong; see `python -m runner --help`.",
    )
    described.add_argument(
        "manifests", nargs="*", metavar="MANIFESTS", help="files or folders that `python -m runner render` wrote"
    )
    path_lists.add_from(described, path_lists.MANIFESTS)
    described.add_argument(
        "--only", action="append", metavar="PART", help="only the Jobs with this in their name; may be given again"
    )
    described.add_argument("--rerun", action="store_true", help="measure again what was measured, or failed, already")
    described.add_argument(
        "--detach",
        action="store_true",
        help="create all at once, as patient as they were rendered, and return; names go to standard output, for `follow`",
    )
    described.add_argument(
        "--dry-run",
        action="store_true",
        help="check, print exactly what would be created, and create nothing; where there is no kubeconfig, check the manifests alone",
    )
    described.add_argument(
        "--deadline-s",
        type=connection.whole_seconds,
        metavar="S",
        help="each Job's own deadline (default: that of its model; as rendered with --detach)",
    )
    connection.add_flags(described)
    connection.add_follow_flags(described)
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    places = path_lists.given(options.manifests, options.listed_in, path_lists.MANIFESTS)
    if not places:
        raise UsageError("No MANIFESTS are named. Name a folder, or the file that lists folders with --from.")
    manifests = manifest_files.read(places)
    wanted = [
        to_submit(one.content, options.deadline_s, alone=not options.detach)
        for one in manifest_files.runs_of(manifests, BENCH, options.only)
    ]
    if not wanted:
        raise UsageError(
            f"No Job in {', '.join(places)} is labelled {COMPONENT}=bench. Name a folder that `python -m runner render`"
            " wrote."
        )
    before = [to_submit(one.content) for one in manifest_files.runs_of(manifests, PREFETCH)]
    preflight.check_images(before + wanted)
    try:
        cluster = connection.connect(options)
        settings = preflight.check(cluster, manifests, before + wanted, connection.show)
    except NoCluster as problem:
        if not options.dry_run:
            raise
        connection.show(f"No cluster was asked, and the manifests alone were checked. {problem}")
        settings = preflight.settings(manifests, before + wanted)
    except Unreachable:
        if options.dry_run:
            _print([*preflight.settings(manifests, before + wanted), *before, *wanted])
            connection.show("The manifests alone were checked; what is printed was not shown to the cluster.")
        raise
    if options.dry_run:
        _print([*settings, *before, *wanted])
        return 0
    try:
        for thing in settings:
            preflight.create_once(cluster, thing)
        return _run_all(cluster, before, wanted, options)
    except (Refused, Unanswered) as problem:
        raise errors.as_error(problem, cluster) from None


def _print(things: list[dict[str, Any]]) -> None:
    print(yaml.safe_dump_all(map(secrets.mask_json, things), sort_keys=False, allow_unicode=True), end="")


def _run_all(cluster, before, wanted, options):
    """Create and follow each run in turn; return the exit code of the first that went wrong.

    A run of ``wanted`` that fails does not stop those after it; a run of ``before`` that fails does.
    """
    first = 0
    for number, thing in enumerate([*before, *wanted], 1):
        try:
            _run(cluster, thing, options)
        except (ClusterRefused, DamagedResult, JobFailed, NotStarted, ResultLost) as error:
            if number <= len(before):
                raise
            connection.show(f"runner: {error}")
            first = first or error.exit_code
        except Interrupted as stopped:
            later = len(before) + len(wanted) - number
            if not later:
                raise
            way = "the same `submit` again meets what there is and goes on with the rest."
            if options.rerun:
                names = ", ".join(name_of(one).rpartition("-")[0] for one in [*before, *wanted][number:])
                way = f"`submit --rerun` with `--only` measures them: {names}."
            raise Interrupted(
                f"{stopped} Of these manifests {later} more {'was' if later == 1 else 'were'} not created yet: {way}"
            ) from None
    return first


def _run(cluster, thing, options):
    """Create a run, or meet it, and follow it to its end. Raises what went wrong with it, after its logs were told."""
    run = _submitted(cluster, thing, options)
    if options.detach:
        print(run.name)
        return
    follower.Attendance(cluster, [run], connection.manner(options), connection.show).until_done()
    for path in run.results:
        print(path, flush=True)
    if run.error is not None:
        raise run.error


def _submitted(cluster, thing, options):
    """Return the ``Run`` to follow, the newest of its repetitions: created now, met in the cluster, or gone from it and known here."""
    prefetch, newest = component_of(thing) == PREFETCH, None
    for repeat in itertools.count(1):
        run = Run.of(_repeated(thing, repeat), cluster, options.runs)
        there, noted = cluster.get(run.kind, run.name), evidence.noted(run.folder)
        if there is None and (
            noted is None or prefetch
        ):  # a finished prefetch may be created again: it finds its markers and ends at once
            break
        newest = run, there, noted
    if newest is None:
        return _created(cluster, run, options)
    known, there, noted = newest
    ended = there is None or ending(there)
    if options.rerun and (ended == "failed" if prefetch else ended):
        return _created(cluster, run, options)
    if there is not None:
        return _met(cluster, there, known, options)
    known.thing = noted
    connection.show(
        f"{known.name}: was submitted before and is gone; what is kept of it is taken. --rerun measures again."
    )
    return known


def _repeated(thing, repeat):
    name = f"{thing['metadata']['name']}{f'-r{repeat}' if repeat > 1 else ''}"
    return {**thing, "metadata": {**thing["metadata"], "name": name}}


def _created(cluster, run, options):
    evidence.check(run)
    made, was_there = runs.create(cluster, run.thing)
    if was_there:
        return _met(cluster, made, run, options)  # an answer that was lost, or another client: its digest tells
    connection.show(f"{run.name}: created in {cluster.namespace}.")
    run.thing = made
    run.expected_until_s = time.monotonic() + follower.EXPECTED_S
    evidence.note(run)
    return run


def _met(cluster, there, run, options):
    """Return the ``Run`` of a Job that is there already: followed, collected, or refused with the reason."""
    own = run.thing["metadata"]["annotations"][SPEC_SHA256]
    digest = there["metadata"].get("annotations", {}).get(SPEC_SHA256)
    if digest != own:
        raise ClusterRefused(
            f"{run.name} is there with another content (spec-sha256 {digest or 'none'}, here {own}). Delete it, if it is nobody's:"
            f" `{cluster.kubectl} delete {run.kind.lower()} {run.name}`."
        )
    run.thing = {**there, "kind": run.kind}
    word = ending(there)
    if word is None and there["metadata"].get("deletionTimestamp"):
        raise NotStarted(f"{run.name} is just being deleted. Submit again once it is gone.")
    if word == "failed" and options.detach:
        problem = diagnose(runs.look(cluster, run.thing))
        raise JobFailed(f"{run.name} failed before: {problem} The same `submit` with --rerun measures again.")
    connection.show(f"{run.name}: {_MET[word]}.")
    evidence.note(run)
    return run


_MET = {
    None: "runs already; following it",
    "complete": "is complete already; its result is taken",
    "failed": "failed before; what it left is taken. The same `submit` with --rerun measures again",
}
