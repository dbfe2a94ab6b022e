"""Pods as the API gives them: their containers, what these ask for, and how far they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from runner.contract import termination
from runner.contract.errors import DamagedResult, Interrupted
from runner.contract.records import JsonObject
from runner.host.objects import names
from runner.host.objects.quantities import quantity
from runner.host.objects.walk import containers_of

ContainerPhase = Literal["waiting", "running", "terminated"]

# The exit codes of a container that was stopped from outside. The runner answers SIGTERM with its own code; a process that does not
# listen for SIGTERM yet ends with 143; the kubelet kills with SIGKILL (137) after the grace period.
TERMINATED = (Interrupted.exit_code, 143)
KILLED = 137
STOPPED = tuple(sorted((*TERMINATED, KILLED)))


class ContainerState(NamedTuple):
    """The state of one container: ``state`` is the mapping of its phase; ``init`` tells an init container."""

    container: str
    state: JsonObject
    init: bool


def states(pod: JsonObject, phase: ContainerPhase) -> Iterator[ContainerState]:
    """Yield the states of all containers of a pod that are in one phase, init containers first."""
    status = pod.get("status", {})
    for init, key in ((True, "initContainerStatuses"), (False, "containerStatuses")):
        for container in status.get(key) or []:
            if phase in (container.get("state") or {}):
                yield ContainerState(container["name"], container["state"][phase] or {}, init)


def container_of(pod: JsonObject, name: str) -> JsonObject:
    """Return a container of a pod's spec by name, an empty mapping where the spec has none of this name."""
    return next((container for container in containers_of(pod.get("spec", {})) if container.get("name") == name), {})


def main_container(pod: JsonObject) -> str | None:
    """Return the name of the container that the pod is there for: that of the pod's component, else the first.

    A service mesh may have put its own container before it.
    """
    containers = [container.get("name") for container in pod.get("spec", {}).get("containers") or []]
    component = names.component_of(pod)
    return component if component in containers else next(iter(containers), None)


def sidecars(pod: JsonObject) -> set[str]:
    """Return the names of the containers that run beside the main one, such as a mesh's.

    An init container that goes on (restartPolicy Always) is a sidecar too.
    """
    spec, main = pod.get("spec", {}), main_container(pod)
    others = {container.get("name") for container in spec.get("containers") or [] if container.get("name") != main}
    lasting = {
        container.get("name")
        for container in spec.get("initContainers") or []
        if container.get("restartPolicy") == "Always"
    }
    return others | lasting


def requested(pod: JsonObject, resource: str) -> str:
    """Return how much of a resource a pod asks for, as its only container writes it; the sum where several containers ask."""
    amounts = []
    for container in pod.get("spec", {}).get("containers") or []:
        resources = container.get("resources") or {}
        amount = resources.get("requests", {}).get(resource) or resources.get("limits", {}).get(resource)
        if amount:
            amounts.append(amount)
    if len(amounts) == 1:
        return str(amounts[0])
    return f"{sum(map(quantity, amounts)):.0f}"


# --- how far the pods of a run are ---


def pod_ended(pod: JsonObject) -> bool:
    """Return whether all containers of a pod have ended, as last seen."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def container_ended(pod: JsonObject, container: str) -> bool:
    """Return whether a container of a pod has ended, as last seen. A container that never started ends with its pod."""
    return any(state.container == container for state in states(pod, "terminated")) or pod_ended(pod)


def containers_started(pod: JsonObject) -> list[str]:
    """Return the names of the containers of a pod that have a log, init containers first, without sidecars."""
    started = sorted((*states(pod, "running"), *states(pod, "terminated")), key=lambda state: not state.init)
    return [state.container for state in started if state.container not in sidecars(pod)]


def any_started(pods: Iterable[JsonObject]) -> bool:
    """Return whether the main container of some pod has started."""
    return any(main_container(pod) in containers_started(pod) for pod in pods)


def first_started_at(pods: Iterable[JsonObject]) -> str | None:
    """Return when the first main container of the pods started, by the clock of its node; None where no pod tells."""
    times = [
        state.state.get("startedAt")
        for pod in pods
        for state in (*states(pod, "running"), *states(pod, "terminated"))
        if state.container == main_container(pod)
    ]
    return min(filter(None, times), default=None)


def termination_message(text: str) -> termination.Message | None:
    """Return the mapping that the runner leaves as its termination message, None for a message of another program."""
    try:
        return termination.read(text, "the termination message")
    except DamagedResult:
        return None


def published_summaries(pods: Iterable[JsonObject]) -> dict[str, termination.Summary] | None:
    """Return the summaries of the results that the pods published, by attempt; None where no pod left a termination message."""
    summaries: dict[str, termination.Summary] | None = None
    for pod in pods:
        for state in states(pod, "terminated"):
            if not state.init and state.container == main_container(pod):
                message = termination_message(state.state.get("message") or "")
                if message is not None:
                    attempts = {summary["attempt"]: summary for summary in message.get("attempts") or []}
                    summaries = {**(summaries or {}), **attempts}
    return summaries
