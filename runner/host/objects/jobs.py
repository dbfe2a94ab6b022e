"""Read rendered manifests, and make of them what is submitted: names, deadlines, and the Job that takes results off a volume."""

import copy
import os
import re
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from runner.contract import files, strictjson
from runner.contract.errors import InputError, UsageError
from runner.contract.text import printable
from runner.host.objects import kinds
from runner.host.readers import kubeyaml

COMPONENT = "app.kubernetes.io/component"
KIT = {"app.kubernetes.io/name": "bloomz-bench"}
SELECTOR = ",".join(f"{key}={value}" for key, value in KIT.items())
QUEUE = "kueue.x-k8s.io/queue-name"
SHA256, DEADLINE, IMAGE_PROBLEM = (
    f"bloomz-bench.dev/{name}" for name in ("spec-sha256", "deadline-seconds", "image-problem")
)
REQUEST = "bloomz-bench.dev/run-id"  # a label: the request's id, which names the folder of its results
RUNS = kinds.RUNS
MAX_NAME = 45  # leaves room for what is put after it, "-launcher" or a pod's own letters, within 63 characters
RESULTS = "/results"
WAIT_FOR_WEIGHTS_S = 60


@dataclass(frozen=True)
class Manifest:
    """One object of a manifest file."""

    thing: dict
    file: Path

    @property
    def kind(self):
        return self.thing["kind"]

    @property
    def name(self):
        return self.thing["metadata"]["name"]

    @property
    def component(self):
        return component(self.thing)


def queue(thing):
    """Return the name of the queue that a run waits in, None where it waits in none."""
    return (thing["metadata"].get("labels") or {}).get(QUEUE)


def component(thing):
    return (thing["metadata"].get("labels") or {}).get(COMPONENT)


def read(places):
    """Return the objects of manifest files, or of the YAML and JSON files of folders, in the order in which kubectl takes them.

    Folders are not searched deeper, as with ``kubectl apply -f``. Raises ``InputError`` for what is no manifest.
    """
    return [
        Manifest(thing, file) for place in map(Path, places) for file in _files(place) for thing in _documents(file)
    ]


def _files(place: Path) -> list[Path]:
    if not os.path.lexists(place):
        render = shlex.join(["python", "-m", "runner", "render", "--out", str(place)])
        raise InputError(f"{place} does not exist. Render it: `{render}`.")
    if not place.is_dir():
        return [place]
    try:
        return sorted(one for one in place.iterdir() if one.suffix in (".yaml", ".yml", ".json"))
    except OSError as problem:
        raise InputError(f"{place} cannot be read: {files.reason(problem)}. Check the path.") from None


def _documents(file: Path) -> list[dict[str, Any]]:
    raw = files.read_bytes(file, kubeyaml.MAX_BYTES, InputError, "Render it again.")
    try:
        found = []
        for document in kubeyaml.documents(raw):
            listed = isinstance(document, dict) and document.get("kind") == "List"
            items = document.get("items", []) if listed else [document]
            if not isinstance(items, list):
                raise kinds.Malformed("its items are no list")
            found += items
        things = [one for one in found if not _is_nothing(one)]
        for thing in things:
            kinds.check_manifest(thing)
    except (kubeyaml.NotKubernetes, kinds.Malformed) as problem:
        raise InputError(f"{file} is no manifest: {problem}. Render it again.") from None
    return things


def _is_nothing(document: Any) -> bool:
    """Return whether a document is empty, or for kustomize alone."""
    return document is None or (isinstance(document, dict) and document.get("kind") == "Kustomization")


def of_component(manifests, name, only=None):
    """Return the runs of one component: ``bench`` or ``prefetch``; ``only`` are names, or parts of names, to take."""
    found = [one for one in manifests if one.kind in RUNS and one.component == name]
    for part in only or ():
        if not any(part in one.name for one in found):
            raise UsageError(f"No Job of the manifests has {part} in its name: {', '.join(one.name for one in found)}.")
    return [one for one in found if not only or any(part in one.name for part in only)]


def pods(thing):
    """Return (pod spec, number of such pods) of a Job, MPIJob or JobSet, the pod that prints results first."""
    return [(one["template"]["spec"], one.get(number, 1)) for one, number in _replicas(thing)]


def templates(thing):
    """Return the pod templates of a run, that of the pod that prints results first."""
    return [one["template"] for one, _ in _replicas(thing)]


