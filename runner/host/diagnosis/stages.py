"""Where a run stands, and how long it may stand there: a function of what was seen, and a clock that is handed in. Pure."""

from dataclasses import dataclass, replace

from runner.host.diagnosis import Problem, diagnose, ending
from runner.host.diagnosis.problem import (
    beside,
    deadline_s,
    events_of,
    holds,
    last_words,
    name_of,
    own_container,
    states,
    suspended,
)

# How long a run may stay where it is without progress, in seconds; None for ever. Each is a flag: --unschedulable-s and so on.
DEADLINES = {
    "queue": None,
    "unschedulable": 600.0,
    "volume": 900.0,
    "image": 1800.0,
    "creating": 600.0,
    "refused": 120.0,
    "init": 22200.0,  # rendered Jobs wait up to six hours for the weights
    "node": 900.0,
    "overrun": 300.0,  # after the Job's own deadline, which its controller should have enforced
}
MEANING = {
    "queue": "for quota of a queue",
    "unschedulable": "for a node that takes the pod; an autoscaler's event starts it anew",
    "volume": "for a volume to be bound, attached or mounted",
    "image": "for the image",
    "creating": "for pod and containers to be made, or for the end of one to be noticed",
    "refused": "for what the cluster refuses to be mended",
    "init": "for the init container, which waits for weights",
    "node": "for a node that does not answer",
    "overrun": "for a Job that is past its own deadline",
}
COMPLETE, FAILED, GONE = "complete", "failed", "gone"
OVER = (COMPLETE, FAILED, GONE)


@dataclass(frozen=True)
class Stage:
    """``word`` names the stage and ``told`` says it in a line; ``deadline`` is its row of ``DEADLINES``; ``mark`` changes with
    progress inside of it; ``problem`` is what is wrong, if anything."""

    word: str
    told: str
    deadline: str | None = None
    mark: str = ""
    problem: Problem | None = None

    @property
    def over(self):
        return self.word in OVER


def stage(observed):
    """Return the ``Stage`` of a run."""
    seen = _seen(observed)
    problem = None if seen.word == COMPLETE else diagnose(observed)
    if problem is None or seen.over:
        return replace(seen, problem=problem)
    deadline = problem.patience or seen.deadline
    return replace(seen, deadline=deadline, problem=problem, told=f"{seen.told}: {problem.sentence.rstrip('.')}")


def hopeless(stage):
    """Return whether waiting cannot help a run that is not over."""
    return not stage.over and stage.problem is not None and stage.problem.patience is None and stage.word != "ending"


def _seen(observed):
    job = observed.job
    if job is None:
        return Stage(GONE, "the Job is not there (any more)")
    word = ending(job)
    if word:
        return Stage(word, {COMPLETE: "the Job is complete", FAILED: "the Job failed"}[word])
    if suspended(job):
        return Stage("queued", "waits in the queue (suspended)", "queue")
    pod = observed.pod
    if pod is None:
        return Stage("new", "waits for its controller to make a pod", "creating")
    return _of_pod(observed, pod)


def _of_pod(observed, pod):
    name, status = name_of(pod), pod.get("status", {})
    mark = pod["metadata"].get("uid", name)
    if not holds(pod, "PodScheduled") and not pod.get("spec", {}).get("nodeName"):
        growing = events_of(observed, "TriggeredScaleUp", about=name)
        grown = f" ({len(growing)} scale-up)" if growing else ""
        return Stage("pending", f"{name} waits for a node{grown}", "unschedulable", f"{mark}{len(growing)}")
    node = pod.get("spec", {}).get("nodeName", "its node")
    ended = any(container == own_container(pod) for container, _, _ in states(pod, "terminated"))
    if status.get("phase") in ("Succeeded", "Failed") or ended:
        return Stage("ending", f"{name} has ended; the Job's controller decides", "creating", mark)
    if any(container == own_container(pod) for container, _, _ in states(pod, "running")):
        return Stage("running", f"{name} runs on {node}", "overrun", mark)
    passing = (container for container, _, _ in states(pod, "running") if container not in beside(pod))
    running = next(passing, None)
    if running:
        return Stage("init", f"{name} runs {running} on {node}", "init", mark + running)
    if _pulling(observed, pod):
        return Stage("image", f"{name} pulls its image on {node}", "image", mark)
    return Stage("creating", f"{name} is made on {node}", "creating", mark)


