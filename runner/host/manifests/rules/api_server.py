"""Rules of the API server that a schema cannot say: objects that it would refuse, or pods that would wait for ever.

K8S is Kubernetes 1.36, pkg/apis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from runner.contract.records import JsonObject
from runner.host.objects import names
from runner.host.objects.kinds import RUNS
from runner.host.objects.quantities import is_extended, quantity
from runner.host.objects.walk import CLAIM, config_maps, containers, containers_of, jobs, metadata, pods, title

# RFC 1123.
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# RFC 1035.
LABEL_1035 = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
MAX_ANNOTATIONS_BYTES = 256 * 1024


def names_are_valid(objects: Sequence[JsonObject]) -> Iterator[str]:
    """K8S core/validation ValidateObjectMeta; a Job's name is part of its pods' label and host name, mpi-operator wants RFC 1035."""
    for manifest in objects:
        name, kind = manifest["metadata"]["name"], manifest["kind"]
        if kind in RUNS:
            if not LABEL_1035.fullmatch(name) or len(name) > names.MAX_NAME:
                yield f"{title(manifest)} must be a label of at most {names.MAX_NAME} characters that starts with a letter"
        elif not SUBDOMAIN.fullmatch(name) or (kind in ("Namespace", "Service") and not LABEL.fullmatch(name)):
            yield f"{title(manifest)} is no valid name"
        if not LABEL.fullmatch(manifest["metadata"].get("namespace", "default")):
            yield f"{title(manifest)} is in {manifest['metadata']['namespace']}, which is no valid name"
    for where, _, container in containers(objects):
        if not LABEL.fullmatch(container["name"]):
            yield f"{where} is no valid name"


def objects_are_named_once(objects: Sequence[JsonObject]) -> Iterator[str]:
    """Of two objects with one kind and name, `kubectl apply` would keep the last."""
    seen = set()
    for manifest in objects:
        key = (
            manifest["apiVersion"],
            manifest["kind"],
            manifest["metadata"].get("namespace"),
            manifest["metadata"]["name"],
        )
        if key in seen:
            yield f"{title(manifest)} stands twice"
        seen.add(key)


def labels_are_valid(objects: Sequence[JsonObject]) -> Iterator[str]:
    """K8S apimachinery ValidateLabels, ValidateAnnotations."""
    for where, holder in metadata(objects):
        for key, value in holder.get("labels", {}).items():
            if not LABEL_KEY.fullmatch(key) or not isinstance(value, str) or not LABEL_VALUE.fullmatch(value):
                yield f"{where}: the label {key}={value} is not valid"
        annotations = holder.get("annotations", {})
        if any(not LABEL_KEY.fullmatch(key) or not isinstance(value, str) for key, value in annotations.items()):
            yield f"{where}: an annotation is not valid"
        if sum(len(key) + len(str(value)) for key, value in annotations.items()) > MAX_ANNOTATIONS_BYTES:
            yield f"{where}: the annotations are too large"


def jobs_are_valid(objects: Sequence[JsonObject]) -> Iterator[str]:
    """K8S batch/validation: a podFailurePolicy needs restartPolicy Never and podReplacementPolicy Failed, sorted codes, no 0 in In."""
    for where, spec in jobs(objects):
        policy = spec.get("podFailurePolicy", {}).get("rules", [])
        if policy and spec["template"]["spec"].get("restartPolicy") != "Never":
            yield f"{where}: a podFailurePolicy needs restartPolicy Never"
        if policy and spec.get("podReplacementPolicy") != "Failed":
            yield f"{where}: a podFailurePolicy needs podReplacementPolicy Failed"
        for rule in policy:
            codes = rule.get("onExitCodes", {})
            values = codes.get("values", [])
            if values != sorted(set(values)) or (codes.get("operator") == "In" and 0 in values):
                yield f"{where}: exit codes must be sorted, each once, and never 0 in In"


def resources_are_whole(objects: Sequence[JsonObject]) -> Iterator[str]:
    """K8S core/validation: hugepages a multiple of their size, beside cpu or memory; extended resources whole.

    Whole cores are pinned; what only fetches needs none of its own.
    """
    for where, template in pods(objects):
        pinned = ("cpu",) if names.component_of(template) not in names.FETCHING else ()
        for container in containers_of(template["spec"]):
            shown = f"{where}, container {container['name']}"
            for kind, value in container.get("resources", {}).get("limits", {}).items():
                page = quantity(kind.removeprefix("hugepages-"))
                if kind.startswith("hugepages-") and (not page or quantity(value) % page):
                    yield f"{shown}: {kind} of {value} is no multiple of the page"
                if (is_extended(kind) or kind in pinned) and not str(value).isdigit():
                    yield f"{shown}: {kind} must be a whole number, not {value}"


def volumes_fit_together(objects: Sequence[JsonObject]) -> Iterator[str]:
    """K8S core/validation validateVolumeMounts. A pod waits for ever for a claim, ConfigMap or account that does not exist."""
    applied = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in objects}
    for where, template in pods(objects):
        spec = template["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        used = set()
        for container in containers_of(spec):
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
            used |= {mount["name"] for mount in container.get("volumeMounts", ())}
            if len(paths) != len(set(paths)):
                yield f"{where}: two mounts at one path"
        for name in sorted(used ^ set(volumes)):
            yield f"{where}: the volume {name} is {'not there' if name in used else 'not mounted'}"
        for name, volume in volumes.items():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and (CLAIM, claim) not in applied:
                yield f"{where}: the claim {claim} of volume {name} is not there"
            for source in config_maps(volume):
                if ("ConfigMap", source) not in applied:
                    yield f"{where}: the ConfigMap {source} of volume {name} is not there"
        if ("ServiceAccount", spec.get("serviceAccountName")) not in applied:
            yield f"{where}: the account {spec.get('serviceAccountName')} is not there"


def scratch_fits(objects: Sequence[JsonObject]) -> Iterator[str]:
    """The kubelet evicts a pod whose emptyDirs are together larger than its limits; it counts an emptyDir in memory as memory."""
    for where, template in pods(objects):
        limits = template["spec"]["containers"][0].get("resources", {}).get("limits", {})
        left = {room: quantity(limits[room]) for room in ("memory", "ephemeral-storage") if room in limits}
        for volume in template["spec"].get("volumes", ()):
            if "emptyDir" in volume:
                room = "memory" if volume["emptyDir"].get("medium") == "Memory" else "ephemeral-storage"
                size = volume["emptyDir"].get("sizeLimit")
                if size is None:
                    yield f"{where}: the emptyDir {volume['name']} has no sizeLimit"
                elif room in left:
                    left[room] -= quantity(size)
                    if left[room] <= 0:
                        yield f"{where}: the emptyDir {volume['name']} of {size} fills the {room} of {limits[room]}"


def selectors_find_their_pods(objects: Sequence[JsonObject]) -> Iterator[str]:
    """A selector that matches no pod has no effect, and nothing says so."""
    labels = [template["metadata"]["labels"] for _, template in pods(objects)]

    def matches(selector: JsonObject) -> bool:
        return any(selector.get("matchLabels", {}).items() <= of_pod.items() for of_pod in labels)

    for manifest in objects:
        if manifest["kind"] == "NetworkPolicy" and not matches(manifest["spec"]["podSelector"]):
            yield f"{title(manifest)} selects no pod"
        if manifest["kind"] == "Job":
            missing = (
                manifest["spec"]["template"]["metadata"]["labels"].items() - manifest["metadata"]["labels"].items()
            )
            yield from (f"{title(manifest)} lacks its pods' label {key}" for key, _ in sorted(missing))
    for where, template in pods(objects):
        rules = template["spec"].get("affinity", {}).get("podAntiAffinity", {})
        for rule in rules.get("requiredDuringSchedulingIgnoredDuringExecution", ()):
            if not matches(rule["labelSelector"]):
                yield f"{where}: the anti-affinity is to no pod"


def one_namespace(objects: Sequence[JsonObject]) -> Iterator[str]:
    """All objects name one namespace, and a Namespace among them has its name."""
    namespaces = {manifest["metadata"].get("namespace") for manifest in objects if manifest["kind"] != "Namespace"}
    namespaces |= {manifest["metadata"]["name"] for manifest in objects if manifest["kind"] == "Namespace"}
    if len(namespaces) != 1 or None in namespaces:
        yield f"the objects are in {', '.join(sorted(map(str, namespaces)))}"


RULES = (
    names_are_valid,
    objects_are_named_once,
    labels_are_valid,
    jobs_are_valid,
    resources_are_whole,
    volumes_fit_together,
    scratch_fits,
    selectors_find_their_pods,
    one_namespace,
)