def _replicas(thing):
    """Return (what holds a pod template, the key of the number of such pods) of a run, that of the pod that prints results first."""
    if thing["kind"] == "MPIJob":
        replicas = [thing["spec"]["mpiReplicaSpecs"].get(role) for role in ("Launcher", "Worker")]
        return [(one, "replicas") for one in replicas if one]
    return [(one, "parallelism") for one in _job_specs(thing)]


def pod_specs(thing):
    """Return the pod specs of a Job, MPIJob or JobSet, the one that prints results first."""
    return [spec for spec, _ in pods(thing)]


def _job_specs(thing):
    """Return the spec of a Job, or those of a JobSet's Jobs."""
    spec = thing["spec"]
    return [one["template"]["spec"] for one in spec["replicatedJobs"]] if thing["kind"] == "JobSet" else [spec]


def needs(thing):
    """Return the (kind, name) of everything in the namespace that the pods of a run name."""
    found = set()
    for spec in pod_specs(thing):
        if spec.get("serviceAccountName"):
            found.add(("ServiceAccount", spec["serviceAccountName"]))
        for volume in spec.get("volumes") or []:
            if "persistentVolumeClaim" in volume:
                found.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
            if "configMap" in volume and not volume["configMap"].get("optional"):
                found.add(("ConfigMap", volume["configMap"]["name"]))
    return sorted(found)


def made_for(thing):
    """Return the names of the Jobs that its operator makes for an MPIJob or JobSet."""
    name = thing["metadata"]["name"]
    if thing["kind"] == "MPIJob":
        return [f"{name}-launcher"]
    return [f"{name}-{one['name']}-0" for one in thing["spec"].get("replicatedJobs") or []]


def shared_claims(thing):
    """Return the names of the claims that more than one pod of a run mounts: its pods are on nodes of their own."""
    mounted: dict = {}
    for spec, number in pods(thing):
        for volume in spec.get("volumes") or []:
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                mounted[claim] = mounted.get(claim, 0) + number
    return sorted(claim for claim, number in mounted.items() if number > 1)


def to_submit(thing, deadline_s=None, alone=True):
    """Return a run as it is submitted: its digest, a name that no other content has, and its own deadline.

    Rendered Jobs are patient, since they may wait for each other and for the weights. One that is submitted ``alone``, after the
    weights and after the others, gets its own deadline (the one given, or that of the annotation
    ``bloomz-bench.dev/deadline-seconds``), and waits no longer than a minute for weights, which holds the devices. The digest is of
    what was rendered: a run is the same one however long it may take.
    """
    made = anywhere(thing)
    metadata = made["metadata"]
    annotations = metadata["annotations"] = metadata.get("annotations") or {}
    labels = metadata["labels"] = metadata.get("labels") or {}
    _check_labels(made)
    annotations[SHA256] = strictjson.sha256_of(made["spec"])
    if deadline_s is None and alone:
        deadline_s = annotations.get(DEADLINE)
        if deadline_s is not None and not re.fullmatch("[0-9]{1,9}", deadline_s):
            raise InputError(
                f"{DEADLINE} of {metadata['name']} is {printable(deadline_s, 60)!r}, no number of seconds. Render again."
            )
    if deadline_s is not None:  # a JobSet has none of its own: its Jobs have
        of_operator = made["kind"] == "MPIJob"
        for limited in [made["spec"].setdefault("runPolicy", {})] if of_operator else _job_specs(made):
            limited["activeDeadlineSeconds"] = int(deadline_s)
    for spec in pod_specs(made) if alone else ():
        for container in spec.get("initContainers") or []:
            _wait_less(container.get("command") or [])
            _wait_less(container.get("args") or [])
    labels["app.kubernetes.io/managed-by"] = "bloomz-bench"
    metadata["name"] = f"{metadata['name']}-{annotations[SHA256][:6]}"
    if len(metadata["name"]) > MAX_NAME + 11:
        raise InputError(f"The name {metadata['name']} is too long for the pods of a run. Shorten it and render again.")
    return made


def _check_labels(made):
    """Refuse a run that lost, as by kustomize, the labels by which its objects are found: it would seem to be gone."""
    for metadata in (made["metadata"], *(template.get("metadata", {}) for template in templates(made))):
        labels = metadata.get("labels") or {}
        lost = [f"{key}={value}" for key, value in KIT.items() if labels.get(key) != value]
        if lost:
            raise InputError(
                f"{made['kind']} {made['metadata']['name']}, or its pods, lost the label {lost[0]}, by which they are found. Leave the"
                " kit's own labels as they are rendered."
            )


def anywhere(thing):
    """Return a copy of an object without its namespace: the client's own decides."""
    made = copy.deepcopy(thing)
    made["metadata"].pop("namespace", None)
    return made


