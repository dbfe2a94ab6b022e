"""batch/v1 Jobs: one attempt and no more, unless the cluster itself took the node or the pod away."""

from runner.contract.errors import DoesNotFit, InputError, Interrupted, UsageError
from runner.host.manifests import pod
from runner.host.objects import names

A_DAY_S, A_WEEK_S = 86400, 604800
SIX_HOURS_S = 6 * 3600

# A pod that a queue takes back is deleted without the condition DisruptionTarget, and a Job whose pods are walked for a failing code
# at that moment would fail (Kubernetes 1.36 pkg/controller/job): the codes of a stop are left out. The runner answers SIGTERM with
# 130; 143 is what a process says that was not yet listening, 137 what was killed after the grace period.
STOPPED = (Interrupted.exit_code, 137, 143)

# Trying again cannot mend these; all else of a download is worth another try.
HOPELESS = (UsageError.exit_code, InputError.exit_code, DoesNotFit.exit_code)


def bench(site, run, config_name, models):
    """Return the objects of one run on one node: a Job."""
    template = pod.bench(site, run, config_name, models=models)
    name = names.bench(run.request.case)
    return [named(site, "batch/v1", "Job", name, template["metadata"], one_attempt(template))]


def prefetch(site, set_name, runs, config_name, models=names.MODELS):
    """Return the Job that fetches the weights of a set; it resumes what an attempt before it left."""
    template = pod.prefetch(site, set_name, runs, config_name, models)
    spec = _spec(template, 1, 6, SIX_HOURS_S, _fail_on("In", HOPELESS))
    return named(site, "batch/v1", "Job", names.prefetch(set_name), template["metadata"], spec, queued=False)


def one_attempt(template, pods=1):
    """Return the spec of a Job of so many pods, all at once, that is tried once."""
    return _spec(template, pods, 0, A_DAY_S, _fail_on("NotIn", (0, *STOPPED)))


def named(site, version, kind, name, metadata, spec, queued=True):
    """Return the sealed object around ``spec``, with the labels and annotations of its pods; ``queued`` where it asks for devices."""
    queue = {"kueue.x-k8s.io/queue-name": site.queue} if site.queue and queued else {}
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


def _spec(template, pods, retries, deadline_s, failing):
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


def _ignore_disruption():
    return {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def _fail_on(operator, codes):
    return {"action": "FailJob", "onExitCodes": {"operator": operator, "values": sorted(codes)}}
