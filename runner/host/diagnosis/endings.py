"""Rows for runs and pods that ended: a Job that is gone, exit codes, pods that the cluster took away, and deadlines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from datetime import datetime, timezone

from runner.contract import errors, frame
from runner.contract.records import JsonObject
from runner.host.diagnosis.observed import Observed, event_time
from runner.host.diagnosis.problem import Problem, quoted
from runner.host.diagnosis.scheduling import PROFILES
from runner.host.objects.names import name_of
from runner.host.objects.pods import KILLED, STOPPED, TERMINATED, main_container, sidecars, states, termination_message
from runner.host.objects.status import condition, ending, holds
from runner.host.objects.walk import deadline_s, suspended


def gone(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a Job that is not there any more, or of a pod whose node was removed."""
    if observed.job is not None:
        return None
    return Problem(
        "job-gone",
        f"The {observed.kind} {observed.name} is not in {observed.namespace} (any more): it was deleted, or its time to live is over.",
        "Results are taken from the log that was saved, or from the volume; `submit --rerun` measures again.",
    )


def deadline(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a Job that ran into its own deadline: where the time went."""
    failed = condition(observed.job, "Failed")
    if ending(observed.job) != "failed" or failed is None or failed.get("reason") != "DeadlineExceeded":
        return None
    limit_s = deadline_s(observed.job)
    phases = ", ".join(f"{phase} {_duration(seconds)}" for phase, seconds in spent(observed))
    return Problem(
        "deadline",
        f"The Job ran into its deadline of {_duration(limit_s or 0)}{f'; the time went to: {phases}' if phases else ''}.",
        "Mend the longest of these, or submit with a longer --deadline-s and --rerun.",
    )


def spent(observed: Observed) -> list[tuple[str, float]]:
    """Return (phase, seconds) of the newest pod in the order queue, pending, pull, init, run, without phases whose begin is not known."""
    job, pod = observed.job or {}, observed.pod or {}
    end = (condition(job, "Failed") or condition(job, "Complete") or {}).get("lastTransitionTime")
    pulled = observed.events_of("Pulled", about=name_of(pod)) if pod else []
    ran = [state.state for state in (*states(pod, "running"), *states(pod, "terminated")) if not state.init]
    scheduled = condition(pod, "PodScheduled") if holds(pod, "PodScheduled") else None
    begins = [
        ("queue", job.get("metadata", {}).get("creationTimestamp")),
        ("pending", pod.get("metadata", {}).get("creationTimestamp")),
        ("pull", (scheduled or {}).get("lastTransitionTime")),
        ("init", event_time(pulled[-1]) if pulled else None),
        ("run", next((state.get("startedAt") for state in ran), None)),
        ("", end),
    ]
    dated = [(phase, _time(begin)) for phase, begin in begins if begin]
    return [(phase, (until - since).total_seconds()) for (phase, since), (_, until) in itertools.pairwise(dated)]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"\.[0-9]+", "", text).replace("Z", "+00:00")).astimezone(timezone.utc)


def _duration(exact_s: float) -> str:
    seconds = max(0, int(exact_s))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def taken_away(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a pod that the cluster took away: evicted, preempted, or suspended by its queue."""
    pod, job = observed.pod or {}, observed.job or {}
    target = condition(pod, "DisruptionTarget")
    if target and target.get("status") == "True":
        why = _DISRUPTIONS.get(target.get("reason", ""), f"was taken away ({target.get('reason')})")
        message = quoted(target.get("message", ""))
        last = ending(job) == "failed"
        return Problem(
            "disrupted",
            f"The pod {name_of(pod)} {why}{f': {message}' if message else ''}. This is no failure of the benchmark.",
            "Submit with --rerun." if last else "The Job starts another by itself; following goes on.",
            None if last else "unschedulable",
        )
    stopped = any(state.state.get("exitCode") in STOPPED for state in states(pod, "terminated"))
    if suspended(job) and stopped:
        return Problem(
            "preempted-queue",
            "The queue preempted the Job: Kueue suspended it and ended its pod. This is no failure of the benchmark.",
            "It waits for quota again and starts over by itself; following goes on.",
            "queue",
        )
    return None


_DISRUPTIONS = {
    "PreemptionByScheduler": "was preempted by one of a higher priority",
    "DeletionByTaintManager": "was evicted from its node by a taint",
    "EvictionByEvictionAPI": "was evicted, as in a node drain",
    "DeletionByPodGC": "was removed, since its node is gone",
    "TerminationByKubelet": "was evicted by its node, which ran short or shut down",
}


def offline_lookup(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a run that asked the hub while it was offline: which file is missing from the cache."""
    if not _failures(observed):
        return None
    log = "\n".join(observed.log)
    if not re.search(
        r"LocalEntryNotFound|OfflineModeIsEnabled|offline mode is enabled|couldn't connect to 'https://huggingface",
        log,
    ):
        return None
    file = re.search(
        r"(?:file named|find the file|locate the file on the Hub[^/]*/|/resolve/[^/\s]+/)\s*'?([\w./-]*\w)", log
    )
    return Problem(
        "offline-lookup",
        f"The benchmark, which runs offline, asked the hub for {file.group(1) if file else 'a file'}: it is missing from the model volume.",
        "Run the prefetch Job of these manifests again, and then submit with --rerun.",
    )


def killed(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a container that a signal ended."""
    for container, state in _failures(observed):
        code, reason = state.get("exitCode"), state.get("reason")
        lines = "\n".join([state.get("message") or "", *observed.log])
        if reason == "OOMKilled":
            return Problem(
                "memory",
                f"The {observed.named(container)} was killed at its memory limit (OOMKilled).",
                f"Raise `memory` of the profile in {PROFILES}; /dev/shm counts into it.",
            )
        if code == 134 and "habana_logs" in lines:
            return Problem(
                "habana-logs",
                "The Gaudi software aborted since it could not write its logs.",
                "Set HABANA_LOGS to a folder that can be written to, such as /tmp/habana_logs, as the rendered manifests do.",
            )
        if code in _SIGNALS:
            row, end, step = _SIGNALS[code]
            return Problem(
                row,
                f"The {observed.named(container)} {end}.",
                step.format(kubectl=observed.kubectl, pod=name_of(observed.pod or {})),
            )
    return None


# By the exit code of a container that a signal ended (128 and the number of the signal): row, end of the sentence, step.
_SIGNALS = {
    134: (
        "abort",
        "aborted (134): its runtime gave up",
        "The saved log's last lines tell more; so does `{kubectl} logs {pod}`.",
    ),
    135: (
        "shared-memory",
        "died of a bus error (135): /dev/shm is too small",
        f"Raise `shm` of the profile in {PROFILES} and render again.",
    ),
    139: (
        "crash",
        "crashed in native code (139)",
        "Compare driver and firmware of the node with the stack in versions.lock.",
    ),
    KILLED: (
        "killed",
        "was killed (137), and not at its memory limit: after the grace period, at a deadline, or since the node ran out of memory",
        "Look at the node's events: `kubectl describe node`; then submit with --rerun.",
    ),
    **dict.fromkeys(
        TERMINATED,
        (
            "stopped",
            "was told to stop from outside",
            "Look who deleted or drained it: `{kubectl} get events`; then submit with --rerun.",
        ),
    ),
}


def program_failed(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a container that ended with an exit code of its program: the meaning of the code, and its last message."""
    for container, state in _failures(observed):
        code = state.get("exitCode")
        error = errors.by_exit_code(code) if isinstance(code, int) else None
        of_runner = container not in sidecars(observed.pod or {})
        meaning = error.meaning if error is not None and error.exit_code == code and of_runner else None
        text = _last_message(state, observed.log)
        quotation = f": {text}" if text else ""
        return Problem(
            f"exit-{code}" if meaning else "exit",
            f"The {observed.named(container)} ended with {code}{f' ({meaning})' if meaning else ''}{quotation}.",
            "Mend that and submit with --rerun; the saved log tells all.",
        )
    return None


def _last_message(state: JsonObject, log: Sequence[str]) -> str:
    """Return the last message of a container, of its termination message or its log; a message of the runner before any other."""
    message = state.get("message") or ""
    record = termination_message(message)
    if record is not None:
        error = record.get("error")
        return quoted(error.get("message", "") if error else "", 1000)
    lines = [line for line in [*message.splitlines(), *log] if line.strip() and frame.MARK not in line]
    of_runner = [line.partition("runner: ")[2] for line in lines if "runner: " in line]
    return quoted((of_runner or lines or [""])[-1])


def ended(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a failed run whose pods say nothing, by the condition of the run."""
    if ending(observed.job) != "failed":
        return None
    failed = condition(observed.job, "Failed") or {}
    return Problem(
        "job-failed",
        f"The {observed.kind} {observed.name} failed ({failed.get('reason')}): {quoted(failed.get('message', ''))}.",
        "Its evidence is kept; submit with --rerun to measure again.",
    )


def node_lost(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a running pod whose node does not answer."""
    pod = observed.pod or {}
    ready = condition(pod, "Ready") or {}
    if pod.get("status", {}).get("reason") == "NodeLost" or ready.get("reason") == "NodeStatusUnknown":
        node = pod.get("spec", {}).get("nodeName")
        return Problem(
            "node-lost",
            f"The node {node} does not answer; its pod {name_of(pod)} is neither running nor ended.",
            f"Bring it back, or remove it, so that the Job can start over: `kubectl delete node {node}`.",
            "node",
        )
    return None


def _failures(observed: Observed) -> list[tuple[str, JsonObject]]:
    """Return (container, terminated state) of the containers of the pod that failed; [] for a run that is complete.

    A sidecar counts where the pod failed and no other container failed.
    """
    pod = observed.pod
    if pod is None or ending(observed.job) == "complete":
        return []
    failed = [
        (name, state)
        for name, state, _ in states(pod, "terminated")
        if state.get("exitCode") != 0 and state.get("reason") not in ("StartError", "ContainerCannotRun")
    ]
    without_sidecars = [(name, state) for name, state in failed if name not in sidecars(pod)]
    return without_sidecars or (failed if pod.get("status", {}).get("phase") == "Failed" else [])


def held(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a pod whose main container has ended while a sidecar goes on, so that the pod does not end."""
    pod = observed.pod
    if pod is None or ending(observed.job):
        return None
    if not any(state.container == main_container(pod) for state in states(pod, "terminated")):
        return None
    others = [state.container for state in states(pod, "running") if not state.init]
    if not others:
        return None
    return Problem(
        "sidecar",
        f"The container {main_container(pod)} has ended, but {' and '.join(others)}, which something else put beside it, goes on and"
        f" keeps the pod {name_of(pod)} with all that it holds.",
        "Keep it out of these pods, for Istio by the label `sidecar.istio.io/inject=false` on their template; its log is saved.",
        "creating",
    )


ROWS = (gone, deadline, taken_away, held, offline_lookup, killed, node_lost)
LAST_ROWS = (program_failed, ended)
