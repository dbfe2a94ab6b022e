"""Names, labels, annotations and selectors of Kubernetes objects. A Job's template cannot change, so each version has new names.

The name of a case is the stem of every name that is made for the case: a row of the table leads to its pod, and the pod to its row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from runner import __version__
from runner.contract import strictjson
from runner.contract.errors import InputError
from runner.contract.records import JsonObject

# --- names ---

KIT_NAME = NAMESPACE = "bloomz-bench"
ACCOUNT = "bench-run"
SUBMITTER = "bench-submitter"
MODELS, RESULTS, PACKAGES_CLAIM = "bench-models", "bench-results", "bench-packages"

# Leaves room within the 63 characters of a label for what others append: -launcher, -worker-N, the index of a Job, the suffix of a
# pod, the digest and the repetition that `submit` appends.
MAX_NAME = 45

# The beginning of the names, for ``config``, of the ConfigMaps that hold the kit.
KIT_TEXTS = "kit"

# --- components: what a pod of this kit is there for ---

BENCH, PREFETCH, PACKAGES, COLLECT = "bench", "prefetch", "packages", "collect"
# The components whose pods reach the network; they hold no device.
FETCHING = (PREFETCH, PACKAGES)

# --- the init containers that install a stack in a pod, in their order ---

UNPACK, INTERPRETER, INSTALL = "unpack", "interpreter", "install"
# Those that put the kit and a Python into the pod; what they put there runs every verb that needs no package.
PREPARING = (UNPACK, INTERPRETER)

# --- labels of every object (kubernetes.io/docs/concepts/overview/working-with-objects/common-labels) ---

COMMON_DOMAIN = "app.kubernetes.io/"
NAME, INSTANCE, VERSION, COMPONENT, PART_OF, MANAGED_BY = (
    f"{COMMON_DOMAIN}{word}" for word in ("name", "instance", "version", "component", "part-of", "managed-by")
)
# The label by which every object of this kit is found, and the same as a selector of the API.
KIT = {NAME: KIT_NAME}
SELECTOR = f"{NAME}={KIT_NAME}"
# The program that applied an object: kubectl, or the verb `submit`.
BY_KUBECTL, BY_SUBMIT = "kubectl", KIT_NAME

# --- labels and annotations of this kit ---

DOMAIN = "bloomz-bench.dev"
# A label: the id of the request, which is also the name of the folder of its results on the volume.
REQUEST_ID = f"{DOMAIN}/request-id"
# The name of that label in manifests that were rendered before it was called request-id.
REQUEST_ID_BEFORE = f"{DOMAIN}/run-id"
MODEL, ACCELERATOR, NODES = (f"{DOMAIN}/{word}" for word in ("model", "accelerator", "nodes"))
# Annotations: their values may be longer than the 63 characters of a label.
SPEC_SHA256 = f"{DOMAIN}/spec-sha256"
DEADLINE = f"{DOMAIN}/deadline-seconds"
IMAGE = f"{DOMAIN}/image"
# The reason why the pods of a run would refuse to measure, and what to do about it.
PROBLEM = f"{DOMAIN}/problem"
# The images of the pods that are named by tag, separated by spaces: bases whose digest nobody has published.
TAGGED_BASES = f"{DOMAIN}/tagged-bases"
MODEL_REVISION = f"{DOMAIN}/model-revision"
EXPERIMENTAL = f"{DOMAIN}/experimental"

# --- labels of others ---

# A LocalQueue of Kueue.
QUEUE = "kueue.x-k8s.io/queue-name"
HOST_NAME = "kubernetes.io/hostname"
POD_SECURITY_DOMAIN = "pod-security.kubernetes.io/"
POD_SECURITY_ENFORCE = f"{POD_SECURITY_DOMAIN}enforce"

# The proxy that a service mesh puts beside a container goes on when the container has ended, and the Job goes on with the proxy
# (istio/istio#11045). No pod of this kit needs the proxy.
MESH_DOMAIN = "sidecar.istio.io/"
NO_MESH = {f"{MESH_DOMAIN}inject": "false"}

JOBSET_NAME = "jobset.sigs.k8s.io/jobset-name"
# The labels of a pod that name its run, by the kind of the run. Kubernetes before 1.27 knows the label without a domain only.
POD_LABELS = {
    "Job": ("batch.kubernetes.io/job-name", "job-name"),
    "MPIJob": ("training.kubeflow.org/job-name",),
    "JobSet": (JOBSET_NAME,),
}
# The replicated Job of a JobSet whose pod runs `bench`, and the one whose pods lend it their devices.
FIRST, OTHER = "first", "other"
# The label and its value that an operator puts on the pod that prints results.
PRINTING_POD = {"training.kubeflow.org/job-role": "launcher", "jobset.sigs.k8s.io/replicatedjob-name": FIRST}
# The labels that tell apart the pods of a run which exist at the same time.
POD_INDEX = (*PRINTING_POD, "training.kubeflow.org/replica-index", "batch.kubernetes.io/job-completion-index")


def instance(case: str) -> str:
    """Return the value of the label ``INSTANCE`` of all objects that are made for a case."""
    return f"bench-{without_dots(case)}"


def without_dots(name: str) -> str:
    """Return a name of the catalog or of the lock as it stands in the name of an object: with dashes in place of its dots."""
    return name.replace(".", "-")


def bench(case: str) -> str:
    """Return the name of a case's Job. Raises ``InputError`` where the names derived from it would be too long."""
    return _versioned(instance(case))


