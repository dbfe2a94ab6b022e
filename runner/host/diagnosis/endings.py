"""Rows for what ended: a Job or pod that is gone, exit codes, what the cluster took away, and deadlines."""

import itertools
import re
from datetime import datetime, timezone

from runner.contract import errors, frame
from runner.host.diagnosis.problem import (
    Problem,
    beside,
    condition,
    deadline_s,
    ending,
    event_time,
    events_of,
    holds,
    last_words,
    name_of,
    own_container,
    quoted,
    states,
    suspended,
)
from runner.host.diagnosis.scheduling import PROFILES

# What a container ends with after SIGTERM (the runner's own code), after SIGKILL, and after SIGTERM before the runner listens.
STOPPED = (errors.Interrupted.exit_code, 137, 143)


def gone(observed):
    """Return the ``Problem`` of a Job that is not there any more, or of a pod whose node was removed."""
    if observed.job is not None:
        return None
    return Problem(
        "job-gone",
        f"The {observed.kind} {observed.name} is not in {observed.namespace} (any more): it was deleted, or its time to live is over.",
        "Results are taken from the log that was saved, or from the volume; `submit --rerun` measures again.",
    )


def deadline(observed):
    """Return the ``Problem`` of a Job that ran into its own deadline: where the time went."""
    failed = condition(observed.job, "Failed")
    if ending(observed.job) != "failed" or failed is None or failed.get("reason") != "DeadlineExceeded":
        return None
    limit_s = deadline_s(observed.job)
    told = ", ".join(f"{phase} {_duration(seconds)}" for phase, seconds in spent(observed))
    return Problem(
        "deadline",
        f"The Job ran into its deadline of {_duration(limit_s or 0)}{f'; the time went to: {told}' if told else ''}.",
        "Mend the longest of these, or submit with a longer --deadline-s and --rerun.",
    )


def spent(observed):
    """Return (phase, seconds) of the newest pod in order: queue, pending, pull, init, run; a phase that cannot be told is left out."""
    job, pod = observed.job or {}, observed.pod or {}
    end = (condition(job, "Failed") or condition(job, "Complete") or {}).get("lastTransitionTime")
    pulled = events_of(observed, "Pulled", about=name_of(pod)) if pod else []
    running = [state for name, state, init in states(pod, "running") if not init]
    ended = [state for name, state, init in states(pod, "terminated") if not init]
    marks = [
        ("queue", job.get("metadata", {}).get("creationTimestamp")),
        ("pending", pod.get("metadata", {}).get("creationTimestamp")),
        (
            "pull",
            (condition(pod, "PodScheduled") or {}).get("lastTransitionTime") if holds(pod, "PodScheduled") else None,
        ),
        ("init", event_time(pulled[-1]) if pulled else None),
        ("run", next((state.get("startedAt") for state in running + ended), None)),
        ("", end),
    ]
    known = [(phase, _time(mark)) for phase, mark in marks if mark]
    return [(phase, (until - since).total_seconds()) for (phase, since), (_, until) in itertools.pairwise(known)]


def _time(text):
    return datetime.fromisoformat(re.sub(r"\.[0-9]+", "", text).replace("Z", "+00:00")).astimezone(timezone.utc)


def _duration(seconds):
    seconds = max(0, int(seconds))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def taken_away(observed):
    """Return the ``Problem`` of a pod that the cluster took: evicted, preempted, its node lost, or its queue suspended."""
    pod, job = observed.pod or {}, observed.job or {}
    target = condition(pod, "DisruptionTarget")
    if target and target.get("status") == "True":
        why = _DISRUPTIONS.get(target.get("reason", ""), f"was taken away ({target.get('reason')})")
        told = quoted(target.get("message", ""))
        last = ending(job) == "failed"
        return Problem(
            "disrupted",
            f"The pod {name_of(pod)} {why}{f': {told}' if told else ''}. This is no failure of the benchmark.",
            "Submit with --rerun." if last else "The Job starts another by itself; following goes on.",
            None if last else "unschedulable",
        )
    if suspended(job) and any(state.get("exitCode") in STOPPED for _, state, _ in states(pod, "terminated")):
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


def offline_lookup(observed):
    """Return the ``Problem`` of a run that asked the hub while it was offline: which file is missing from the cache."""
    if not _failures(observed):
        return None
    told = "\n".join(observed.log)
    if not re.search(
        r"LocalEntryNotFound|OfflineModeIsEnabled|offline mode is enabled|couldn't connect to 'https://huggingface",
        told,
    ):
        return None
    file = re.search(
        r"(?:file named|find the file|locate the file on the Hub[^/]*/|/resolve/[^/\s]+/)\s*'?([\w./-]*\w)", told
    )
    return Problem(
        "offline-lookup",
        f"The benchmark, which runs offline, asked the hub for {file.group(1) if file else 'a file'}: it is missing from the model volume.",
        "Run the prefetch Job of these manifests again, and then submit with --rerun.",
    )


