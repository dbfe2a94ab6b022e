"""Rules of this kit: a measurement is made once, alone on its node, offline and traceable; accounts have no right without need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from runner.contract import strictjson
from runner.contract.records import JsonObject
from runner.host.objects import names
from runner.host.objects.kinds import RUNS
from runner.host.objects.names import component_of, labels_of
from runner.host.objects.pods import STOPPED
from runner.host.objects.quantities import is_extended
from runner.host.objects.walk import containers, containers_of, jobs, pods, title

DIGEST = re.compile(r"[^@]+@sha256:[0-9a-f]{64}")


def benches_have_one_attempt(objects: Sequence[JsonObject]) -> Iterator[str]:
    """A bench is tried once: a retry would measure a warm cache and not say so.

    A pod that the cluster took away is no failure. Every Job has a deadline, and a time to live after its end.
    """
    for where, spec in jobs(objects):
        policy = spec.get("podFailurePolicy", {}).get("rules", [])
        conditions = [condition for rule in policy for condition in rule.get("onPodConditions", ())]
        if not any(condition["type"] == "DisruptionTarget" for condition in conditions):
            yield f"{where}: a pod that the cluster took away would count as failed"
        component = component_of(spec["template"])
        if component == names.BENCH and spec.get("backoffLimit") != 0:
            yield f"{where}: a bench has one attempt, backoffLimit must be 0"
        if component == names.BENCH and _fails_on_stop(policy):
            yield f"{where}: a bench that was stopped by SIGTERM (130, 143) or killed (137) must not fail the Job by its code"
        if not spec.get("activeDeadlineSeconds") or not spec.get("ttlSecondsAfterFinished"):
            yield f"{where}: activeDeadlineSeconds and ttlSecondsAfterFinished must be set"
    for manifest in objects:
        if manifest["kind"] == "MPIJob":
            policy = manifest["spec"]["runPolicy"]
            if policy.get("cleanPodPolicy") != "Running" or policy.get("backoffLimit") != 0:
                yield f"{title(manifest)}: by default workers keep their devices for ever, and a launcher is started again"
            if any(replica.get("restartPolicy") != "Never" for replica in manifest["spec"]["mpiReplicaSpecs"].values()):
                yield f"{title(manifest)}: by default what failed is started again"
            if not policy.get("activeDeadlineSeconds") or not policy.get("ttlSecondsAfterFinished"):
                yield f"{title(manifest)}: activeDeadlineSeconds and ttlSecondsAfterFinished must be set"
        if manifest["kind"] == "JobSet" and manifest["spec"].get("failurePolicy", {}).get("maxRestarts") != 0:
            yield f"{title(manifest)}: a bench has one attempt, maxRestarts must be 0"


def pods_are_guaranteed(objects: Sequence[JsonObject]) -> Iterator[str]:
    """Kubernetes 1.36 pkg/apis/core/v1/helper/qos: requests equal limits of cpu and memory in every container, init containers too."""
    for where, _, container in containers(objects):
        resources = container.get("resources", {})
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        if requests != limits:
            yield f"{where}: requests differ from limits"
        for kind in ("cpu", "memory", "ephemeral-storage"):
            if kind not in limits:
                yield f"{where}: {kind} is not limited"


def images_are_pinned(objects: Sequence[JsonObject]) -> Iterator[str]:
    """An image is named by digest. The exception is a base whose digest nobody has published: an annotation of its pods names it."""
    tagged = {where: names.tagged_bases(template) for where, template in pods(objects)}
    for where, _, container in containers(objects):
        image = container["image"]
        if not DIGEST.fullmatch(image) and image not in tagged[where.rpartition(", container ")[0]]:
            yield f"{where}: {image} is not named by digest"
        if container.get("imagePullPolicy") != "IfNotPresent":
            yield f"{where}: a pinned image is pulled IfNotPresent, also where no registry is reached"


def content_names_what_cannot_change(objects: Sequence[JsonObject]) -> Iterator[str]:
    """A ConfigMap is immutable and named after its content. A run carries the sha256 of its spec."""
    for manifest in objects:
        if manifest["kind"] == "ConfigMap":
            if not manifest.get("immutable") or not names.is_of_its_content(manifest):
                yield f"{title(manifest)} must be immutable and named after its content"
        elif manifest["kind"] in RUNS:
            digest = manifest["metadata"].get("annotations", {}).get(names.SPEC_SHA256)
            if digest != strictjson.sha256_of(manifest["spec"]):
                yield f"{title(manifest)}: the annotation spec-sha256 is not that of its spec"


def measuring_is_alone_and_offline(objects: Sequence[JsonObject]) -> Iterator[str]:
    """A bench shares its node with no other bench of the kit, and looks nothing up in the hub.

    Where the cluster enforces network policies, only what fetches reaches an address; what fetches holds no device.
    """
    policies = [manifest["spec"] for manifest in objects if manifest["kind"] == "NetworkPolicy"]
    for where, template in pods(objects):
        labels = labels_of(template)
        selecting = [spec for spec in policies if spec["podSelector"]["matchLabels"].items() <= labels.items()]
        if not any({"Ingress", "Egress"} <= set(spec["policyTypes"]) for spec in selecting):
            yield f"{where}: no policy denies what is not allowed"
        if component_of(template) in names.FETCHING:
            held = [kind for part in containers_of(template["spec"]) for kind in _limits(part) if is_extended(kind)]
            yield from (f"{where}: it holds {kind} while it fetches" for kind in held)
            continue
        if any("to" not in rule and not _only_dns(rule) for spec in selecting for rule in spec.get("egress", ())):
            yield f"{where}: a policy lets it out while it measures"
        if component_of(template) != names.BENCH:
            continue
        env = template["spec"]["containers"][0].get("env", ())
        variables = {variable["name"]: variable.get("value") for variable in env}
        if any(variables.get(name) != "1" for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
            yield f"{where}: the variables that keep it offline are not set"
        anti = template["spec"].get("affinity", {}).get("podAntiAffinity", {})
        if not any(
            rule["labelSelector"].get("matchLabels", {}).items() <= labels.items()
            and rule["topologyKey"] == names.HOST_NAME
            for rule in anti.get("requiredDuringSchedulingIgnoredDuringExecution", ())
        ):
            yield f"{where}: another bench may share its node"


def software_is_only_read(objects: Sequence[JsonObject]) -> Iterator[str]:
    """A container that measures, or fetches weights, changes nothing of what the init containers before it have made."""
    for where, template in pods(objects):
        made = {mount["name"] for part in template["spec"].get("initContainers", ()) for mount in _written(part)}
        for container in template["spec"]["containers"]:
            for mount in _written(container):
                if mount["name"] in made - {"tmp"}:
                    yield f"{where}, container {container['name']}: it may change {mount['mountPath']}"


def variables_are_nobody_elses(objects: Sequence[JsonObject]) -> Iterator[str]:
    """Device plugin and container runtime of HabanaAI and NVIDIA set which devices are visible. A secret is a file, never a variable."""
    for where, _, container in containers(objects):
        for variable in container.get("env", ()):
            if re.fullmatch(r"(HABANA|HL|NVIDIA|CUDA)_VISIBLE_.*", variable["name"]):
                yield f"{where}: {variable['name']} is the device plugin's to set"
            if "secretKeyRef" in variable.get("valueFrom", {}) or re.search(
                r"TOKEN$|SECRET|PASSWORD", variable["name"]
            ):
                yield f"{where}: {variable['name']} would hold a secret"


def no_privileged_port(objects: Sequence[JsonObject]) -> Iterator[str]:
    """A port below 1024 needs a capability, and 22 is taken for remote access (kube-linter ssh-port)."""
    for where, _, container in containers(objects):
        for port in container.get("ports", ()):
            if port["containerPort"] < 1024 or "hostPort" in port:
                yield f"{where}: port {port['containerPort']} is privileged or the host's"


def roles_are_least(objects: Sequence[JsonObject]) -> Iterator[str]:
    """kubescape C-0002, polaris rolePodExecAttach: no exec, no secrets, no wildcard, nothing beyond the namespace."""
    for manifest in objects:
        if manifest["kind"] in ("ClusterRole", "ClusterRoleBinding", "RoleBinding"):
            yield f"{title(manifest)} is not for this kit to apply"
        for rule in manifest.get("rules", ()) if manifest["kind"] == "Role" else ():
            if "*" in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]:
                yield f"{title(manifest)} has a wildcard"
            if {"pods/exec", "pods/attach", "secrets", "roles", "rolebindings", "serviceaccounts/token"} & set(
                rule["resources"]
            ):
                yield f"{title(manifest)} reaches {', '.join(rule['resources'])}"
            if {"update", "patch", "deletecollection", "impersonate", "escalate", "bind"} & set(rule["verbs"]):
                yield f"{title(manifest)} may {', '.join(rule['verbs'])}"


def _limits(container: JsonObject) -> JsonObject:
    limits: JsonObject = container.get("resources", {}).get("limits", {})
    return limits


def _written(container: JsonObject) -> list[JsonObject]:
    """Return the mounts that a container may write to."""
    return [mount for mount in container.get("volumeMounts", ()) if not mount.get("readOnly")]


def _fails_on_stop(policy: Sequence[JsonObject]) -> bool:
    """Return whether a FailJob rule would count a stop from outside as a failure."""
    for rule in policy:
        codes = rule.get("onExitCodes")
        if rule["action"] == "FailJob" and codes:
            stops, values = set(STOPPED), set(codes["values"])
            if (codes["operator"] == "NotIn" and stops - values) or (codes["operator"] == "In" and stops & values):
                return True
    return False


def _only_dns(rule: JsonObject) -> bool:
    return bool(rule.get("ports")) and all(port.get("port") == 53 for port in rule["ports"])


RULES = (
    benches_have_one_attempt,
    pods_are_guaranteed,
    images_are_pinned,
    content_names_what_cannot_change,
    measuring_is_alone_and_offline,
    software_is_only_read,
    variables_are_nobody_elses,
    no_privileged_port,
    roles_are_least,
)
