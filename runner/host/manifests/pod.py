"""The pod templates: what pods run, what they ask for, and where they may run. All pass the restricted Pod Security Standard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.contract.errors import UsageError
from runner.contract.records import JsonObject
from runner.host.manifests import config, installation
from runner.host.manifests.containers import FETCHING, OFFLINE, RUNNER, SMALL, UID, WRITABLE, container, mount
from runner.host.manifests.plan import Installation, JobPlan
from runner.host.manifests.site import Site
from runner.host.manifests.storage import OWN, Claims
from runner.host.objects import names
from runner.host.objects.quantities import is_extended, total

DISK = "ephemeral-storage"

# How long a bench waits for its weights: long enough for a download that was applied together with the Job. The wait holds the devices.
WAIT_FOR_WEIGHTS_S = 6 * 3600
# A measurement that moves to another node starts over, so no autoscaler may empty the node of a bench (kubernetes/autoscaler
# cluster-autoscaler/FAQ.md, karpenter.sh/docs/concepts/disruption).
NOT_MOVED = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}

TERMINATION_LOG = "/dev/termination-log"


def bench(site: Site, plan: JobPlan, config_name: str, claims: Claims = OWN) -> JsonObject:
    """Return the pod template of one run on one node. Raises ``UsageError`` where the site sets what the kit sets."""
    of_kit = {
        **WRITABLE,
        **OFFLINE,
        "BLOOMZ_BENCH_IMAGE": plan.image,
        "BLOOMZ_BENCH_INSTALLATION": "pod" if plan.installation else "image",
        **plan.node.variables,
    }
    amounts = _with_site(resources(plan), site.resources, "--resource")
    measuring = container(
        names.BENCH,
        plan.image,
        _command(plan, bench_arguments(plan)),
        _with_site(of_kit, site.bench_variables, "--variable"),
        amounts,
        mounts(plan),
        TERMINATION_LOG,
    )
    before = [*installation.init_containers(plan.installation, amounts), *([_wait(plan)] if plan.hub else [])]
    spec = {
        **_identity(site),
        **({"initContainers": before} if before else {}),
        "containers": [measuring],
        "volumes": volumes(plan, config_name, claims),
        **placement(site, plan, alone=True),
    }
    return {"metadata": _metadata(names.BENCH, plan), "spec": spec}


def bench_arguments(plan: JobPlan) -> list[str]:
    """Return the arguments of ``bench`` in a pod: the result goes to the volume and into the log, a summary to the kubelet."""
    model = ["--model-dir", plan.model_dir] if plan.hub else []
    outputs = ["--results", "/results", "--frames", "--termination-message", TERMINATION_LOG]
    return ["bench", config.path(plan.request), *outputs, *model]


def prefetch(site: Site, set_name: str, plans: Sequence[JobPlan], config_name: str, claims: Claims) -> JsonObject:
    """Return the pod template that fetches the weights of all plans, which need some; it asks for no device."""
    first = plans[0]
    requests = [config.path(plan.request) for plan in plans]
    amounts = {**FETCHING, DISK: total(FETCHING[DISK], *installation.disk(first.installation))}
    fetch = container(
        names.PREFETCH,
        first.image,
        _command(first, ["prefetch", *requests, "--models", "/models", "--token-file", "/token/token"]),
        {**WRITABLE, **site.fetching_variables},
        amounts,
        [
            mount("config", "/config", read_only=True),
            mount("models", "/models"),
            mount("token", "/token", read_only=True),
            mount("tmp", "/tmp"),  # noqa: S108
            *installation.mounts(first.installation),
        ],
    )
    before = installation.init_containers(first.installation, amounts)
    spec = {
        **_identity(site),
        **({"initContainers": before} if before else {}),
        "containers": [fetch],
        "volumes": [
            {"name": "config", "configMap": {"name": config_name}},
            {"name": "models", "persistentVolumeClaim": {"claimName": claims.models}},
            {"name": "token", "secret": {"secretName": "hf-token", "optional": True, "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
            *installation.volumes(first.installation, claims.packages),
        ],
        **placement(site, first, alone=False),
    }
    labels = names.labels(names.PREFETCH, f"prefetch-{set_name}", {})
    return {"metadata": {"labels": labels, "annotations": _of_image(first)}, "spec": spec}


def packages(site: Site, set_name: str, plan: JobPlan, installed: Installation, claims: Claims) -> JsonObject:
    """Return the pod template that fetches the packages of a stack, for all plans that install the stack; it asks for no device."""
    spec = {
        **_identity(site),
        **installation.fetching(site, installed, claims.packages),
        **placement(site, plan, alone=False),
    }
    instance = f"packages-{set_name}-{names.without_dots(installed.stack)}"
    labels = names.labels(names.PACKAGES, instance, {})
    return {"metadata": {"labels": labels, "annotations": _of_image(plan)}, "spec": spec}


def resources(plan: JobPlan) -> dict[str, str]:
    """Return the resources that a bench asks for on a node: its devices, and the share of the node that goes with them."""
    profile = plan.profile
    disk = total(profile.ephemeral_storage, *installation.disk(plan.installation))
    amounts = {"cpu": str(profile.cpu), "memory": profile.memory, DISK: disk}
    if profile.hugepages is not None:
        amounts["hugepages-2Mi"] = profile.hugepages
    if is_extended(plan.resource):
        amounts[plan.resource] = str(plan.devices_per_node)
    return amounts


def mounts(plan: JobPlan) -> list[JsonObject]:
    """Return the mounts of the bench container: software, weights and requests to read; results, scratch and shared memory to write."""
    return [
        mount("config", "/config", read_only=True),
        *([mount("models", "/models", read_only=True)] if plan.hub else []),
        mount("results", "/results"),
        mount("shm", "/dev/shm"),  # noqa: S108
        mount("tmp", "/tmp"),  # noqa: S108
        *installation.mounts(plan.installation),
    ]


def volumes(plan: JobPlan, config_name: str, claims: Claims) -> list[JsonObject]:
    """Return the volumes of a bench."""
    by_name = {"results": names.RESULTS, **({"models": claims.models} if plan.hub else {})}
    return [
        {"name": "config", "configMap": {"name": config_name}},
        *({"name": name, "persistentVolumeClaim": {"claimName": claim}} for name, claim in sorted(by_name.items())),
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": plan.profile.shm}},
        {"name": "tmp", "emptyDir": {"sizeLimit": plan.profile.tmp}},
        *installation.volumes(plan.installation, claims.packages),
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


def _with_site(of_kit: Mapping[str, str], of_site: Mapping[str, str], flag: str) -> dict[str, str]:
    """Return the kit's values and those that the site adds by a flag. Raises ``UsageError`` for a key that the kit sets."""
    taken = sorted(of_kit.keys() & of_site.keys())
    if taken:
        raise UsageError(f"{flag} {taken[0]}: the kit sets it itself. Leave it out, or edit its row in runner/catalog.")
    return {**of_kit, **of_site}