def prefetch(set_name: str) -> str:
    """Return the name of the Job that fetches the weights of a set. Raises ``InputError`` where the name is too long."""
    return _versioned(f"prefetch-{set_name}")


def is_of_its_content(config_map: JsonObject) -> bool:
    """Return whether the name of a ConfigMap ends in the hash of its data, as that of every ConfigMap that the kit renders does."""
    return name_of(config_map).endswith(f"-{_digest(config_map.get('data') or {})}")


def packages(set_name: str, stack: str) -> str:
    """Return the name of the Job that fetches the packages of a stack of a set. Raises ``InputError`` where the name is too long.

    Sets with one stack have each a Job: their Jobs run on other nodes, and a Job's template cannot change.
    """
    return _versioned(f"packages-{set_name}-{without_dots(stack)}")


def config(set_name: str, data: Mapping[str, str]) -> str:
    """Return the name of a ConfigMap that holds ``data``. Other data has another name, so the ConfigMap can be immutable.

    Raises ``InputError`` where the name is too long.
    """
    return f"{_versioned(f'config-{set_name}')}-{_digest(data)}"


def recipe(stack: str) -> str:
    """Return the beginning of the names, for ``config``, of the ConfigMaps that a stack is installed from."""
    return f"stack-{without_dots(stack)}"


def labels(component: str, instance: str, of_case: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of an object and of its pods; ``of_case`` are further labels, by their full keys."""
    return {
        NAME: KIT_NAME,
        INSTANCE: instance,
        VERSION: __version__,
        COMPONENT: component,
        PART_OF: KIT_NAME,
        MANAGED_BY: BY_KUBECTL,
        **NO_MESH,
        **of_case,
    }


def common_labels() -> dict[str, str]:
    """Return the labels of an object that all Jobs share."""
    return {**KIT, PART_OF: KIT_NAME}


def annotations_of(values: Mapping[str, str | None]) -> dict[str, str]:
    """Return annotations without those whose value is None."""
    return {key: value for key, value in values.items() if value is not None}


def of_this_kit(component: str) -> dict[str, str]:
    """Return the labels that select this kit's pods of one component."""
    return {**KIT, COMPONENT: component}


def labels_of(manifest: JsonObject) -> JsonObject:
    """Return the labels of an object or of a pod template, which may have none."""
    return manifest.get("metadata", {}).get("labels") or {}


def name_of(manifest: JsonObject) -> str:
    """Return the name of an object, the empty text where the object has none."""
    return str(manifest.get("metadata", {}).get("name", ""))


def component_of(manifest: JsonObject) -> str | None:
    """Return what an object is there for: ``BENCH``, ``PREFETCH``, ``PACKAGES`` or ``COLLECT``; None where its labels do not say."""
    return labels_of(manifest).get(COMPONENT)


def queue_of(run: JsonObject) -> str | None:
    """Return the name of the queue that a run waits in, None where the run waits in no queue."""
    return labels_of(run).get(QUEUE)


def request_id_of(run: JsonObject) -> str | None:
    """Return the id of the request that a run measures, by either name of the label; None where its labels do not say."""
    labels = labels_of(run)
    return labels.get(REQUEST_ID) or labels.get(REQUEST_ID_BEFORE)


def tagged_bases(manifest: JsonObject) -> list[str]:
    """Return the images that the pods of an object, or of a pod template, may name by tag: bases whose digest nobody has published."""
    annotations = manifest.get("metadata", {}).get("annotations") or {}
    return str(annotations.get(TAGGED_BASES, "")).split()


def seal(job: JsonObject) -> JsonObject:
    """Return the object with the sha256 of its ``spec``, by which `submit` tells whether a Job in the cluster is the same one."""
    metadata = job["metadata"]
    sealed = {**metadata["annotations"], SPEC_SHA256: strictjson.sha256_of(job["spec"])}
    return {**job, "metadata": {**metadata, "annotations": sealed}}


def _digest(data: Mapping[str, str]) -> str:
    return hashlib.sha256(strictjson.canonical(dict(data))).hexdigest()[:8]


def _versioned(stem: str) -> str:
    name = f"{stem}-v{__version__.replace('.', '-')}"
    if len(name) > MAX_NAME:
        raise InputError(
            f"The object name {name!r} is longer than {MAX_NAME} characters. Give the case a shorter name."
        )
    return name