def _pulling(observed, pod):
    """Return whether an image is being pulled: the newest of the events about it says so."""
    told = events_of(observed, "Pulling", "Pulled", "Failed", about=name_of(pod))
    waits = [state.get("reason") for _, state, _ in states(pod, "waiting")]
    return bool(told and told[0].get("reason") == "Pulling") or any(
        reason in ("ErrImagePull", "ImagePullBackOff") for reason in waits
    )


@dataclass(frozen=True)
class Timer:
    """When a run came to where it is, on the clock that is handed in."""

    key: tuple = ()
    since_s: float = 0.0

    def at(self, stage, now_s):
        """Return the timer after a look at ``now_s``: the same one while nothing progresses."""
        key = (stage.word, stage.deadline, stage.mark)
        return self if key == self.key else Timer(key, now_s)

    def left_s(self, stage, observed, deadlines, now_s):
        """Return how long the run may still stay, None for ever."""
        allowed_s = deadlines.get(stage.deadline)
        if stage.over or allowed_s is None:
            return None
        if stage.word == "running" and stage.deadline == "overrun":
            own_s = deadline_s(observed.job)
            if own_s is None:
                return None
            allowed_s += own_s
        return self.since_s + allowed_s - now_s


def overdue(observed, stage, allowed_s):
    """Return the ``Problem`` of a run that stayed too long: what it waits for, or that nothing says what."""
    waited = f"It waited {allowed_s:.0f} s {MEANING.get(stage.deadline, '').split(';')[0]}, as long as it may."
    flag = f"--{stage.deadline}-s"
    if stage.problem is not None:
        return replace(stage.problem, sentence=f"{stage.problem.sentence} {waited}", patience=None)
    look = name_of(observed.pod) if observed.pod else None
    where = f"`{observed.kubectl} describe {f'pod {look}' if look else f'{observed.kind.lower()} {observed.name}'}`"
    return Problem(
        f"overdue-{stage.deadline}",
        f"Nothing says why, but {stage.told}. {waited}",
        f"Look: {where}; {flag} allows more.",
    )


def pod_ended(pod):
    """Return whether all containers of a pod have ended, as last seen."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def container_ended(pod, container):
    """Return whether a container of a pod has ended, as last seen; one that never started in a pod that ended has too."""
    if any(name == container for name, _, _ in states(pod, "terminated")):
        return True
    return pod_ended(pod)


def containers_started(pod):
    """Return the names of the containers of a pod that have a log, init containers first; without what stands beside them."""
    found = [(name, init) for kind in ("running", "terminated") for name, _, init in states(pod, kind)]
    return [name for name, _ in sorted(found, key=lambda one: not one[1]) if name not in beside(pod)]


def started(pods):
    """Return whether some pod's own container has run at all."""
    return any(own_container(pod) in containers_started(pod) for pod in pods)


def started_at(pods):
    """Return when the first of the pods' own containers started, by its node's clock; None where that is not known."""
    found = [
        state.get("startedAt")
        for pod in pods
        for kind in ("running", "terminated")
        for name, state, _ in states(pod, kind)
        if name == own_container(pod)
    ]
    return min(filter(None, found), default=None)


def published(pods):
    """Return what the pods' last words tell of the results that they published, by attempt; None where no pod left any."""
    found = None
    for pod in pods:
        for name, state, init in states(pod, "terminated"):
            told = last_words(state.get("message") or "") if not init and name == own_container(pod) else None
            if told is not None:
                found = {**(found or {}), **{one["attempt"]: one for one in told.get("attempts") or []}}
    return found
