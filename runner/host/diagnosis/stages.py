"""Tell the stage of a run, and how long the run may stay in the stage, by pure functions of what was seen and of the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from runner.contract.records import JsonObject
from runner.host.diagnosis import diagnose
from runner.host.diagnosis.observed import Observed
from runner.host.diagnosis.problem import Problem, Wait
from runner.host.objects.names import name_of
from runner.host.objects.pods import main_container, pod_ended, sidecars, states
from runner.host.objects.status import ending, holds
from runner.host.objects.walk import deadline_s, suspended

# The longest times in seconds that a run may wait without progress; None for ever. Each is a flag: --unschedulable-s and so on.
WAITS_S: dict[Wait, float | None] = {
    "queue": None,
    "unschedulable": 600.0,
    "volume": 900.0,
    "image": 1800.0,
    "creating": 600.0,
    "refused": 120.0,
    # A rendered Job waits up to six hours for its weights.
    "init": 22200.0,
    "node": 900.0,
    # Counted from the Job's own deadline, at which the Job's controller should have ended the Job.
    "overrun": 300.0,
}
# The thing that a run waits for, as the help of a flag says it. A sentence takes the words before the semicolon.
WAITS_FOR: dict[Wait, str] = {
    "queue": "for quota of a queue",
    "unschedulable": "for a node that takes the pod; an autoscaler's event starts the wait again",
    "volume": "for a volume to be bound, attached or mounted",
    "image": "for the image to be pulled",
    "creating": "for pod and containers to be made, and for the end of a container to be noticed",
    "refused": "for a refused pod (quota, Pod Security, webhook) to be accepted",
    "init": "for the init container, which waits for the weights",
    "node": "for a node that does not answer",
    "overrun": "for a Job that is past its own deadline to be ended",
}

StageWord = Literal[
    "complete", "failed", "gone", "queued", "new", "pending", "creating", "image", "init", "running", "ending"
]
COMPLETE: StageWord = "complete"
FAILED: StageWord = "failed"
GONE: StageWord = "gone"
OVER = (COMPLETE, FAILED, GONE)


@dataclass(frozen=True)
class Stage:
    """A stage of a run. ``text`` describes the stage in a line.

    ``wait`` is the row of ``WAITS_S`` that limits the stage, None for a stage without a limit. ``mark`` changes with every progress
    within the stage. ``problem`` is None where nothing seems wrong.
    """

    word: StageWord
    text: str
    wait: Wait | None = None
    mark: str = ""
    problem: Problem | None = None

    @property
    def over(self) -> bool:
        """Return whether the run has ended."""
        return self.word in OVER


def stage(observed: Observed) -> Stage:
    """Return the ``Stage`` of a run, with the problem that a diagnosis finds."""
    plain = _seen(observed)
    problem = None if plain.word == COMPLETE else diagnose(observed)
    if problem is None or plain.over:
        return replace(plain, problem=problem)
    text = f"{plain.text}: {problem.sentence.rstrip('.')}"
    return replace(plain, wait=problem.wait or plain.wait, problem=problem, text=text)


def hopeless(stage: Stage) -> bool:
    """Return whether waiting cannot help a run that is not over."""
    return not stage.over and stage.problem is not None and stage.problem.wait is None and stage.word != "ending"


def overdue(observed: Observed, stage: Stage, waited_s: float) -> Problem:
    """Return the ``Problem`` of a run that stayed in a stage for the longest time: what it waits for, or that the cause is unknown."""
    meaning = WAITS_FOR[stage.wait].split(";")[0] if stage.wait else ""
    waited = f"It waited {waited_s:.0f} s {meaning}, the limit of --{stage.wait}-s."
    if stage.problem is not None:
        return replace(stage.problem, sentence=f"{stage.problem.sentence} {waited}", wait=None)
    target = f"pod {name_of(observed.pod)}" if observed.pod else f"{observed.kind.lower()} {observed.name}"
    return Problem(
        f"overdue-{stage.wait}",
        f"{waited} No cause was reported: {stage.text}.",
        f"Look: `{observed.kubectl} describe {target}`; --{stage.wait}-s allows more.",
    )


@dataclass(frozen=True)
class Timer:
    """Since when a run has stood where it is. ``since_s`` is a time on the clock that is passed in."""

    key: tuple[StageWord, Wait | None, str] | None = None
    since_s: float = 0.0

    def at(self, stage: Stage, now_s: float) -> Timer:
        """Return the timer after a look at ``now_s``: this timer while there is no progress, else a new one."""
        key = (stage.word, stage.wait, stage.mark)
        return self if key == self.key else Timer(key, now_s)

    def left_s(
        self, stage: Stage, observed: Observed, waits_s: Mapping[Wait, float | None], now_s: float
    ) -> float | None:
        """Return for how many seconds the run may still stand where it is, None for ever."""
        allowed_s = waits_s.get(stage.wait) if stage.wait else None
        if stage.over or allowed_s is None:
            return None
        if stage.word == "running" and stage.wait == "overrun":
            run_deadline_s = deadline_s(observed.job)
            if run_deadline_s is None:
                return None
            allowed_s += run_deadline_s
        return self.since_s + allowed_s - now_s


def _seen(observed: Observed) -> Stage:
    job = observed.job
    if job is None:
        return Stage(GONE, "the Job is not there (any more)")
    word = ending(job)
    if word:
        return Stage(word, {"complete": "the Job is complete", "failed": "the Job failed"}[word])
    if suspended(job):
        return Stage("queued", "waits in the queue (suspended)", "queue")
    pod = observed.pod
    if pod is None:
        return Stage("new", "waits for its controller to make a pod", "creating")
    return _of_pod(observed, pod)


def _of_pod(observed: Observed, pod: JsonObject) -> Stage:
    name, node = name_of(pod), pod.get("spec", {}).get("nodeName")
    mark = pod["metadata"].get("uid", name)
    if not holds(pod, "PodScheduled") and not node:
        scale_ups = len(observed.events_of("TriggeredScaleUp", about=name))
        grown = f" ({scale_ups} scale-up)" if scale_ups else ""
        return Stage("pending", f"{name} waits for a node{grown}", "unschedulable", f"{mark}{scale_ups}")
    node = node or "its node"
    main = main_container(pod)
    if pod_ended(pod) or any(state.container == main for state in states(pod, "terminated")):
        return Stage("ending", f"{name} has ended; the Job's controller decides", "creating", mark)
    running = [state.container for state in states(pod, "running")]
    if main in running:
        return Stage("running", f"{name} runs on {node}", "overrun", mark)
    init = next((container for container in running if container not in sidecars(pod)), None)
    if init:
        return Stage("init", f"{name} runs {init} on {node}", "init", mark + init)
    if _pulls_image(observed, pod):
        return Stage("image", f"{name} pulls its image on {node}", "image", mark)
    return Stage("creating", f"{name} is made on {node}", "creating", mark)


def _pulls_image(observed: Observed, pod: JsonObject) -> bool:
    """Return whether an image is being pulled, by the newest event about images or by the reason why a container waits."""
    events = observed.events_of("Pulling", "Pulled", "Failed", about=name_of(pod))
    if events and events[0].get("reason") == "Pulling":
        return True
    return any(state.state.get("reason") in ("ErrImagePull", "ImagePullBackOff") for state in states(pod, "waiting"))
