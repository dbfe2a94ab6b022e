"""Rows for a pod that has a node and does not start there: volumes, sandbox, image, configuration, and refusals of the kubelet."""

from __future__ import annotations

import re
import shlex

from runner.contract.records import JsonObject
from runner.host.diagnosis.observed import Observed
from runner.host.diagnosis.problem import MessageRow, Problem, quoted
from runner.host.diagnosis.scheduling import PROFILES
from runner.host.objects.names import name_of
from runner.host.objects.pods import container_of, states


def refused_by_kubelet(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a pod that the kubelet of its node refused before any container ran."""
    pod = observed.pod or {}
    status = pod.get("status", {})
    reason, message = status.get("reason") or "", status.get("message", "")
    if status.get("phase") != "Failed" or not reason:
        return None
    node = pod.get("spec", {}).get("nodeName", "its node")
    short = re.match(r"OutOf(.+)", reason)
    fix = {
        "UnexpectedAdmissionError": "Restart the device plugin on that node if `kubectl describe node` still shows the devices;"
        " then submit with --rerun.",
        "TopologyAffinityError": "Set the kubelet's topologyManagerPolicy to best-effort or restricted there: single-numa-node"
        " cannot hold devices of two sockets.",
        "SMTAlignmentError": f"Make `cpu` of the profile in {PROFILES} a multiple of the threads per core and render again.",
    }.get(reason)
    if fix is None and short:
        fix = "Something else took it in the same moment: submit with --rerun."
    if fix is None:
        return None
    return Problem(
        "kubelet-refused",
        f"The kubelet of {node} refused the pod ({reason}): {quoted(message)}. Nothing was measured.",
        fix,
    )


def mount(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a volume that cannot be attached or mounted, while no container of the pod has run."""
    pod = observed.pod
    if pod is None or not _before_start(pod):
        return None
    for event in observed.events_of("FailedAttachVolume", "FailedMount", about=name_of(pod)):
        message = event.get("message", "")
        volume = re.search(r'volume "([^"]+)"', message)
        shown = _shown(observed, pod, volume.group(1) if volume else "")
        if "Multi-Attach" in message:
            holder = re.search(r"used by pod\(s\) (\S+)", message)
            by = f"by the pod {holder.group(1)}" if holder else "on another node"
            return Problem(
                "volume-held",
                f"{shown} can be attached to one node at a time and is still in use {by}.",
                "Wait until that pod has ended, delete it, or use a storage class that offers ReadWriteMany.",
                "volume",
            )
        missing = re.search(r'(configmap|secret) "([^"]+)" not found', message)
        if missing:
            return Problem(
                "configuration-missing",
                f"The {missing.group(1)} {missing.group(2)}, which the pod mounts, does not exist in {observed.namespace}.",
                "Create it: `kubectl apply -f` the file of the manifests that holds it.",
                "volume",
            )
        return Problem(
            "volume-mount",
            f"{shown} cannot be mounted: {quoted(message)}.",
            f"Look: `{observed.kubectl} describe pod {name_of(pod)}`.",
            "volume",
        )
    return None


def _shown(observed: Observed, pod: JsonObject, name: str) -> str:
    """Return how a sentence names a volume: by its claim, where there is a claim.

    ``name`` is what an event calls the volume: the name in the spec of the pod, or the name of the PersistentVolume.
    """
    for volume in pod.get("spec", {}).get("volumes") or []:
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
        bound = observed.claims.get(claim, {}).get("spec", {}).get("volumeName")
        if claim and name in (volume.get("name"), bound):
            return f"The claim {claim}"
    return f"The volume {name}" if name else "A volume"


def sandbox(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a pod whose sandbox cannot be made, by the runtime or the network of its node."""
    pod = observed.pod
    if pod is None or not _before_start(pod):
        return None
    for event in observed.events_of("FailedCreatePodSandBox", about=name_of(pod)):
        message = event.get("message", "")
        runtime = re.search(r'no runtime for "([^"]+)"|handler "?([\w-]+)"?|RuntimeClass "?([\w-]+)"?', message)
        if runtime:
            name = next(filter(None, runtime.groups()))
            return Problem(
                "runtime-missing",
                f"The container runtime {name} is not installed on {pod.get('spec', {}).get('nodeName')}.",
                "Install it there, or render without `--runtime-class` where it is the default one.",
                "creating",
            )
        return Problem(
            "sandbox",
            f"The sandbox of the pod {name_of(pod)} cannot be made: {quoted(message)}.",
            "Look at the node's network plugin and container runtime; the kubelet goes on trying.",
            "creating",
        )
    return None


def image(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of an image that cannot be pulled."""
    pod = observed.pod or {}
    for container, state, _ in states(pod, "waiting"):
        if state.get("reason") not in _IMAGE_REASONS:
            continue
        reference = container_of(pod, container).get("image", "")
        message = state.get("message", "")
        if state["reason"] == "ImagePullBackOff" and "ErrImagePull" not in message:
            failures = [event.get("message", "") for event in observed.events_of("Failed", about=name_of(pod))]
            message = next((failure for failure in failures if reference in failure), message)
        if state["reason"] == "InvalidImageName":
            return Problem(
                "image-name",
                f"{quoted(reference)} is no name of an image.",
                "Render with another `--registry` or `--image`.",
            )
        if state["reason"] == "ErrImageNeverPull":
            return Problem(
                "image-absent",
                f"The image {quoted(reference)} is not on {pod.get('spec', {}).get('nodeName')}, and its pull policy is Never.",
                "Load it there, or render with a `--registry` that the node reaches.",
                "image",
            )
        for row in _PULLS:
            if re.search(row.pattern, message, re.IGNORECASE):
                return row.problem({"image": quoted(reference)}, "image")
        return Problem(
            "image-pull",
            f"The image {quoted(reference)} cannot be pulled: {quoted(message)}.",
            f"Look: `{observed.kubectl} describe pod {name_of(pod)}`.",
            "image",
        )
    return None


_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")

# The first match wins: many messages of registries hold the words "not found".
_PULLS = (
    MessageRow(
        "image-rate",
        r"429|toomanyrequests|rate limit",
        "The registry of {image} limits how often it may be asked.",
        "Wait, mirror the image and render with `--registry`, or give the ServiceAccount bench-run an imagePullSecret.",
    ),
    MessageRow(
        "image-architecture",
        r"no match(ing manifest)? for platform",
        "The image {image} is not built for the processor of this node.",
        "Render with `--node-selector kubernetes.io/arch=amd64`, or build the image for this one.",
    ),
    MessageRow(
        "image-auth",
        r"unauthorized|authorization failed|access denied|forbidden|401|403|no basic auth",
        "The registry gives the image {image} to nobody without credentials, or it does not exist there.",
        "Give the ServiceAccount bench-run an imagePullSecret, or check the name.",
    ),
    MessageRow(
        "image-not-found",
        r"not found|manifest unknown|does not exist",
        "The image {image} does not exist at its registry: that digest was never pushed there, or deleted.",
        "Push it, or render with the `--registry` that has it.",
    ),
    MessageRow(
        "image-network",
        r"no such host|i/o timeout|connection (refused|reset)|dial tcp|handshake timeout|x509|deadline exceeded|EOF",
        "The node cannot reach the registry of the image {image}.",
        "Open the way, or mirror the image into the cluster's own registry and render with `--registry`.",
    ),
)


def configuration(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a container that cannot be created or started: its configuration, its image or its command."""
    pod = observed.pod or {}
    waiting = [(name, state) for name, state, _ in states(pod, "waiting") if state.get("reason") in _CREATE_REASONS]
    started = [
        (name, state)
        for name, state, _ in states(pod, "terminated")
        if state.get("reason") in ("StartError", "ContainerCannotRun")
    ]
    for container, state in waiting + started:
        message = state.get("message", "")
        for pattern, problem in _CREATES:
            match = re.search(pattern, message)
            if match:
                return problem(observed, container, match)
        return Problem(
            "container-create",
            f"The container {container} cannot be created ({state.get('reason')}): {quoted(message)}.",
            f"Look: `{observed.kubectl} describe pod {name_of(pod)}`.",
            "creating",
        )
    return None


_CREATE_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError")


def _missing(observed: Observed, container: str, match: re.Match[str]) -> Problem:
    return Problem(
        "configuration-missing",
        f"The {match.group(1).lower()} {match.group(2)}, which the container {container} needs, does not exist in {observed.namespace}.",
        "Create it: `kubectl apply -f` the file of the manifests that holds it.",
        "creating",
    )


def _key(observed: Observed, container: str, match: re.Match[str]) -> Problem:
    kind, name = match.group(2).lower(), match.group(3).split("/")[-1]
    return Problem(
        "configuration-missing",
        f"The {kind} {name} has no key {match.group(1)}, which the container {container} needs.",
        f"Look: `{observed.kubectl} get {kind} {shlex.quote(name)} -o yaml`; apply the manifests of this version.",
        "creating",
    )


def _root(observed: Observed, container: str, match: re.Match[str]) -> Problem:
    return Problem(
        "image-root",
        f"The image of the container {container} runs as root, and the pod forbids it.",
        "Use the kit's image, or render with `--platform-ids`.",
        "creating",
    )


def _architecture(observed: Observed, container: str, match: re.Match[str] | None) -> Problem:
    return Problem(
        "architecture",
        f"The image of the container {container} is built for another processor than that of the node (exec format error).",
        "Render with `--node-selector kubernetes.io/arch=amd64`, or build the image for this one.",
    )


def _entrypoint(observed: Observed, container: str, match: re.Match[str]) -> Problem:
    return Problem(
        "entrypoint",
        f"The image of the container {container} has no {match.group(1) or 'command'} to start.",
        "Check that the image is the kit's own and its digest that of versions.lock.",
    )


_CREATES = (
    (r"couldn't find key ([\w.-]+) in (ConfigMap|Secret) (\S+)", _key),
    (r'(configmap|secret) "([^"]+)" not found', _missing),
    (r"image will run as root|cannot verify user is non-root", _root),
    (r"exec format error", _architecture),
    (r'exec: "([^"]+)": (?:executable file not found|stat|no such file)|no command specified', _entrypoint),
)


def format_error(observed: Observed) -> Problem | None:
    """Return the ``Problem`` of a container that ended at once, because its program is built for another processor."""
    for container, _, _ in states(observed.pod or {}, "terminated"):
        if any("exec format error" in line for line in observed.log):
            return _architecture(observed, container, None)
    return None


def _before_start(pod: JsonObject) -> bool:
    return pod.get("status", {}).get("phase") == "Pending" and not any(states(pod, "running"))


ROWS = (refused_by_kubelet, format_error, image, configuration, mount, sandbox)
