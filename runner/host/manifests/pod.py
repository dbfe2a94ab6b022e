"""The pod templates: what pods run, what they ask for, and where they may run. All pass the restricted Pod Security Standard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.contract.errors import UsageError
from runner.contract.records import JsonObject
from runner.host.manifests import config
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import Site
from runner.host.objects import names
from runner.host.objects.quantities import is_extended

RUNNER = ["python3", "-m", "runner"]
# User and group of every pod, above the numbers of a host's accounts.
UID = 10001

# How long a bench waits for its weights: long enough for a download that was applied together with the Job. The wait holds the devices.
WAIT_FOR_WEIGHTS_S = 6 * 3600
SMALL = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
FETCHING = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "2Gi"}

# A measurement that moves to another node starts over, so no autoscaler may empty the node of a bench (kubernetes/autoscaler
# cluster-autoscaler/FAQ.md, karpenter.sh/docs/concepts/disruption).
NOT_MOVED = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}

TERMINATION_LOG = "/dev/termination-log"

# Programs that write to a home write to /tmp: the root is read-only, and the user of the pod may have any number.
WRITABLE = {
    "HOME": "/tmp",  # noqa: S108
    "USER": "bench",
    "XDG_CACHE_HOME": "/tmp/cache",  # noqa: S108
    "HF_HOME": "/tmp/huggingface",  # noqa: S108
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/inductor",  # noqa: S108
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def bench(site: Site, plan: JobPlan, config_name: str, models: str = names.MODELS) -> JsonObject:
    """Return the pod template of one run on one node. Raises ``UsageError`` where the site sets what the kit sets."""
    of_kit = {**WRITABLE, **OFFLINE, "BLOOMZ_BENCH_IMAGE": plan.image, **plan.node.variables}
    container = {
        "name": "bench",
        **_command(plan.image, bench_arguments(plan)),
        "env": variables(_with_site(of_kit, site.variables, "--variable")),
        "resources": _limits(_with_site(resources(plan), site.resources, "--resource")),
        "securityContext": confined(),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(plan),
    }
    spec = {
        **_identity(site),
        **({"initContainers": [_wait(plan)]} if plan.hub else {}),
        "containers": [container],
        "volumes": volumes(plan, config_name, models),
        **placement(site, plan, alone=True),
    }
    return {"metadata": _metadata(names.BENCH, plan), "spec": spec}


def bench_arguments(plan: JobPlan) -> list[str]:
    """Return the arguments of ``bench`` in a pod: the result goes to the volume and into the log, a summary to the kubelet."""
    model = ["--model-dir", plan.model_dir] if plan.hub else []
    outputs = ["--results", "/results", "--frames", "--termination-message", TERMINATION_LOG]
    return ["bench", config.path(plan.request), *outputs, *model]


def prefetch(
    site: Site, set_name: str, plans: Sequence[JobPlan], config_name: str, models: str = names.MODELS
) -> JsonObject:
    """Return the pod template that fetches the weights of all plans, which need some; it asks for no device."""
    first = plans[0]
    requests = [config.path(plan.request) for plan in plans]
    container = {
        "name": "prefetch",
        **_command(first.image, ["prefetch", *requests, "--models", "/models", "--token-file", "/token/token"]),
        "env": variables(WRITABLE),
        "resources": _limits(FETCHING),
        "securityContext": confined(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "config", "mountPath": "/config", "readOnly": True},
            {"name": "models", "mountPath": "/models"},
            {"name": "token", "mountPath": "/token", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }
    spec = {
        **_identity(site),
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": config_name}},
            {"name": "models", "persistentVolumeClaim": {"claimName": models}},
            {"name": "token", "secret": {"secretName": "hf-token", "optional": True, "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        **placement(site, first, alone=False),
    }
    metadata = {
        "labels": names.labels(names.PREFETCH, f"prefetch-{set_name}", {}),
        "annotations": names.annotations_of({names.IMAGE: first.image, names.IMAGE_PROBLEM: first.draft}),
    }
    return {"metadata": metadata, "spec": spec}


def resources(plan: JobPlan) -> dict[str, str]:
    """Return the resources that a bench asks for on a node: its devices, and the share of the node that goes with them."""
    profile = plan.profile
    amounts = {"cpu": str(profile.cpu), "memory": profile.memory, "ephemeral-storage": profile.ephemeral_storage}
    if profile.hugepages is not None:
        amounts["hugepages-2Mi"] = profile.hugepages
    if is_extended(plan.resource):
        amounts[plan.resource] = str(plan.devices_per_node)
    return amounts


def mounts(plan: JobPlan) -> list[JsonObject]:
    """Return the mounts of the bench container: weights and requests to read; results, scratch and shared memory to write."""
    models = [{"name": "models", "mountPath": "/models", "readOnly": True}] if plan.hub else []
    return [
        {"name": "config", "mountPath": "/config", "readOnly": True},
        *models,
        {"name": "results", "mountPath": "/results"},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    ]


def volumes(plan: JobPlan, config_name: str, models: str) -> list[JsonObject]:
    """Return the volumes of a bench; ``models`` is the claim of the weights."""
    claims = {"results": names.RESULTS, **({"models": models} if plan.hub else {})}
    return [
        {"name": "config", "configMap": {"name": config_name}},
        *({"name": name, "persistentVolumeClaim": {"claimName": claim}} for name, claim in sorted(claims.items())),
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": plan.profile.shm}},
        {"name": "tmp", "emptyDir": {"sizeLimit": plan.profile.tmp}},
    ]


def placement(site: Site, plan: JobPlan, alone: bool) -> JsonObject:
    """Return where a pod may run. ``alone`` keeps every other bench of this kit, in any namespace, off the node."""
    affinity: JsonObject = {}
    if plan.node.labels and not site.node_selector:
        expressions = [
            {"key": key, "operator": "In", "values": list(values)} for key, values in plan.node.labels.items()
        ]
        affinity["nodeAffinity"] = {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}
        }
    if alone:
        others = {
            "labelSelector": {"matchLabels": names.of_this_kit(names.BENCH)},
            "namespaceSelector": {},
            "topologyKey": names.HOST_NAME,
        }
        affinity["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [others]}
    tolerations = [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in plan.node.tolerations]
    tolerations += [dict(toleration) for toleration in site.tolerations]
    return {
        **({"nodeSelector": dict(site.node_selector)} if site.node_selector else {}),
        **({"affinity": affinity} if affinity else {}),
        **({"tolerations": tolerations} if tolerations else {}),
        **({"runtimeClassName": site.runtime_class} if site.runtime_class and alone else {}),
        **({"priorityClassName": site.priority_class} if site.priority_class else {}),
    }


def confined() -> JsonObject:
    """Return the security context of every container."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def _with_site(of_kit: Mapping[str, str], of_site: Mapping[str, str], flag: str) -> dict[str, str]:
    """Return the kit's values and those that the site adds by a flag. Raises ``UsageError`` for a key that the kit sets."""
    taken = sorted(of_kit.keys() & of_site.keys())
    if taken:
        raise UsageError(f"{flag} {taken[0]}: the kit sets it itself. Leave it out, or edit its row in runner/catalog.")
    return {**of_kit, **of_site}