def _wait(plan: JobPlan) -> JsonObject:
    """Return the init container that ends when the weights are complete on the volume."""
    arguments = ["prefetch", config.path(plan.request), "--models", "/models", "--wait-s", str(WAIT_FOR_WEIGHTS_S)]
    read = [place for place in mounts(plan) if place["name"] not in ("results", "shm")]
    return container("wait-for-weights", plan.image, _command(plan, arguments), {**WRITABLE, **OFFLINE}, SMALL, read)


def _command(plan: JobPlan, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs a verb in the environment of the plan's stack."""
    return [*installation.enter(plan.installation), *RUNNER, *arguments]


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
            names.MODEL_REVISION: request.model.revision,
            names.DEADLINE: str(plan.deadline_s),
            names.EXPERIMENTAL: "true" if plan.nodes > 1 else None,
        }
    )
    return {"labels": labels, "annotations": {**_of_image(plan), **annotations, **NOT_MOVED}}


def _of_image(plan: JobPlan) -> dict[str, str]:
    """Return the annotations that say which image a pod is started from, and what keeps the pod from measuring."""
    tagged = " ".join(plan.installation.tagged) if plan.installation else ""
    return names.annotations_of(
        {names.IMAGE: plan.image, names.TAGGED_BASES: tagged or None, names.PROBLEM: plan.draft}
    )
