"""The software and the hosts that were measured, and the pins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.contract.records import Inventory
from runner.contract.request import Request
from runner.host.figures.svg import Figure
from runner.host.judging.groups import Group
from runner.host.judging.measured import Measured
from runner.host.report import shown
from runner.host.report.material import Material, WholeFile
from runner.host.report.shown import Facts

HEADING: str | None = "Environment and pins"


@dataclass(frozen=True)
class AskedFor:
    """What one request asks for, and what its launches told. ``facts`` are in words, by what they are; what is unknown is left out.

    ``dummy_weights`` says that random numbers stood in for the published weights, ``emulated`` that something stood in for the device.
    """

    request: str
    dummy_weights: bool
    emulated: bool
    facts: Facts


@dataclass(frozen=True)
class Host:
    """A host and its software as observed, by the newest results of ``requests``."""

    host: str
    requests: list[str]
    facts: Facts


@dataclass(frozen=True)
class Pins:
    """The packages that requests of one stack pin, by name."""

    stack: str
    requirements_sha256: str | None
    packages: dict[str, str]
    requests: list[str]


@dataclass(frozen=True)
class Flagged:
    """A check that launches of a request did not pass: how many of them, of how many; ``first`` names some."""

    request: str
    check: str
    launches: int
    of_launches: int
    first: list[str]


@dataclass(frozen=True)
class Untold:
    """A check that could not be made in the newest results of ``requests``, and why."""

    check: str
    reason: str
    requests: list[str]


@dataclass(frozen=True)
class Content:
    """The section's record. ``left_out`` is the number of older requests that are not shown."""

    requests: list[AskedFor]
    hosts: list[Host]
    pins: list[Pins]
    flagged: list[Flagged]
    untold: list[Untold]
    left_out: int

    @property
    def shared_by_requests(self) -> Facts:
        """The facts that all requests have alike, which the page says once."""
        return shown.shared([request.facts for request in self.requests])

    @property
    def shared_by_hosts(self) -> Facts:
        """The facts that all hosts have alike."""
        return shown.shared([host.facts for host in self.hosts])

    def own(self, facts: Facts, common: Facts) -> Facts:
        """Return the facts that others do not share."""
        return shown.without(facts, common)


def content(material: Material) -> Content | None:
    """Return the section's record; None where nothing was measured."""
    if not material.measured:
        return None
    groups = material.measured[: shown.REQUESTS]
    whole = [file for measured in groups for file in material.whole.get(measured.group.request.id, [])]
    return Content(
        requests=[_asked_for(measured) for measured in groups],
        hosts=_hosts(whole),
        pins=_pins([measured.group.request for measured in groups]),
        flagged=[flagged for measured in groups for flagged in _flagged(measured)],
        untold=_untold(whole),
        left_out=len(material.measured) - len(groups),
    )


def figures(content: object) -> list[Figure]:
    """Return the section's figures: none."""
    return []


def _asked_for(measured: Measured) -> AskedFor:
    request, group = measured.group.request, measured.group
    model, workload, protocol = request.model, request.workload, request.protocol
    facts = {
        "case": request.case,
        "accelerator": f"{request.devices} x {request.accelerator.name}",
        "stack": request.stack.name,
        "model": model.name,
        "weights": _weights(request),
        "precision": workload.precision,
        "engine": request.engine,
        "workload": f"{workload.name}, batch {workload.batch_size}, {workload.input_tokens} input tokens,"
        f" {workload.output_tokens} output tokens",
        "protocol": f"{protocol.name}, version {protocol.version}",
        "launches": f"{request.launches} for each attempt, margin {request.margin * 100:g}%",
        "image asked for": request.stack.image or "",
        "image found": _images(group),
        "driver asked for": request.stack.driver or "",
        "firmware asked for": request.stack.firmware or "",
        "devices told": shown.joined(group.told.get("device", ())),
        "drivers told": shown.joined(group.told.get("driver", ())),
        "firmwares told": shown.joined(group.told.get("firmware", ())),
    }
    return AskedFor(request.id, request.weights.kind == "dummy", group.emulated, _known(facts))


def _weights(request: Request) -> str:
    weights, model = request.weights, request.model
    if weights.kind == "dummy":
        return f"dummy: random numbers of seed {weights.seed}, standard deviation {weights.std}"
    files = f"the sha256 of {len(model.files)} files" if model.files else "no sha256 of a file"
    return f"published: {model.repository}, revision {model.revision}, {files} pinned"


