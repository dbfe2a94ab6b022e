"""Rules that a schema cannot say: what an API server would refuse, or leave waiting for ever. K8S is Kubernetes 1.36, pkg/apis."""

import re

from runner.host.objects import names
from runner.host.objects.walk import containers, jobs, metadata, pods, quantity, title

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123
LABEL_1035 = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
MAX_ANNOTATIONS_BYTES = 256 * 1024


def names_are_valid(objects):
    """K8S core/validation ValidateObjectMeta; a Job's name is part of its pods' label and host name, mpi-operator wants RFC 1035."""
    for thing in objects:
        name, kind = thing["metadata"]["name"], thing["kind"]
        if kind in ("Job", "MPIJob", "JobSet"):
            if not LABEL_1035.fullmatch(name) or len(name) > names.MAX_NAME:
                yield f"{title(thing)} must be a label of at most {names.MAX_NAME} characters that starts with a letter"
        elif not SUBDOMAIN.fullmatch(name) or (kind in ("Namespace", "Service") and not LABEL.fullmatch(name)):
            yield f"{title(thing)} is no valid name"
        if not LABEL.fullmatch(thing["metadata"].get("namespace", "default")):
            yield f"{title(thing)} is in {thing['metadata']['namespace']}, which is no valid name"
    for where, _, container in containers(objects):
        if not LABEL.fullmatch(container["name"]):
            yield f"{where} is no valid name"


def objects_are_named_once(objects):
    """What is applied twice under one name is applied once."""
    seen = set()
    for thing in objects:
        key = (thing["apiVersion"], thing["kind"], thing["metadata"].get("namespace"), thing["metadata"]["name"])
        if key in seen:
            yield f"{title(thing)} stands twice"
        seen.add(key)


def labels_are_valid(objects):
    """K8S apimachinery ValidateLabels, ValidateAnnotations."""
    for where, told in metadata(objects):
        for key, value in told.get("labels", {}).items():
            if not LABEL_KEY.fullmatch(key) or not isinstance(value, str) or not LABEL_VALUE.fullmatch(value):
                yield f"{where}: the label {key}={value} is not valid"
        annotations = told.get("annotations", {})
        if any(not LABEL_KEY.fullmatch(key) or not isinstance(value, str) for key, value in annotations.items()):
            yield f"{where}: an annotation is not valid"
        if sum(len(key) + len(str(value)) for key, value in annotations.items()) > MAX_ANNOTATIONS_BYTES:
            yield f"{where}: the annotations are too large"


def jobs_are_valid(objects):
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


def resources_are_whole(objects):
    """K8S core/validation: hugepages a multiple of their size, beside cpu or memory; extended resources whole. Whole cores are pinned."""
    for where, _, container in containers(objects):
        for kind, value in container.get("resources", {}).get("limits", {}).items():
            if kind.startswith("hugepages-") and quantity(value) % quantity(kind[len("hugepages-") :]):
                yield f"{where}: {kind} of {value} is no multiple of the page"
            if ("/" in kind or kind == "cpu") and not str(value).isdigit():
                yield f"{where}: {kind} must be a whole number, not {value}"


def volumes_fit_together(objects):
    """K8S core/validation validateVolumeMounts; a claim, map or account that is not there leaves the pod waiting."""
    there = {(thing["kind"], thing["metadata"]["name"]) for thing in objects}
    for where, template in pods(objects):
        spec = template["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        used = set()
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            places = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
            used |= {mount["name"] for mount in container.get("volumeMounts", ())}
            if len(places) != len(set(places)):
                yield f"{where}: two mounts at one path"
        for name in sorted(used ^ set(volumes)):
            yield f"{where}: the volume {name} is {'not there' if name in used else 'not mounted'}"
        for name, volume in volumes.items():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            source = volume.get("configMap", {}).get("name")
            if claim is not None and ("PersistentVolumeClaim", claim) not in there:
                yield f"{where}: the claim {claim} of volume {name} is not there"
            if source is not None and ("ConfigMap", source) not in there:
                yield f"{where}: the ConfigMap {source} of volume {name} is not there"
        if ("ServiceAccount", spec.get("serviceAccountName")) not in there:
            yield f"{where}: the account {spec.get('serviceAccountName')} is not there"


def scratch_fits(objects):
    """The kubelet evicts a pod whose emptyDirs outgrow its limits, and counts those in memory as memory."""
    for where, template in pods(objects):
        limits = template["spec"]["containers"][0].get("resources", {}).get("limits", {})
        for volume in template["spec"].get("volumes", ()):
            if "emptyDir" in volume:
                room = "memory" if volume["emptyDir"].get("medium") == "Memory" else "ephemeral-storage"
                size = volume["emptyDir"].get("sizeLimit")
                if size is None:
                    yield f"{where}: the emptyDir {volume['name']} has no sizeLimit"
                elif room in limits and quantity(size) >= quantity(limits[room]):
                    yield f"{where}: the emptyDir {volume['name']} of {size} fills the {room} of {limits[room]}"


def selectors_find_their_pods(objects):
    """A selector that no pod here has does nothing, silently."""
    labels = [template["metadata"]["labels"] for _, template in pods(objects)]

    def found(selector):
        return any(selector.get("matchLabels", {}).items() <= given.items() for given in labels)

    for thing in objects:
        if thing["kind"] == "NetworkPolicy" and not found(thing["spec"]["podSelector"]):
            yield f"{title(thing)} selects no pod"
        if thing["kind"] == "Job":
            missing = thing["spec"]["template"]["metadata"]["labels"].items() - thing["metadata"]["labels"].items()
            yield from (f"{title(thing)} lacks its pods' label {key}" for key, _ in sorted(missing))
    for where, template in pods(objects):
        rules = template["spec"].get("affinity", {}).get("podAntiAffinity", {})
        for rule in rules.get("requiredDuringSchedulingIgnoredDuringExecution", ()):
            if not found(rule["labelSelector"]):
                yield f"{where}: the anti-affinity is to no pod"


def one_namespace(objects):
    """All objects are in one namespace, each says so; a Namespace among them is that one."""
    spaces = {thing["metadata"].get("namespace") for thing in objects if thing["kind"] != "Namespace"}
    spaces |= {thing["metadata"]["name"] for thing in objects if thing["kind"] == "Namespace"}
    if len(spaces) != 1 or None in spaces:
        yield f"the objects are in {', '.join(sorted(map(str, spaces)))}"


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
