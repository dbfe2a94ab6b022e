"""The shape that an object of each kind must have, as far as the kit reads the object.

The objects stand in manifests, in the answers of a cluster, and in the saved objects of earlier runs.

The API server checks far more. These checks keep a null or a text in the place of a list from ending a verb with a traceback, and a
name from leading out of the folder of a run.
"""

from __future__ import annotations

import re
from typing import Any

from runner.contract.patterns import DNS_LABEL, LABEL_VALUE, SUBDOMAIN, Form
from runner.contract.records import JsonObject
from runner.contract.text import printable
from runner.host.readers.kubeyaml import kind_of

UID = Form(re.compile("[A-Za-z0-9-]{1,63}"), "an identifier")

# The kinds that make the pods of a run.
RUNS = ("Job", "MPIJob", "JobSet")

_TYPES = {str: "text", int: "a whole number", bool: "true or false", dict: "a mapping", list: "a list"}


class Malformed(ValueError):
    """An object is not as Kubernetes makes it; the message says where, without a full stop."""


# --- shapes ---
# A shape is a type, a tuple of types, a ``Form``, [shape of the items] of a list, or a mapping of members to their shapes. The member
# "name!" must be there, "name+" must be there and not be empty, and "*" is the shape of every member that has no other.
# Python has no recursive type for this that mypy takes as the dictionaries below: a shape is Any.
Shape = Any

_AMOUNTS = {"*": (str, int, float)}
_METADATA: dict[str, Shape] = {
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
# Any object as a cluster keeps it.
_KEPT = {"metadata!": {**_METADATA, "uid!": UID}}
_CONTAINER = {
    "name!": DNS_LABEL,
    "image": str,
    "command": [str],
    "args": [str],
    "env": [{"name!": str}],
    "volumeMounts": [{"name!": str, "mountPath!": str}],
    "resources": {"requests": _AMOUNTS, "limits": _AMOUNTS},
}
_CONFIG_MAP = {"name!": SUBDOMAIN, "optional": bool}
_VOLUME = {
    "name!": str,
    "persistentVolumeClaim": {"claimName!": SUBDOMAIN},
    "configMap": _CONFIG_MAP,
    "projected": {"sources": [{"configMap": _CONFIG_MAP}]},
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
_SPECS: dict[str, Shape] = {
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
_OBJECTS: dict[str, Shape] = {
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
    "Node": {
        "metadata!": {"name!": SUBDOMAIN, "labels": {"*": LABEL_VALUE}},
        "spec": {"unschedulable": bool},
        "status": {"allocatable": _AMOUNTS},
    },
    "PersistentVolumeClaim": {
        **_KEPT,
        "spec": {"accessModes": [str], "storageClassName": SUBDOMAIN, "resources": {"requests": _AMOUNTS}},
        "status": {"phase": str, "capacity": _AMOUNTS},
    },
    "LocalQueue": {**_KEPT, "status": _CONDITIONS},
    "Workload": {**_KEPT, "status": _CONDITIONS},
}


def check_manifest(document: object) -> JsonObject:
    """Return a document that is an object with kind and name; a run must have what makes its pods too. Raises ``Malformed``."""
    _check(document, {"kind!": str, "metadata!": _METADATA}, "")
    assert isinstance(document, dict)
    if document["kind"] in RUNS:
        _check(document, {"spec!": _SPECS[document["kind"]]}, "")
    return document


def check_kept(kind: str, manifest: object) -> None:
    """Raise ``Malformed`` for an object that no API server keeps as one of this kind."""
    _check(manifest, _OBJECTS.get(kind, _KEPT), "")


def _check(value: object, shape: Shape, where: str) -> None:
    if isinstance(shape, Form):
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise Malformed(f"{_here(where)} is {kind_of(value)}, and must be {shape.words}")
    elif isinstance(shape, dict):
        _check_members(value, shape, where)
    elif isinstance(shape, list):
        _check_type(value, list, where)
        assert isinstance(value, list)
        for index, item in enumerate(value):
            _check(item, shape[0], f"{where}[{index}]")
    else:
        _check_type(value, shape, where)


def _check_members(value: object, shape: dict[str, Shape], where: str) -> None:
    _check_type(value, dict, where)
    assert isinstance(value, dict)
    members = {key.rstrip("!+"): (key, of_member) for key, of_member in shape.items()}
    for name, (key, _) in members.items():
        if key != name and name not in value:
            raise Malformed(f"{_below(where, name)} is missing")
        if key.endswith("+") and not value[name]:
            raise Malformed(f"{_below(where, name)} is empty")
    for name, member in value.items():
        _, of_member = members.get(name, members.get("*", (name, None)))
        if of_member is not None:
            _check(member, of_member, _below(where, name))


def _check_type(value: object, wanted: type | tuple[type, ...], where: str) -> None:
    types = wanted if isinstance(wanted, tuple) else (wanted,)
    # The exact type: True is an int to isinstance, and no number here.
    if type(value) not in types:
        raise Malformed(f"{_here(where)} is {kind_of(value)}, not {_TYPES[types[0]]}")


def _below(where: str, name: str) -> str:
    return f"{where}.{printable(str(name), 60)}" if where else printable(str(name), 60)


def _here(where: str) -> str:
    return where or "it"