def _images(group: Group) -> str:
    """Return in words which images the tags of a group's attempts were."""
    known = [f"{tag} was {' and '.join(sorted(digests))}" for tag, digests in sorted(group.digests.items())]
    unknown = [f"{image}: digest unknown" for image in sorted(group.unknown_images)]
    return "; ".join([*known, *unknown])


def _known(facts: Facts) -> Facts:
    return {name: shown.foreign(value) for name, value in facts.items() if value}


def _hosts(whole: Iterable[WholeFile]) -> list[Host]:
    """Return each host with its software once, however many results tell it alike."""
    requests: dict[tuple[tuple[str, str], ...], dict[str, None]] = {}
    for file in whole:
        facts = _of_environment(file)
        requests.setdefault(tuple(facts.items()), {})[file.request.id] = None
    return [
        Host(dict(facts)["host"], list(ids), shown.without(dict(facts), ["host"])) for facts, ids in requests.items()
    ]


def _of_environment(file: WholeFile) -> Facts:
    environment = file.result["environment"]
    cpu, ranks = environment["cpu"], [rank for launch in file.result["launches"] for rank in launch.get("ranks", [])]
    memory_bytes = environment["memory_total_bytes"]
    facts = {
        "host": environment["host"],
        "processor": cpu["model"] or "",
        "usable cores": str(cpu["usable_cores"]),
        "governor": cpu["governor"] or "",
        "memory": "" if memory_bytes is None else f"{memory_bytes / 1e9:.1f} GB",
        "devices": shown.joined(rank["device"]["name"] or "" for rank in ranks),
        "drivers": shown.joined(rank["device"]["driver"] or "" for rank in ranks),
        "firmwares": shown.joined(rank["device"].get("firmware") or "" for rank in ranks),
        "operating system": environment["operating_system"] or "",
        "kernel": f"{environment['kernel']}, {environment['machine']}",
        "Python": f"{environment['implementation']} {environment['python']}",
        "image": _image(environment["image"], file.request),
        "installed packages": _inventory(environment["inventory"]),
    }
    return {"host": "", **_known(facts)}


def _image(image: str | None, request: Request) -> str:
    """Return in words which image it was; that of the request stands with the request, so that hosts of several requests are alike."""
    return "none" if image is None else "the one that the request asks for" if image == request.stack.image else image


def _inventory(inventory: Inventory | None) -> str:
    """Return in words how the installed packages compare with the stack's lock."""
    if inventory is None or inventory["requirements"] is None:
        return "not compared with the lock"
    unlike = {
        "missing": len(inventory["missing"]),
        "of another version": len(inventory["changed"]),
        "with altered files": len(inventory["altered_files"]),
        "shadowed": len(inventory.get("shadowed", {})),
        "added": len(inventory["added"]),
    }
    told = [f"{number} {words}" for words, number in unlike.items() if number]
    compared = f"{inventory['compared']} compared with {inventory['requirements']}"
    return f"{compared}: {', '.join(told) or 'all are the locked ones'}"


def _pins(requests: Iterable[Request]) -> list[Pins]:
    """Return the packages of each stack once for each set of versions."""
    alike: dict[tuple[object, ...], list[Request]] = {}
    for request in requests:
        stack = request.stack
        key = (stack.name, stack.requirements_sha256, *sorted(stack.packages.items()))
        alike.setdefault(key, []).append(request)
    stacks = [(same[0].stack, [request.id for request in same]) for same in alike.values()]
    return [Pins(stack.name, stack.requirements_sha256, dict(stack.packages), ids) for stack, ids in stacks]


def _flagged(measured: Measured) -> list[Flagged]:
    group = measured.group
    launches = len(measured.samples) + group.failed
    return [
        Flagged(group.request.id, check, flagged.number, max(launches, flagged.number), list(flagged.first))
        for check, flagged in sorted(group.flagged.items())
    ]


def _untold(whole: Iterable[WholeFile]) -> list[Untold]:
    requests: dict[tuple[str, str], dict[str, None]] = {}
    for file in whole:
        for launch in file.result["launches"]:
            for check, reason in launch.get("cannot_tell", {}).items():
                requests.setdefault((check, reason), {})[file.request.id] = None
    return [Untold(check, reason, list(ids)) for (check, reason), ids in sorted(requests.items())]
