"""Take the results of a run off its volume, where the log lacks them: a Job prints the results as frames into its own log."""

from __future__ import annotations

from runner.contract.records import JsonObject
from runner.host.cluster import errors, image_ids, runs
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.cluster.runs import FollowedRun
from runner.host.diagnosis import Observed, ending
from runner.host.objects.collect_job import collect_job, earliest_attempt
from runner.host.objects.names import name_of
from runner.host.objects.pods import first_started_at


def plan(run: FollowedRun, observed: Observed) -> FollowedRun | None:
    """Return the run that takes another run's results off its volume, None where no volume holds results. Pure.

    Only attempts that began with the run, or after it, are taken: earlier runs of the same request left theirs in the same folder.
    """
    created = (observed.job or run.manifest)["metadata"].get("creationTimestamp")
    since = earliest_attempt(created, first_started_at(observed.pods)) if created else None
    manifest = collect_job(run.manifest, since)
    if manifest is None:
        return None
    return FollowedRun(
        name_of(manifest),
        "Job",
        manifest,
        run.folder,
        image_ids.asked_digests(manifest),
        tags=image_ids.asked_tags(manifest),
    )


def submit(cluster: Cluster, run: FollowedRun, delete_wait_s: float) -> JsonObject:
    """Create the Job of a run that ``plan`` returned, and return the Job as the cluster keeps it.

    A Job of the same name that has ended is deleted first: an earlier process created it, and it may have seen fewer results. A Job
    of the same name that still runs is followed as it is. Raises ``ClusterRefused``, ``Unreachable`` and ``NotStarted``.
    """
    try:
        existing = cluster.get("Job", run.name)
        if existing is not None and ending(existing) is not None:
            runs.delete(cluster, [run], delete_wait_s)
        return runs.create(cluster, run.manifest).manifest
    except (Refused, Unanswered) as problem:
        raise errors.as_kit_error(problem, cluster) from None
