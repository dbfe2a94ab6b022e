"""Rules of the kit's own: how a measurement is kept single, alone, offline and traceable, and what nobody needs is not given."""

import re

from runner.contract import strictjson
from runner.host.manifests.plan import PLACEHOLDER
from runner.host.objects import names
from runner.host.objects.walk import containers, jobs, pods, title

DIGEST = re.compile(r"[^@]+@sha256:[0-9a-f]{64}")


def benches_have_one_attempt(objects):
    """A silent retry changes what the run was; what the cluster took away is no failure. Every Job ends, and goes some time."""
    for where, spec in jobs(objects):
        policy = spec.get("podFailurePolicy", {}).get("rules", [])
        conditions = [condition for rule in policy for condition in rule.get("onPodConditions", ())]
        if not any(condition["type"] == "DisruptionTarget" for condition in conditions):
            yield f"{where}: a pod that the cluster took away would count as failed"
        component = spec["template"]["metadata"]["labels"].get("app.kubernetes.io/component")
        if component == names.BENCH and spec.get("backoffLimit") != 0:
            yield f"{where}: a bench has one attempt, backoffLimit must be 0"
        if component == names.BENCH and _fails_on_stop(policy):
            yield f"{where}: a bench that was stopped by SIGTERM (130, 143) or killed (137) must not fail the Job by its code"
        if not spec.get("activeDeadlineSeconds") or not spec.get("ttlSecondsAfterFinished"):
            yield f"{where}: activeDeadlineSeconds and ttlSecondsAfterFinished must be set"
    for thing in objects:
        if thing["kind"] == "MPIJob":
            policy = thing["spec"]["runPolicy"]
            if policy.get("cleanPodPolicy") != "Running" or policy.get("backoffLimit") != 0:
                yield f"{title(thing)}: by default workers keep their devices for ever, and a launcher is started again"
            if any(replica.get("restartPolicy") != "Never" for replica in thing["spec"]["mpiReplicaSpecs"].values()):
                yield f"{title(thing)}: by default what failed is started again"
            if not policy.get("activeDeadlineSeconds") or not policy.get("ttlSecondsAfterFinished"):
                yield f"{title(thing)}: activeDeadlineSeconds and ttlSecondsAfterFinished must be set"
        if thing["kind"] == "JobSet" and thing["spec"].get("failurePolicy", {}).get("maxRestarts") != 0:
            yield f"{title(thing)}: a bench has one attempt, maxRestarts must be 0"


def pods_are_guaranteed(objects):
    """K8S core/v1/helper/qos: requests equal limits of cpu and memory in every container, init containers too."""
    for where, _, container in containers(objects):
        resources = container.get("resources", {})
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        if requests != limits:
            yield f"{where}: requests differ from limits"
        for kind in ("cpu", "memory", "ephemeral-storage"):
            if kind not in limits:
                yield f"{where}: {kind} is not limited"


def images_are_pinned(objects):
    """An image is named by digest; one that nobody has built cannot be pulled, and the pod says what to run."""
    by_pod = {where: template["metadata"].get("annotations", {}) for where, template in pods(objects)}
    for where, _, container in containers(objects):
        image = container["image"]
        if image.startswith(f"{PLACEHOLDER}/"):
            noted = by_pod[where.rpartition(", container ")[0]]
            if not noted.get(f"{names.DOMAIN}/image-problem"):
                yield f"{where}: {image} cannot be pulled, and no annotation says why"
        elif not DIGEST.fullmatch(image):
            yield f"{where}: {image} is not named by digest"
        if container.get("imagePullPolicy") != "IfNotPresent":
            yield f"{where}: a pinned image is pulled IfNotPresent, also where no registry is reached"


def content_names_what_cannot_change(objects):
    """A ConfigMap is immutable and named after its content; a Job carries the sha256 of its spec."""
    for thing in objects:
        name = thing["metadata"]["name"]
        if thing["kind"] == "ConfigMap":
            stem = name.rpartition("-v")[0][len("config-") :]
            if not thing.get("immutable") or name != names.config(stem, thing["data"]):
                yield f"{title(thing)} must be immutable and named after its content"
        elif thing["kind"] in ("Job", "MPIJob", "JobSet"):
            noted = thing["metadata"].get("annotations", {}).get(f"{names.DOMAIN}/spec-sha256")
            if noted != strictjson.sha256_of(thing["spec"]):
                yield f"{title(thing)}: the annotation spec-sha256 is not that of its spec"


