"""Names, labels and annotations of all objects. A Job's template cannot change, so that a new version has new names.

The name of a case is the stem of everything made for it: a pod is found from a row of the table and back.
"""

import hashlib

from runner import __version__
from runner.contract import strictjson
from runner.contract.errors import InputError

NAMESPACE = "bloomz-bench"
DOMAIN = "bloomz-bench.dev"
ACCOUNT = "bench-run"
SUBMITTER = "bench-submitter"
MODELS, RESULTS = "bench-models", "bench-results"
BENCH, PREFETCH = "bench", "prefetch"

# A mesh's proxy beside a pod's own container goes on when that has ended, and with it the Job (istio/istio#11045); these pods talk to
# nobody through it.
NO_MESH = {"sidecar.istio.io/inject": "false"}

# room below 63 for what others append: -launcher, -worker-N, a Job's index, a pod's suffix, a client's hash and repetition
MAX_NAME = 45


def bench(case):
    """Return the name of a case's Job. Raises ``InputError`` where it would be too long for the names derived from it."""
    return _versioned(f"bench-{case.replace('.', '-')}")


def prefetch(set_name):
    return _versioned(f"prefetch-{set_name}")


def config(set_name, data):
    """Return the name of a ConfigMap that holds ``data``: other content has another name, so that it can be immutable."""
    digest = hashlib.sha256(strictjson.canonical(data)).hexdigest()[:8]
    return f"{_versioned(f'config-{set_name}')}-{digest}"


def labels(component, instance, **more):
    """Return the labels of an object and of its pods; ``more`` are the kit's own, such as accelerator and model."""
    return {
        "app.kubernetes.io/name": "bloomz-bench",
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/version": __version__,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "bloomz-bench",
        "app.kubernetes.io/managed-by": "kubectl",
        **NO_MESH,
        **{f"{DOMAIN}/{key}": value for key, value in more.items()},
    }


def common_labels():
    """Return the labels of what all Jobs share."""
    return {"app.kubernetes.io/name": "bloomz-bench", "app.kubernetes.io/part-of": "bloomz-bench"}


def annotations(**values):
    """Return the kit's annotations; a sha256 is too long for a label."""
    return {f"{DOMAIN}/{key.replace('_', '-')}": value for key, value in values.items() if value is not None}


def of_this_kit(component):
    """Return the selector of this kit's pods of one component."""
    return {"app.kubernetes.io/name": "bloomz-bench", "app.kubernetes.io/component": component}


def seal(job):
    """Return the object with the sha256 of its ``spec``, which tells a running Job from one that would differ."""
    metadata = job["metadata"]
    marked = {**metadata["annotations"], **annotations(spec_sha256=strictjson.sha256_of(job["spec"]))}
    return {**job, "metadata": {**metadata, "annotations": marked}}


def _versioned(stem):
    name = f"{stem}-v{__version__.replace('.', '-')}"
    if len(name) > MAX_NAME:
        raise InputError(
            f"The object name {name!r} is longer than {MAX_NAME} characters. Give the case a shorter name."
        )
    return name