def killed(observed):
    """Return the ``Problem`` of a container that a signal ended."""
    for container, state in _failures(observed):
        code, reason = state.get("exitCode"), state.get("reason")
        told = "\n".join([state.get("message") or "", *observed.log])
        if reason == "OOMKilled":
            return Problem(
                "memory",
                f"The {observed.named(container)} was killed at its memory limit (OOMKilled).",
                f"Raise `memory` of the profile in {PROFILES}; /dev/shm counts into it.",
            )
        if code == 134 and "habana_logs" in told:
            return Problem(
                "habana-logs",
                "The Gaudi software aborted since it could not write its logs.",
                "Set HABANA_LOGS to a folder that can be written to, such as /tmp/habana_logs, as the rendered manifests do.",
            )
        if code in _SIGNALS:
            row, what, step = _SIGNALS[code]
            return Problem(
                row,
                f"The {observed.named(container)} {what}.",
                step.format(kubectl=observed.kubectl, pod=name_of(observed.pod)),
            )
    return None


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
    137: (
        "killed",
        "was killed (137), and not at its memory limit: after the grace period, at a deadline, or since the node ran out of memory",
        "Look at the node's events: `kubectl describe node`; then submit with --rerun.",
    ),
    **dict.fromkeys(
        STOPPED[::2],
        (
            "stopped",
            "was told to stop from outside",
            "Look who deleted or drained it: `{kubectl} get events`; then submit with --rerun.",
        ),
    ),
}


def own_words(observed):
    """Return the ``Problem`` of a container that ended with an exit code of its own: its meaning, and its own words."""
    for container, state in _failures(observed):
        code = state.get("exitCode")
        known = errors.by_exit_code(code)
        meaning = known.meaning if known.exit_code == code and container not in beside(observed.pod) else None
        text = _last_words(state, observed.log)
        said = f": {text}" if text else ""
        return Problem(
            f"exit-{code}" if meaning else "exit",
            f"The {observed.named(container)} ended with {code}{f' ({meaning})' if meaning else ''}{said}.",
            "Mend that and submit with --rerun; the saved log tells all.",
        )
    return None


def _last_words(state, log):
    """Return the container's own sentence: of its termination message or log, the runner's last one before anything else."""
    message = state.get("message") or ""
    last = last_words(message)
    if last is not None:
        return quoted((last.get("error") or {}).get("message", ""), 1000)
    lines = [line for line in [*message.splitlines(), *log] if line.strip() and frame.MARK not in line]
    own = [line.partition("runner: ")[2] for line in lines if "runner: " in line]
    return quoted((own or lines or [""])[-1])


def ended(observed):
    """Return the ``Problem`` of a Job that failed and whose pods say nothing more."""
    if ending(observed.job) != "failed":
        return None
    failed = condition(observed.job, "Failed") or {}
    return Problem(
        "job-failed",
        f"The {observed.kind} {observed.name} failed ({failed.get('reason')}): {quoted(failed.get('message', ''))}.",
        "Its evidence is kept; submit with --rerun to measure again.",
    )


def node_lost(observed):
    """Return the ``Problem`` of a running pod whose node does not answer."""
    ready = condition(observed.pod, "Ready") or {}
    if (observed.pod or {}).get("status", {}).get("reason") == "NodeLost" or ready.get("reason") == "NodeStatusUnknown":
        node = observed.pod.get("spec", {}).get("nodeName")
        return Problem(
            "node-lost",
            f"The node {node} does not answer; its pod {name_of(observed.pod)} is neither running nor ended.",
            f"Bring it back, or remove it, so that the Job can start over: `kubectl delete node {node}`.",
            "node",
        )
    return None


def _failures(observed):
    """Return (container, terminated state) of the containers of the newest pod that did not end well: what stands beside its own
    one counts only where that alone ended the pod."""
    pod = observed.pod
    if pod is None or ending(observed.job) == "complete":
        return []
    failed = [
        (name, state)
        for name, state, _ in states(pod, "terminated")
        if state.get("exitCode") != 0 and state.get("reason") not in ("StartError", "ContainerCannotRun")
    ]
    own = [one for one in failed if one[0] not in beside(pod)]
    return own or (failed if pod.get("status", {}).get("phase") == "Failed" else [])


def held(observed):
    """Return the ``Problem`` of a pod whose own container has ended while another one goes on, so that the pod does not end."""
    pod = observed.pod
    if (
        pod is None
        or ending(observed.job)
        or not any(one[0] == own_container(pod) for one in states(pod, "terminated"))
    ):
        return None
    others = [name for name, _, init in states(pod, "running") if not init]
    if not others:
        return None
    return Problem(
        "sidecar",
        f"The container {own_container(pod)} has ended, but {' and '.join(others)}, which something else put beside it, goes on and"
        f" keeps the pod {name_of(pod)} with all that it holds.",
        "Keep it out of these pods, for Istio by the label `sidecar.istio.io/inject=false` on their template; its log is saved.",
        "creating",
    )


ROWS = (gone, deadline, taken_away, held, offline_lookup, killed, node_lost)
LAST_ROWS = (own_words, ended)
