"""What the kit reads of Kubernetes objects, and how it must look: in manifests, in a cluster's answers, in notes of earlier runs.

The API server checks far more. This here is what keeps a null or a text in the place of a list from ending a verb in the middle, and
a name from leaving the folder that it names a file in.
"""

from __future__ import annotations

import re
from typing import Any

from runner.contract.patterns import DNS_LABEL, LABEL_VALUE, SUBDOMAIN, Form
from runner.contract.text import printable
from runner.host.readers.kubeyaml import kind_of

UID = Form(re.compile("[A-Za-z0-9-]{1,63}"), "an identifier")

RUNS = ("Job", "MPIJob", "JobSet")

_TYPES = {str: "text", int: "a whole number", bool: "true or false", dict: "a mapping", list: "a list"}


class Malformed(ValueError):
    """An object is not as Kubernetes makes it; the message says where, without a full stop."""


# --- shapes: a type, a form, [shape] of a list, a mapping of members ---
# A member with "!" must be there, one with "+" must be there and hold something, "*" is any other.

_AMOUNTS = {"*": (str, int, float)}
_METADATA: dict[str, Any] = {
    "name!": SUBDOMAIN,
    "namespace": DNS_LABEL,
    "uid": UID,
    "labels": {"*": LABEL_VALUE},
    "annotations": {"*": str},
    "resourceVersion": str,
    "creationTimestamp": str,
    "deletionTimestamp": str,
    "ownerReferences": [{"name!": str}],
}
_KEPT = {"metadata!": {**_METADATA, "uid!": UID}}  # as a cluster keeps it
_CONTAINER = {
    "name!": DNS_LABEL,
    "image": str,
    "command": [str],
    "args": [str],
    "env": [{"name!": str}],
    "volumeMounts": [{"name!": str, "mountPath!": str}],
    "resources": {"requests": _AMOUNTS, "limits": _AMOUNTS},
}
_VOLUME = {
    "name!": str,
    "persistentVolumeClaim": {"claimName!": SUBDOMAIN},
    "configMap": {"name!": SUBDOMAIN, "optional": bool},
}
_EXPRESSIONS = {"matchExpressions": [{"key!": str, "values": [LABEL_VALUE]}]}
_POD_SPEC = {
    "containers+": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [_VOLUME],
    "serviceAccountName": SUBDOMAIN,
    "nodeName": SUBDOMAIN,
    "nodeSelector": {"*": LABEL_VALUE},
    "tolerations": [dict],
    "schedulingGates": [{"name!": str}],
    "affinity": {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_EXPRESSIONS]}}
    },
}
_TEMPLATE = {"metadata": {"labels": {"*": LABEL_VALUE}}, "spec!": _POD_SPEC}
_JOB_SPEC = {"template!": _TEMPLATE, "parallelism": int, "activeDeadlineSeconds": int}
_SPECS: dict[str, Any] = {
    "Job": _JOB_SPEC,
    "MPIJob": {
        "mpiReplicaSpecs!": {
            "Launcher!": {"template!": _TEMPLATE, "replicas": int},
            "*": {"template!": _TEMPLATE, "replicas": int},
        },
        "runPolicy": {"activeDeadlineSeconds": int},
    },
    "JobSet": {"replicatedJobs+": [{"name!": DNS_LABEL, "replicas": int, "template!": {"spec!": _JOB_SPEC}}]},
}
_CONDITIONS = {"conditions": [{"type!": str, "status": str, "reason": str, "message": str}]}
_STATE = {
    "waiting": {"reason": str, "message": str},
    "running": {"startedAt": str},
    "terminated": {"exitCode": int, "reason": str, "message": str, "startedAt": str, "finishedAt": str, "signal": int},
}
_STATUSES = [
    {"name!": DNS_LABEL, "image": str, "imageID": str, "state": _STATE, "lastState": _STATE, "restartCount": int}
]
_OBJECTS: dict[str, Any] = {
    **{kind: {**_KEPT, "spec!": spec, "status": _CONDITIONS} for kind, spec in _SPECS.items()},
    "Pod": {
        **_KEPT,
        "spec": _POD_SPEC,
        "status": {
            **_CONDITIONS,
            "phase": str,
            "reason": str,
            "message": str,
            "containerStatuses": _STATUSES,
            "initContainerStatuses": _STATUSES,
        },
    },
    "Event": {
        "metadata!": {"name!": str, "uid!": UID},
        "reason": str,
        "message": str,
        "involvedObject": {"kind": str, "name": str},
        "series": {"lastObservedTime": str},
        "lastTimestamp": str,
        "eventTime": str,
        "firstTimestamp": str,
    },
    "Node": {"metadata!": {"name!": SUBDOMAIN}, "status": {"allocatable": _AMOUNTS}},
    "PersistentVolumeClaim": {
        **_KEPT,
        "spec": {"accessModes": [str], "storageClassName": SUBDOMAIN},
        "status": {"phase": str},
    },
    "LocalQueue": {**_KEPT, "status": _CONDITIONS},
    "Workload": {**_KEPT, "status": _CONDITIONS},
}


def check_manifest(thing: Any) -> None:
    """Raise ``Malformed`` for a document that is no object with kind and name, and for a run that lacks what makes its pods."""
    _check(thing, {"kind!": str, "metadata!": _METADATA}, "")
    if thing["kind"] in RUNS:
        _check(thing, {"spec!": _SPECS[thing["kind"]]}, "")


def check_kept(kind: str, thing: Any) -> None:
    """Raise ``Malformed`` for an object that no API server keeps as one of this kind."""
    _check(thing, _OBJECTS.get(kind, _KEPT), "")


def _check(value: Any, shape: Any, where: str) -> None:
    if isinstance(shape, Form):
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise Malformed(f"{_here(where)} is {kind_of(value)}, and must be {shape.words}")
    elif isinstance(shape, dict):
        _check_members(value, shape, where)
    elif isinstance(shape, list):
        _check_type(value, list, where)
        for number, one in enumerate(value):
            _check(one, shape[0], f"{where}[{number}]")
    else:
        _check_type(value, shape, where)


def _check_members(value: Any, shape: dict[str, Any], where: str) -> None:
    _check_type(value, dict, where)
    known = {key.rstrip("!+"): (key, of_member) for key, of_member in shape.items()}
    for name, (key, _) in known.items():
        if key != name and name not in value:
            raise Malformed(f"{_below(where, name)} is missing")
        if key.endswith("+") and not value[name]:
            raise Malformed(f"{_below(where, name)} is empty")
    for name, one in value.items():
        _, of_member = known.get(name, known.get("*", (name, None)))
        if of_member is not None:
            _check(one, of_member, _below(where, name))


def _check_type(value: Any, wanted: Any, where: str) -> None:
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    if type(value) not in kinds:  # true is no number here
        raise Malformed(f"{_here(where)} is {kind_of(value)}, not {_TYPES[kinds[0]]}")


def _below(where: str, name: str) -> str:
    return f"{where}.{printable(str(name), 60)}" if where else printable(str(name), 60)


def _here(where: str) -> str:
    return where or "it"
