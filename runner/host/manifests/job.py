"""batch/v1 Jobs: one attempt and no more, unless the cluster took the node or the pod away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.contract.errors import DoesNotFit, InputError, UnresolvedPin, Unsupported, UsageError
from runner.contract.records import JsonObject
from runner.host.manifests import pod
from runner.host.manifests.plan import Installation, JobPlan
from runner.host.manifests.site import Site
from runner.host.manifests.storage import Claims
from runner.host.objects import names
from runner.host.objects.pods import STOPPED

A_DAY_S, A_WEEK_S = 86400, 604800
SIX_HOURS_S = 6 * 3600

# The exit codes of a fetching pod that another attempt cannot mend. Any other failure of a download is worth another attempt.
HOPELESS = tuple(error.exit_code for error in (UsageError, InputError, UnresolvedPin, DoesNotFit, Unsupported))


def bench(site: Site, plan: JobPlan, config_name: str, claims: Claims) -> list[JsonObject]:
    """Return the objects of one run on one node: a Job."""
    template = pod.bench(site, plan, config_name, claims)
    name = names.bench(plan.request.case)
    return [named(site, "batch/v1", "Job", name, template["metadata"], one_attempt(template))]


def prefetch(site: Site, set_name: str, plans: Sequence[JobPlan], config_name: str, claims: Claims) -> JsonObject:
    """Return the Job that fetches the weights of a set. An attempt resumes the download of the attempt before."""
    template = pod.prefetch(site, set_name, plans, config_name, claims)
    spec = _spec(template, 1, 6, SIX_HOURS_S, _fail_on("In", HOPELESS))
    return named(site, "batch/v1", "Job", names.prefetch(set_name), template["metadata"], spec, queued=False)


def packages(site: Site, set_name: str, plan: JobPlan, installation: Installation, claims: Claims) -> JsonObject:
    """Return the Job that fetches the packages of a stack. An attempt keeps what the attempt before fetched whole."""
    template = pod.packages(site, set_name, plan, installation, claims)
    spec = _spec(template, 1, 6, SIX_HOURS_S, _fail_on("In", HOPELESS))
    name = names.packages(set_name, installation.stack)
    return named(site, "batch/v1", "Job", name, template["metadata"], spec, queued=False)


def one_attempt(template: JsonObject, pods: int = 1) -> JsonObject:
    """Return the spec of a Job of so many pods, all at once, that is tried once.

    A stop from outside does not fail the Job by its exit code. A queue takes a pod back by deleting it, without the condition
    DisruptionTarget; a Job that looks for failing codes at that moment would fail (Kubernetes 1.36 pkg/controller/job).
    """
    return _spec(template, pods, 0, A_DAY_S, _fail_on("NotIn", (0, *STOPPED)))


def named(
    site: Site, version: str, kind: str, name: str, metadata: JsonObject, spec: JsonObject, queued: bool = True
) -> JsonObject:
    """Return the sealed object around ``spec``, with the labels and annotations of its pods; ``queued`` where it asks for devices."""
    queue = {names.QUEUE: site.queue} if site.queue and queued else {}
    return names.seal(
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": site.namespace,
                "labels": {**metadata["labels"], **queue},
                "annotations": metadata["annotations"],
            },
            "spec": spec,
        }
    )


def _spec(template: JsonObject, pods: int, retries: int, deadline_s: int, failing: JsonObject) -> JsonObject:
    return {
        "backoffLimit": retries,
        "completions": pods,
        "parallelism": pods,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [_ignore_disruption(), failing]},
        "activeDeadlineSeconds": deadline_s,
        "ttlSecondsAfterFinished": A_WEEK_S,
        "template": template,
    }


def _ignore_disruption() -> JsonObject:
    return {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def _fail_on(operator: str, exit_codes: Iterable[int]) -> JsonObject:
    return {"action": "FailJob", "onExitCodes": {"operator": operator, "values": sorted(exit_codes)}}