def _wait_less(command):
    if "--wait-s" in command:
        command[command.index("--wait-s") + 1] = str(WAIT_FOR_WEIGHTS_S)


def _claim(spec: dict[str, Any], mount: dict[str, Any]) -> dict[str, Any] | None:
    """Return a copy of the volume that a container mounts, None where no claim is behind it."""
    mounted = [one for one in spec.get("volumes", []) if one["name"] == mount["name"]]
    return copy.deepcopy(mounted[0]) if mounted and "persistentVolumeClaim" in mounted[0] else None


def to_collect(thing, since=None):
    """Return the Job that prints, as frames, the results that lie on the volume of a run; None if it has none.

    It is made of the run itself: same image, user, node selector and tolerations, without devices and without anything that the
    run changes; the volume is mounted read-only. ``since`` leaves out attempts that began before (``YYYYMMDDTHHMMSSZ``).
    """
    spec = pod_specs(thing)[0]
    container = next((one for one in spec["containers"] if _mount(one, RESULTS)), None)
    volume = None if container is None else _claim(spec, _mount(container, RESULTS))
    if container is None or volume is None:
        return None
    volume["persistentVolumeClaim"]["readOnly"] = True
    small = {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "128Mi"}
    pod = {key: copy.deepcopy(spec[key]) for key in _KEPT_OF_POD if key in spec}
    affinity = (spec.get("affinity") or {}).get("nodeAffinity")
    pod |= {
        **({"affinity": {"nodeAffinity": copy.deepcopy(affinity)}} if affinity else {}),
        "restartPolicy": "Never",
        "volumes": [volume, {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        "containers": [
            {
                **{
                    key: copy.deepcopy(container[key])
                    for key in ("image", "imagePullPolicy", "securityContext")
                    if key in container
                },
                "name": "collect",
                **_frames_command(container, thing, since),
                "env": [{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "bench"}],  # noqa: S108
                "resources": {"requests": small, "limits": small},
                "volumeMounts": [
                    {"name": volume["name"], "mountPath": RESULTS, "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                ],
                "terminationMessagePolicy": "FallbackToLogsOnError",
            }
        ],
    }
    labels = {
        key: value
        for key, value in thing["metadata"].get("labels", {}).items()
        if key.startswith(("app.kubernetes.io/", "sidecar.istio.io/", QUEUE))
    }
    labels |= {COMPONENT: "collect", **KIT}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{thing['metadata']['name']}-collect", "labels": labels},
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": 1800,
            "ttlSecondsAfterFinished": 3600,
            "template": {
                "metadata": {"labels": {key: value for key, value in labels.items() if key != QUEUE}},
                "spec": pod,
            },
        },
    }


_KEPT_OF_POD = (
    *("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "securityContext", "nodeSelector"),
    *("tolerations", "imagePullSecrets", "priorityClassName"),
)


def _mount(container, path):
    return next((one for one in container.get("volumeMounts") or [] if one["mountPath"] == path), None)


def _frames_command(container, thing, since):
    """Return the container's own command with ``bench`` and what follows it replaced by ``frames``.

    The first of several pods runs it at the end of a shell line, whose other commands are for the other pods.
    """
    request = thing["metadata"].get("labels", {}).get(REQUEST)
    place = f"{RESULTS}/{request}" if request else RESULTS
    arguments = ["frames", place, *(["--since", since] if since else [])]
    command, given = list(container.get("command") or []), list(container.get("args") or [])
    if command[1:2] == ["-c"]:
        words = _words(command[2:3])
        command = words[words.index("exec") + 1 :] if "exec" in words else words
    if "bench" in command:
        return {"command": [*command[: command.index("bench")], *arguments]}
    before = given[: given.index("bench")] if "bench" in given else []
    return {**({"command": command} if command else {}), "args": [*before, *arguments]}


def _words(line: list[str]) -> list[str]:
    """Return the words of a shell line, none of one that a shell would refuse."""
    try:
        return shlex.split("".join(line))
    except ValueError:
        return []


def since(created, started=None):
    """Return the earliest name that an attempt of a Job can have: that of the moment when its container ``started``, which the
    same clock tells; where that is not known, the Job was ``created`` by the API server's, and its node's may be some minutes behind.
    None where they tell no time."""
    try:
        time = _time(started) if started else _time(created) - timedelta(minutes=10)
    except (OverflowError, ValueError):
        return None
    return f"{time:%Y%m%dT%H%M%SZ}"


def _time(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
