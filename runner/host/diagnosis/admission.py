"""Rows for a run that has no pod: what admission refuses, what a queue holds back, and what an operator does not do."""

from __future__ import annotations

import re

from runner.host.diagnosis.observed import Observed
from runner.host.diagnosis.problem import MessageRow, Problem, quoted
from runner.host.objects.names import name_of
from runner.host.objects.pods import states
from runner.host.objects.status import condition, ending
from runner.host.objects.walk import pods_at_once


def no_pod(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a run whose controller may not create its pods."""
    if observed.job is None or ending(observed.job) or len(observed.pods) >= pods_at_once(observed.job):
        return None
    # FailedCreate is an event of the run, or of a Job that an operator makes for the run. MPIJobFailed is what mpi-operator says of a
    # pod that it makes itself.
    refusals = [
        event
        for event in observed.events_of("FailedCreate", "MPIJobFailed")
        if event["reason"] == "FailedCreate" or "created failed" in event.get("message", "")
    ]
    for event in refusals:
        message = event.get("message", "")
        for row in _REFUSALS:
            match = re.search(row.pattern, message)
            if match:
                words = {"namespace": observed.namespace, "kubectl": observed.kubectl, "shown": quoted(match.group(1))}
                return row.problem(words, "refused")
        return Problem(
            "pod-refused",
            f"The cluster refuses the pod of {observed.name}: {quoted(message)}.",
            f"Look: `{observed.kubectl} describe {observed.kind.lower()} {observed.name}`.",
            "refused",
        )
    return None


def invalid(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of an MPIJob that its operator does not take.

    The operator checks more than the API server, which only knows the definition of the kind.
    """
    for event in observed.events_of("ValidationError"):
        if not observed.pods and not ending(observed.job):
            return Problem(
                "mpi-invalid",
                f"mpi-operator does not take the MPIJob {observed.name}: {quoted(event.get('message', ''))}.",
                "Render again with this version of the kit, which is made for mpi-operator 0.8: `python -m runner render`.",
            )
    return None


_REFUSALS = (
    MessageRow(
        "pod-security",
        r"violates PodSecurity (.+)",
        "Pod Security of the namespace {namespace} refuses the pod: {shown}.",
        "The default manifests pass `restricted`. What the sys-nice overlay adds needs a namespace of its own with"
        " `kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=privileged`.",
    ),
    MessageRow(
        "quota",
        r"exceeded quota: (.+)",
        "A quota of the namespace {namespace} is used up: {shown}.",
        "End what uses it, or ask for more: `{kubectl} describe resourcequota`.",
    ),
    MessageRow(
        "quota-unset",
        r"failed quota: (.+)",
        "A quota of the namespace {namespace} wants values that the pod does not name: {shown}.",
        "Look which: `{kubectl} describe resourcequota`.",
    ),
    MessageRow(
        "limit-range",
        r"((?:maximum|minimum) \S+ usage per (?:Container|Pod) is .+|\S+ max limit to request ratio per .+)",
        "A LimitRange of the namespace {namespace} refuses the pod: {shown}.",
        "Ask for it to be raised, or lower the profile in runner/catalog/profiles.yaml: `{kubectl} describe limitrange`.",
    ),
    MessageRow(
        "service-account",
        r'serviceaccount "?([\w./-]+)"? not found',
        "The ServiceAccount {shown} does not exist in {namespace}.",
        "Create it: `kubectl apply -f` the file of the manifests that holds it (10-*.yaml).",
    ),
    MessageRow(
        "webhook",
        r"(admission webhook .+|failed calling webhook .+)",
        "An admission webhook of the cluster refuses the pod: {shown}.",
        "Its owner knows its rule; `kubectl get validatingwebhookconfigurations` lists them.",
    ),
    MessageRow(
        "runtime-missing",
        r'(?:pod rejected: )?RuntimeClass "?([\w.-]+)"? not found',
        "The RuntimeClass {shown} does not exist in this cluster.",
        "Render without `--runtime-class`, or install that runtime.",
    ),
)


def queue(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a Job that Kueue holds back, in the words of the Workload's conditions."""
    if observed.workload is None or ending(observed.job):
        return None
    evicted, reserved = condition(observed.workload, "Evicted"), condition(observed.workload, "QuotaReserved")
    if evicted and evicted.get("status") == "True":
        return Problem(
            "queue-evicted",
            f"Kueue took the Job's quota back ({evicted.get('reason')}): {quoted(evicted.get('message', ''))}.",
            "It waits for quota again by itself.",
            "queue",
        )
    if reserved is None or reserved.get("status") == "True":
        return None
    message = quoted(reserved.get("message", ""))
    uncovered = re.search(r"resources? (\S+) unavailable in ClusterQueue|no .*flavor.* resource[s]? (\S+)", message)
    if uncovered:
        resource = next(filter(None, uncovered.groups()))
        return Problem(
            "queue-uncovered",
            f"The ClusterQueue does not cover {resource}, so that the Job is never admitted: {message}.",
            f"Ask its owner to add {resource} to coveredResources; a queue must cover all that a pod asks for.",
            "queue",
        )
    inactive = reserved.get("reason") == "Inadmissible" or "is inactive" in message or "doesn't exist" in message
    if inactive:
        return Problem(
            "queue-inactive",
            f"The queue of the Job takes nothing: {message}.",
            f"Look: `{observed.kubectl} get localqueues` and `kubectl get clusterqueues`; render with a `--queue` that is active.",
            "refused",
        )
    return Problem(
        "queue-waits",
        f"Kueue holds the Job back: {message or 'it has not said why'}.",
        "It starts by itself when there is quota.",
        "queue",
    )


def launcher_waits(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of an MPIJob whose launcher waits for a worker."""
    if observed.kind != "MPIJob" or ending(observed.job):
        return None
    for pod in observed.pods:
        if not re.search(r"-worker-[0-9]+$", name_of(pod)):
            continue
        ready = condition(pod, "Ready") or {}
        if ready.get("status") != "True" and not any(states(pod, "running")) and not any(states(pod, "terminated")):
            why = next((state.get("reason") for _, state, _ in states(pod, "waiting")), None)
            return Problem(
                "worker-not-ready",
                f"The launcher waits for the worker {name_of(pod)}, which is not ready{f' ({why})' if why else ''}.",
                f"Look: `{observed.kubectl} describe pod {name_of(pod)}`.",
                "creating",
            )
    return None


def no_operator(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of an MPIJob or JobSet that no operator has looked at: the object has no status."""
    if ending(observed.job) or observed.job is None or observed.pods or observed.job.get("status"):
        return None
    if observed.kind == "MPIJob":
        return Problem(
            "mpi-operator",
            f"No operator has looked at the MPIJob {observed.name} yet.",
            "If none does, none runs, or only that of the other version (v1). Install that of kubeflow.org/v2beta1, and only one:"
            " `kubectl get deployments -A | grep -e mpi-operator -e training-operator`.",
            "refused",
        )
    if observed.kind == "JobSet":
        return Problem(
            "jobset-controller",
            f"No controller has looked at the JobSet {observed.name} yet.",
            "If none does, it does not run. Look: `kubectl -n jobset-system get deployments,pods`.",
            "refused",
        )
    return None


ROWS = (no_pod, invalid, queue, launcher_waits, no_operator)
