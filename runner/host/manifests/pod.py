"""The pods: what they run, what they ask for, where they may go. All pass the restricted Pod Security Standard."""

from runner.contract.errors import UsageError
from runner.host.manifests import config
from runner.host.objects import names

RUNNER = ["python3", "-m", "runner"]
UID = 10001  # above what a host's accounts have; the same for user and group

# The wait for weights holds the devices: long enough for the download that was applied together with the Job.
WAIT_FOR_WEIGHTS_S = 6 * 3600
SMALL = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
FETCHING = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "2Gi"}

# A measurement moved to another node starts over: neither autoscaler shall empty this one to save it (kubernetes/autoscaler
# cluster-autoscaler/FAQ.md, karpenter.sh/docs/concepts/disruption).
STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}

TERMINATION_LOG = "/dev/termination-log"

# Everything that would write to a home writes to /tmp: the root is read-only, and the user may have any number.
WRITABLE = {
    "HOME": "/tmp",  # noqa: S108
    "USER": "bench",
    "XDG_CACHE_HOME": "/tmp/cache",  # noqa: S108
    "HF_HOME": "/tmp/huggingface",  # noqa: S108
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/inductor",  # noqa: S108
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def bench(site, run, config_name, arguments=None, models=names.MODELS):
    """Return the pod template of one run; ``arguments`` are the verb's own, by default one node's bench."""
    arguments = bench_arguments(run) if arguments is None else arguments
    own = {**WRITABLE, **OFFLINE, "BLOOMZ_BENCH_IMAGE": run.image, **run.place.variables}
    container = {
        "name": "bench",
        **_command(run.image, arguments),
        "env": variables(_with_yours(own, site.variables, "--variable")),
        "resources": _equal(_with_yours(resources(run), site.resources, "--resource")),
        "securityContext": confined(),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(run),
    }
    spec = {
        **_identity(site),
        **({"initContainers": [_wait(run)]} if run.hub else {}),
        "containers": [container],
        "volumes": volumes(run, config_name, models),
        **placement(site, run, alone=True),
    }
    return {"metadata": _metadata(names.BENCH, run), "spec": spec}


def bench_arguments(run):
    """Return the arguments of ``bench`` in a pod: the result goes to the volume, into the log and, in short, to the kubelet."""
    model = ["--model-dir", run.model_dir] if run.hub else []
    told = ["--frames", "--termination-message", TERMINATION_LOG]
    return ["bench", config.path(run.request), "--results", "/results", *told, *model]


def prefetch(site, set_name, runs, config_name, models=names.MODELS):
    """Return the pod template that fetches the weights of all runs that need them; it asks for no device."""
    first = runs[0]
    requests = [config.path(run.request) for run in runs]
    container = {
        "name": "prefetch",
        **_command(first.image, ["prefetch", *requests, "--models", "/models", "--token-file", "/token/token"]),
        "env": variables(WRITABLE),
        "resources": _equal(FETCHING),
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
        "labels": names.labels(names.PREFETCH, f"prefetch-{set_name}"),
        "annotations": names.annotations(image=first.image, image_problem=first.draft),
    }
    return {"metadata": metadata, "spec": spec}


def resources(run):
    """Return what the pod asks for: all devices of the node, and the share of the node that goes with them."""
    profile = run.profile
    asked = {"cpu": str(profile.cpu), "memory": profile.memory, "ephemeral-storage": profile.ephemeral_storage}
    if profile.hugepages is not None:
        asked["hugepages-2Mi"] = profile.hugepages
    if run.resource != "cpu":
        asked[run.resource] = str(run.devices_per_node)
    return asked


def mounts(run):
    """Return what the bench container sees: weights and requests to read, results, scratch and shared memory to write."""
    models = [{"name": "models", "mountPath": "/models", "readOnly": True}] if run.hub else []
    return [
        {"name": "config", "mountPath": "/config", "readOnly": True},
        *models,
        {"name": "results", "mountPath": "/results"},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    ]


def volumes(run, config_name, models):
    claims = {"results": names.RESULTS, **({"models": models} if run.hub else {})}
    return [
        {"name": "config", "configMap": {"name": config_name}},
        *({"name": name, "persistentVolumeClaim": {"claimName": claim}} for name, claim in sorted(claims.items())),
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": run.profile.shm}},
        {"name": "tmp", "emptyDir": {"sizeLimit": run.profile.tmp}},
    ]


def placement(site, run, alone):
    """Return where the pod may go. ``alone`` keeps every other bench of this kit, in any namespace, off the node."""
    affinity: dict[str, dict] = {}
    if run.place.labels and not site.node_selector:
        wanted = [{"key": key, "operator": "In", "values": list(values)} for key, values in run.place.labels.items()]
        affinity["nodeAffinity"] = {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": wanted}]}
        }
    if alone:
        others = {
            "labelSelector": {"matchLabels": names.of_this_kit(names.BENCH)},
            "namespaceSelector": {},
            "topologyKey": "kubernetes.io/hostname",
        }
        affinity["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [others]}
    tolerated = [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in run.place.tolerations]
    tolerated += [dict(toleration) for toleration in site.tolerations]
    return {
        **({"nodeSelector": dict(site.node_selector)} if site.node_selector else {}),
        **({"affinity": affinity} if affinity else {}),
        **({"tolerations": tolerated} if tolerated else {}),
        **({"runtimeClassName": site.runtime_class} if site.runtime_class and alone else {}),
        **({"priorityClassName": site.priority_class} if site.priority_class else {}),
    }


def confined():
    """Return the security context of every container."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def _with_yours(own, yours, flag):
    """Return what a bench has with what its site adds. Raises ``UsageError`` for what the kit sets itself."""
    taken = sorted(own.keys() & yours.keys())
    if taken:
        raise UsageError(
            f"{flag} {taken[0]}: the kit sets it itself. Leave it out, or edit runner/catalog/profiles.yaml."
        )
    return {**own, **yours}


def variables(values):
    return [{"name": name, "value": value} for name, value in values.items()]


def _wait(run):
    """Return the init container that ends when the weights are whole on the volume."""
    arguments = ["prefetch", config.path(run.request), "--models", "/models", "--wait-s", str(WAIT_FOR_WEIGHTS_S)]
    return {
        "name": "wait-for-weights",
        **_command(run.image, arguments),
        "env": variables({**WRITABLE, **OFFLINE}),
        "resources": _equal(SMALL),
        "securityContext": confined(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount for mount in mounts(run) if mount["name"] in ("config", "models", "tmp")],
    }


def _command(image, arguments):
    return {"image": image, "imagePullPolicy": "IfNotPresent", "command": [*RUNNER, *arguments]}


def _equal(asked):
    """Return requests that are limits: the pod is Guaranteed, and has whole cores where the kubelet hands them out."""
    return {"requests": dict(asked), "limits": dict(asked)}


def _identity(site):
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


def _metadata(component, run):
    request = run.request
    told = {"model": request.model.name, "accelerator": request.accelerator.name, "nodes": str(run.nodes)}
    labels = names.labels(component, f"bench-{request.case.replace('.', '-')}", **told, **{"run-id": request.id})
    annotations = names.annotations(
        image=run.image,
        image_problem=run.draft,
        model_revision=request.model.revision,
        deadline_seconds=str(run.deadline_s),
        experimental="true" if run.nodes > 1 else None,
    )
    return {"labels": labels, "annotations": {**annotations, **STAYS}}
