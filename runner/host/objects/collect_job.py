"""The Job that takes results off the volume of a run: it prints them as frames into its log."""

from __future__ import annotations

import copy
import shlex
from datetime import datetime, timedelta

from runner.contract.records import JsonObject
from runner.host.objects import names, walk
from runner.host.objects.quantities import total

# Where the volume of results is mounted.
RESULTS = "/results"
_DISK = "ephemeral-storage"
_RESOURCES = {"cpu": "100m", "memory": "256Mi", _DISK: "128Mi"}
_COPIED_OF_POD = (
    *("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "securityContext", "nodeSelector"),
    *("tolerations", "imagePullSecrets", "priorityClassName"),
)
_COPIED_OF_CONTAINER = ("image", "imagePullPolicy", "securityContext")
# How far the clock of a node may be behind that of the API server.
_CLOCK_DIFFERENCE = timedelta(minutes=10)


def collect_job(run: JsonObject, since: str | None = None) -> JsonObject | None:
    """Return the Job that prints the results on the volume of a run as frames; None where the run has no such volume.

    The Job has image, user, node selector and tolerations of the run, no devices, and nothing that the run changes. Where init
    containers bring the kit into the pods of the run, they do so in the Job's. The volume is mounted read-only. ``since`` leaves out
    attempts that began before (``YYYYMMDDTHHMMSSZ``).
    """
    spec = walk.pod_specs(run)[0]
    container = next((container for container in spec["containers"] if _mount(container, RESULTS)), None)
    volume = None if container is None else _claimed_volume(spec, _mount(container, RESULTS) or {})
    if container is None or volume is None:
        return None
    labels = {
        key: value
        for key, value in names.labels_of(run).items()
        if key.startswith((names.COMMON_DOMAIN, names.MESH_DOMAIN, names.QUEUE))
    }
    labels |= {names.COMPONENT: names.COLLECT, **names.KIT}
    template = {
        "metadata": {"labels": {key: value for key, value in labels.items() if key != names.QUEUE}},
        "spec": _pod_spec(spec, container, volume, _frames_command(container, names.request_id_of(run), since)),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{run['metadata']['name']}-{names.COLLECT}", "labels": labels},
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": 1800,
            "ttlSecondsAfterFinished": 3600,
            "template": template,
        },
    }


def earliest_attempt(created: str, started: str | None = None) -> str | None:
    """Return the earliest name that an attempt of a run can have; None where the times cannot be read.

    An attempt is named by the clock of its node. ``started`` is when the container started, by the same clock. Where that is not
    known, ``created`` is when the API server created the Job, by another clock: the node's may be some minutes behind.
    """
    try:
        time = _time(started) if started else _time(created) - _CLOCK_DIFFERENCE
    except (OverflowError, ValueError):
        return None
    return f"{time:%Y%m%dT%H%M%SZ}"


def _pod_spec(spec: JsonObject, container: JsonObject, volume: JsonObject, command: JsonObject) -> JsonObject:
    """Return the spec of the pod that prints results, made of the spec of the pod that wrote them."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity")
    preparing = [
        {**copy.deepcopy(part), "resources": {"requests": _RESOURCES, "limits": _RESOURCES}}
        for part in spec.get("initContainers") or []
        if part["name"] in names.PREPARING
    ]
    filled = {mount["name"] for part in preparing for mount in part.get("volumeMounts") or []}
    volumes = [copy.deepcopy(other) for other in spec.get("volumes") or [] if other["name"] in filled]
    mounts = [copy.deepcopy(mount) for mount in container.get("volumeMounts") or [] if mount["name"] in filled]
    sizes = [(other.get("emptyDir") or {}).get("sizeLimit", "0") for other in volumes]
    resources = {**_RESOURCES, _DISK: total(_RESOURCES[_DISK], *map(str, sizes))} if volumes else _RESOURCES
    return {
        **{key: copy.deepcopy(spec[key]) for key in _COPIED_OF_POD if key in spec},
        **({"affinity": {"nodeAffinity": copy.deepcopy(affinity)}} if affinity else {}),
        "restartPolicy": "Never",
        **({"initContainers": preparing} if preparing else {}),
        "volumes": [volume, {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}, *volumes],
        "containers": [
            {
                **{key: copy.deepcopy(container[key]) for key in _COPIED_OF_CONTAINER if key in container},
                "name": names.COLLECT,
                **command,
                "env": [{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "bench"}],  # noqa: S108
                "resources": {"requests": resources, "limits": resources},
                "volumeMounts": [
                    {"name": volume["name"], "mountPath": RESULTS, "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                    *mounts,
                ],
                "terminationMessagePolicy": "FallbackToLogsOnError",
            }
        ],
    }


def _claimed_volume(spec: JsonObject, mount: JsonObject) -> JsonObject | None:
    """Return a read-only copy of the volume that a container mounts, None where no claim is behind the volume."""
    volumes: list[JsonObject] = [volume for volume in spec.get("volumes", []) if volume["name"] == mount["name"]]
    if not volumes or "persistentVolumeClaim" not in volumes[0]:
        return None
    copied = copy.deepcopy(volumes[0])
    copied["persistentVolumeClaim"]["readOnly"] = True
    return copied


def _mount(container: JsonObject, path: str) -> JsonObject | None:
    return next((mount for mount in container.get("volumeMounts") or [] if mount["mountPath"] == path), None)


def _frames_command(container: JsonObject, request_id: str | None, since: str | None) -> JsonObject:
    """Return the container's command (and its arguments) with ``bench`` and all words after it replaced by ``frames``.

    The first of several pods runs ``bench`` at the end of a shell line, whose other commands are for the other pods.
    """
    folder = f"{RESULTS}/{request_id}" if request_id else RESULTS
    frames = ["frames", folder, *(["--since", since] if since else [])]
    command, arguments = list(container.get("command") or []), list(container.get("args") or [])
    if "-c" in command[1:]:
        shell = command.index("-c", 1) - 1
        words = _shell_words(command[shell + 2 : shell + 3])
        command = [*command[:shell], *(words[words.index("exec") + 1 :] if "exec" in words else words)]
    if "bench" in command:
        return {"command": [*command[: command.index("bench")], *frames]}
    before = arguments[: arguments.index("bench")] if "bench" in arguments else []
    return {**({"command": command} if command else {}), "args": [*before, *frames]}


def _shell_words(line: list[str]) -> list[str]:
    """Return the words of a shell line, [] for a line that a shell would refuse."""
    try:
        return shlex.split("".join(line))
    except ValueError:
        return []


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
