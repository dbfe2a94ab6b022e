"""A rendered run as it is submitted: with its digest, with a name that no other content has, and with its own deadline."""

from __future__ import annotations

import copy
import re

from runner.contract import strictjson
from runner.contract.errors import InputError
from runner.contract.records import JsonObject
from runner.contract.text import printable
from runner.host.objects import names, walk

# The longest wait for packages and for weights of a run that is submitted after they are there. The wait holds the devices.
WAIT_S = 60
# Digits of the run's sha256 in its name, and what the digits and the repetition ("-r" and its number) add to a rendered name.
_DIGEST_DIGITS, _ADDED = 6, 11


def to_submit(run: JsonObject, deadline_s: float | None = None, alone: bool = True) -> JsonObject:
    """Return a run as it is submitted: its digest, a name that no other content has, and its own deadline.

    Rendered Jobs are patient, since they may wait for each other, for packages and for weights. A run that is submitted ``alone``,
    after what it waits for and after the other runs, gets its own deadline (the one given, else that of the annotation
    ``bloomz-bench.dev/deadline-seconds``), and waits no longer than ``WAIT_S`` for each. The digest is that of the rendered spec: a
    run is the same run whatever its deadline.
    Raises ``InputError`` for a deadline that is no number, a label of the kit that is lost, and a name that is too long.
    """
    submitted = without_namespace(run)
    metadata = submitted["metadata"]
    annotations = metadata["annotations"] = metadata.get("annotations") or {}
    labels = metadata["labels"] = metadata.get("labels") or {}
    _check_labels(submitted)
    annotations[names.SPEC_SHA256] = strictjson.sha256_of(submitted["spec"])
    if deadline_s is None and alone:
        deadline_s = _annotated_deadline_s(metadata)
    if deadline_s is not None:
        _set_deadline(submitted, int(deadline_s))
    for spec in walk.pod_specs(submitted) if alone else ():
        for container in spec.get("initContainers") or []:
            _shorten_wait(container.get("command") or [])
            _shorten_wait(container.get("args") or [])
    labels[names.MANAGED_BY] = names.BY_SUBMIT
    metadata["name"] = f"{metadata['name']}-{annotations[names.SPEC_SHA256][:_DIGEST_DIGITS]}"
    if len(metadata["name"]) > names.MAX_NAME + _ADDED:
        raise InputError(f"The name {metadata['name']} is too long for the pods of a run. Shorten it and render again.")
    return submitted


def without_namespace(manifest: JsonObject) -> JsonObject:
    """Return a copy of an object without its namespace: the object goes into the namespace of the client."""
    copied = copy.deepcopy(manifest)
    copied["metadata"].pop("namespace", None)
    return copied


def _annotated_deadline_s(metadata: JsonObject) -> int | None:
    text = metadata["annotations"].get(names.DEADLINE)
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", text):
        raise InputError(
            f"{names.DEADLINE} of {metadata['name']} is {printable(text, 60)!r}, no number of seconds. Render again."
        )
    return int(text)


def _set_deadline(run: JsonObject, deadline_s: int) -> None:
    if run["kind"] == "MPIJob":
        run["spec"].setdefault("runPolicy", {})
    for holder in walk.deadline_holders(run):
        holder["activeDeadlineSeconds"] = deadline_s


def _check_labels(run: JsonObject) -> None:
    """Refuse a run without the labels by which its objects are found. Kustomize may have removed them; the run would seem to be gone."""
    for holder in (run, *walk.templates(run)):
        labels = names.labels_of(holder)
        lost = [f"{key}={value}" for key, value in names.KIT.items() if labels.get(key) != value]
        if lost:
            raise InputError(
                f"{walk.title(run)}, or its pods, lost the label {lost[0]}, by which they are found. Leave the"
                " kit's own labels as they are rendered."
            )


def _shorten_wait(command: list[str]) -> None:
    if "--wait-s" in command:
        command[command.index("--wait-s") + 1] = str(WAIT_S)