def measuring_is_alone_and_offline(objects):
    """No other bench of the kit on the node, no look-up in a hub, and no way out where policies are enforced."""
    policies = [thing["spec"] for thing in objects if thing["kind"] == "NetworkPolicy"]
    for where, template in pods(objects):
        labels = template["metadata"]["labels"]
        selecting = [spec for spec in policies if spec["podSelector"]["matchLabels"].items() <= labels.items()]
        if not any({"Ingress", "Egress"} <= set(spec["policyTypes"]) for spec in selecting):
            yield f"{where}: no policy denies what is not allowed"
        if labels.get("app.kubernetes.io/component") != names.BENCH:
            continue
        if any("to" not in rule and not _only_dns(rule) for spec in selecting for rule in spec.get("egress", ())):
            yield f"{where}: a policy lets it out while it measures"
        told = {
            variable["name"]: variable.get("value") for variable in template["spec"]["containers"][0].get("env", ())
        }
        if any(told.get(name) != "1" for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
            yield f"{where}: the variables that keep it offline are not set"
        anti = template["spec"].get("affinity", {}).get("podAntiAffinity", {})
        if not any(
            rule["labelSelector"].get("matchLabels", {}).items() <= labels.items()
            and rule["topologyKey"] == "kubernetes.io/hostname"
            for rule in anti.get("requiredDuringSchedulingIgnoredDuringExecution", ())
        ):
            yield f"{where}: another bench may share its node"


def variables_are_nobody_elses(objects):
    """The device plugin and the runtime set what is visible (HabanaAI's and NVIDIA's); a secret is a file and never a variable."""
    for where, _, container in containers(objects):
        for variable in container.get("env", ()):
            if re.fullmatch(r"(HABANA|HL|NVIDIA|CUDA)_VISIBLE_.*", variable["name"]):
                yield f"{where}: {variable['name']} is the device plugin's to set"
            if "secretKeyRef" in variable.get("valueFrom", {}) or re.search(
                r"TOKEN$|SECRET|PASSWORD", variable["name"]
            ):
                yield f"{where}: {variable['name']} would hold a secret"


def no_privileged_port(objects):
    """A port below 1024 needs a capability, and 22 is taken for remote access (kube-linter ssh-port)."""
    for where, _, container in containers(objects):
        for port in container.get("ports", ()):
            if port["containerPort"] < 1024 or "hostPort" in port:
                yield f"{where}: port {port['containerPort']} is privileged or the host's"


def roles_are_least(objects):
    """kubescape C-0002, polaris rolePodExecAttach: no exec, no secrets, no wildcard, nothing beyond the namespace."""
    for thing in objects:
        if thing["kind"] in ("ClusterRole", "ClusterRoleBinding", "RoleBinding"):
            yield f"{title(thing)} is not for this kit to apply"
        for rule in thing.get("rules", ()) if thing["kind"] == "Role" else ():
            if "*" in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]:
                yield f"{title(thing)} has a wildcard"
            if {"pods/exec", "pods/attach", "secrets", "roles", "rolebindings", "serviceaccounts/token"} & set(
                rule["resources"]
            ):
                yield f"{title(thing)} reaches {', '.join(rule['resources'])}"
            if {"update", "patch", "deletecollection", "impersonate", "escalate", "bind"} & set(rule["verbs"]):
                yield f"{title(thing)} may {', '.join(rule['verbs'])}"


def _fails_on_stop(policy):
    """Return whether a FailJob rule would take a stop from outside for a failure."""
    for rule in policy:
        codes = rule.get("onExitCodes")
        if rule["action"] == "FailJob" and codes:
            stops, values = {130, 137, 143}, set(codes["values"])
            if (codes["operator"] == "NotIn" and stops - values) or (codes["operator"] == "In" and stops & values):
                return True
    return False


def _only_dns(rule):
    return bool(rule.get("ports")) and all(port.get("port") == 53 for port in rule["ports"])


RULES = (
    benches_have_one_attempt,
    pods_are_guaranteed,
    images_are_pinned,
    content_names_what_cannot_change,
    measuring_is_alone_and_offline,
    variables_are_nobody_elses,
    no_privileged_port,
    roles_are_least,
)