def variables(values: Mapping[str, str]) -> list[JsonObject]:
    """Return variables as a container lists them."""
    return [{"name": name, "value": value} for name, value in values.items()]


def _wait(plan: JobPlan) -> JsonObject:
    """Return the init container that ends when the weights are complete on the volume."""
    arguments = ["prefetch", config.path(plan.request), "--models", "/models", "--wait-s", str(WAIT_FOR_WEIGHTS_S)]
    return {
        "name": "wait-for-weights",
        **_command(plan.image, arguments),
        "env": variables({**WRITABLE, **OFFLINE}),
        "resources": _limits(SMALL),
        "securityContext": confined(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount for mount in mounts(plan) if mount["name"] in ("config", "models", "tmp")],
    }


def _command(image: str, arguments: Sequence[str]) -> JsonObject:
    return {"image": image, "imagePullPolicy": "IfNotPresent", "command": [*RUNNER, *arguments]}


def _limits(amounts: Mapping[str, str]) -> JsonObject:
    """Return requests that are limits: the pod is Guaranteed, and gets whole cores where the kubelet assigns cores."""
    return {"requests": dict(amounts), "limits": dict(amounts)}


def _identity(site: Site) -> JsonObject:
    """Return the account and the user of a pod. A platform that chooses users gets no numbers."""
    numbers = {} if site.platform_ids else {"runAsUser": UID, "runAsGroup": UID, "fsGroup": UID}
    return {
        "restartPolicy": "Never",
        "serviceAccountName": names.ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            **numbers,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _metadata(component: str, plan: JobPlan) -> JsonObject:
    request = plan.request
    of_case = {
        names.MODEL: request.model.name,
        names.ACCELERATOR: request.accelerator.name,
        names.NODES: str(plan.nodes),
        names.REQUEST_ID: request.id,
    }
    labels = names.labels(component, names.instance(request.case), of_case)
    annotations = names.annotations_of(
        {
            names.IMAGE: plan.image,
            names.IMAGE_PROBLEM: plan.draft,
            names.MODEL_REVISION: request.model.revision,
            names.DEADLINE: str(plan.deadline_s),
            names.EXPERIMENTAL: "true" if plan.nodes > 1 else None,
        }
    )
    return {"labels": labels, "annotations": {**annotations, **NOT_MOVED}}
