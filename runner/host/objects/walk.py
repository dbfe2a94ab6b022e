"""Walk over objects: their pods, containers and Jobs, whatever kind starts them."""

import re

UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


def title(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"


def pods(objects):
    """Yield where and template of every pod that the objects would start."""
    for thing in objects:
        spec = thing.get("spec", {})
        if thing["kind"] == "Job":
            yield title(thing), spec["template"]
        elif thing["kind"] == "MPIJob":
            for role, replica in spec["mpiReplicaSpecs"].items():
                yield f"{title(thing)}, {role}", replica["template"]
        elif thing["kind"] == "JobSet":
            for part in spec["replicatedJobs"]:
                yield f"{title(thing)}, {part['name']}", part["template"]["spec"]["template"]


def containers(objects):
    """Yield where, pod spec and container of every container, init containers first."""
    for where, template in pods(objects):
        spec = template["spec"]
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            yield f"{where}, container {container['name']}", spec, container


def jobs(objects):
    """Yield where and spec of every batch/v1 Job, those inside a JobSet too."""
    for thing in objects:
        if thing["kind"] == "Job":
            yield title(thing), thing["spec"]
        elif thing["kind"] == "JobSet":
            for part in thing["spec"]["replicatedJobs"]:
                yield f"{title(thing)}, {part['name']}", part["template"]["spec"]


def quantity(text):
    """Return a quantity as a number of bytes or units."""
    found = re.fullmatch(r"([0-9]+)([KMGT]i)?", str(text))
    if found is None:
        raise ValueError(f"{text!r} is no quantity that this kit writes")
    number, unit = found.groups()
    return int(number) * UNITS[unit or ""]


def metadata(objects):
    for thing in objects:
        yield title(thing), thing["metadata"]
    yield from ((where, template["metadata"]) for where, template in pods(objects))
