"""Compare a group of results with the published cells that its case names. Pure: a row with a verdict for each cell comes out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from runner.contract.records import Conditions
from runner.contract.request import Request
from runner.contract.text import printable
from runner.host.judging import ledger, verdict
from runner.host.judging.groups import Group
from runner.host.judging.ledger import Limit
from runner.host.judging.verdict import Verdict
from runner.host.readers.catalog import Catalog, Claim


@dataclass(frozen=True)
class Difference:
    """A condition of a claim that a result does not share: what was found in the result, and what the claim wants."""

    condition: str
    found: str
    wanted: str


@dataclass(frozen=True)
class Row:
    """One published cell beside one group of results. ``published_s`` is the number as printed, ``claim`` its name.

    ``published`` and ``measured`` name devices and model of the cell and of the request. ``walk_through`` says that the request is
    for the CPU, which reproduces no cell. ``limit`` is None where the distance to the memory's limit is unknown.
    """

    claim: str
    published: str
    published_s: str
    request: str
    measured: str
    walk_through: bool
    verdict: Verdict
    limit: Limit | None
    differences: list[Difference]

    @property
    def word(self) -> str:
        """The verdict's word as pages show it: a walk-through has no verdict on a cell, and says that it is one."""
        return "walk-through" if self.walk_through else self.verdict.word


class Condition(NamedTuple):
    """A condition of a claim: what the claim wants, and what a request asked for or a launch was observed under."""

    name: str
    wanted: object
    found: object


def against_claims(catalog: Catalog, group: Group, others: Iterable[str] = ()) -> list[Row]:
    """Return a ``Row`` for every claim that the group's case names, and then for the claims that ``others`` names.

    A claim that the catalog no longer has is passed over.
    """
    rows, impossible = [], beyond_memory(group)
    for name in dict.fromkeys([*group.request.beside, *others]):
        claim = catalog.claims.get(name)
        if claim is None:
            continue
        differences = conditions_that_differ(catalog, claim, group)
        judged = _verdict(claim, group, differences, impossible)
        rows.append(
            Row(
                claim=name,
                published=f"{claim.devices} x {claim.accelerator}, {claim.model}",
                published_s=claim.value,
                request=group.request.id,
                measured=group.words,
                walk_through=group.request.accelerator.is_the_host,
                verdict=judged,
                limit=_limit(group.request, judged, float(claim.value)),
                differences=differences,
            )
        )
    return rows


def claims_of_the_cell(catalog: Catalog, request: Request, sources: Collection[str]) -> list[str]:
    """Return the claims of ``sources`` about the request's cell: its accelerator, devices, model and batch, in seconds of a call."""
    cell = (request.accelerator.name, request.devices, request.model.name, request.workload.batch_size)
    return [
        name
        for name, claim in catalog.claims.items()
        if claim.source in sources
        and claim.unit == "s"
        and (claim.accelerator, claim.devices, claim.model, claim.batch_size) == cell
        and claim.workload == request.workload.name
    ]


def rows(catalog: Catalog, groups: Iterable[Group]) -> list[Row]:
    """Return the rows of all groups, in their order."""
    return [row for group in groups for row in against_claims(catalog, group)]


def _verdict(claim: Claim, group: Group, differences: Sequence[Difference], impossible: str | None) -> Verdict:
    judged = verdict.against_claim(
        group.latencies_s,
        claim.value,
        group.request.margin,
        claim.prior_cv,
        [difference.condition for difference in differences],
        # a launch that failed is no sample, and makes the group invalid only if there is no other launch
        () if group.latencies_s else sorted(group.refused_checks),
    )
    if group.emulated:
        return Verdict(judged.word, judged.reasons, judged.launches)
    if impossible or group.moved_image:
        return Verdict(
            verdict.INVALID, [words for words in (impossible, group.moved_image) if words], len(group.latencies_s)
        )
    unknown = [
        f"digest unknown: nobody noted which image {printable(image, 200)} was"
        for image in sorted(group.unknown_images)
    ]
    return replace(judged, reasons=[*judged.reasons, *unknown])


def beyond_memory(group: Group) -> str | None:
    """Return in words that a launch took less time than reading the weights takes; None where no launch did."""
    request = group.request
    floors_s = [
        ledger.floor_s(
            request.model.architecture,
            observed["precision"],
            observed["devices"],
            request.accelerator.hbm_bytes_per_s,
            request.workload.output_tokens,
        )
        for observed in group.observed.values()
    ]
    known_s = [floor_s for floor_s in floors_s if floor_s is not None]
    if not group.latencies_s or not known_s or len(known_s) < len(floors_s):
        return None
    least_s, floor_s = min(group.latencies_s), min(known_s)
    if least_s >= floor_s:
        return None
    return (
        f"a launch of {least_s:.4g} s took less than the {floor_s:.4g} s in which the memory of {request.accelerator.name} can give"
        " the weights once for each token"
    )


def without_times(group: Group) -> str | None:
    """Return in words why the times of a group say nothing of its request, None where they do."""
    if group.emulated:
        return "something stood in for the device"
    return beyond_memory(group) or group.moved_image


def _limit(request: Request, judged: Verdict, published_s: float) -> Limit | None:
    """Return how near the measured time is to the limit that memory bandwidth sets, None where either is unknown."""
    if judged.ratio is None or request.workload.batch_size > 1:
        return None
    return ledger.limit(
        request.model.architecture,
        request.workload.precision,
        request.devices,
        request.accelerator.hbm_bytes_per_s,
        judged.ratio * published_s,
        request.workload.output_tokens,
    )


def conditions(catalog: Catalog, claim: Claim, group: Group) -> Iterator[Condition]:
    """Yield every condition of a claim: once by what the request asks for, or once for each set that launches were observed under."""
    wanted = claimed(catalog, claim)
    for found in (asked(group.request), *map(observed, group.observed.values())):
        for name, value in found.items():
            yield Condition(name, wanted[name], value)


def claimed(catalog: Catalog, claim: Claim) -> dict[str, object]:
    """Return the conditions of a claim by their names: those of ``asked``, and those of ``observed``."""
    protocol, workload = catalog.protocols[claim.protocol], catalog.workloads[claim.workload]
    return {
        "accelerator": claim.accelerator,
        "model": claim.model,
        "weights": claim.weights,
        "stack": claim.stack,
        "protocol": claim.protocol,
        "protocol version": protocol.version,
        "batch": claim.batch_size,
        "prompt": workload.prompt,
        "input tokens": workload.input_tokens,
        "output tokens": workload.output_tokens,
        "emulated": False,
        "devices": claim.devices,
        "precision": claim.precision,
        "graphs": protocol.graphs,
        "shapes": protocol.shapes,
        "end of text": protocol.end_of_text,
        "KV cache": True,
    }


def asked(request: Request) -> dict[str, object]:
    """Return the conditions that a request asks for, by their names."""
    return {
        "accelerator": request.accelerator.name,
        "model": request.model.name,
        "weights": request.weights.kind,
        "stack": request.stack.name,
        "protocol": request.protocol.name,
        "protocol version": request.protocol.version,
        "batch": request.workload.batch_size,
        "prompt": request.workload.prompt,
        "input tokens": request.workload.input_tokens,
        "output tokens": request.workload.output_tokens,
    }


def observed(launch: Conditions) -> dict[str, object]:
    """Return the conditions that a launch was observed under, by their names."""
    return {
        "emulated": launch["emulated"],
        "devices": launch["devices"],
        "precision": launch["precision"],
        "graphs": launch["graphs"],
        "shapes": launch["shapes"],
        "end of text": launch["end_of_text"],
        "KV cache": launch["kv_cache"],
    }


def conditions_that_differ(catalog: Catalog, claim: Claim, group: Group) -> list[Difference]:
    """Return every condition of the claim that some launch of the group does not share, each value once."""
    differences = {}
    for condition in conditions(catalog, claim, group):
        if condition.wanted != condition.found:
            difference = Difference(condition.name, word(condition.found), word(condition.wanted))
            differences[condition.name, str(condition.found)] = difference
    return list(differences.values())


def word(value: object) -> str:
    """Return the value of a condition as people read it."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def decided(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that an interval decided: the looks that a headline is corrected for."""
    return [row for row in rows if row.verdict.word in verdict.DECIDED]


def headline(rows: Iterable[Row]) -> list[str]:
    """Return the claims that may be called slower together, by Holm's rule over all cells that were decided."""
    looks = [(row, row.verdict.p_slower) for row in decided(rows) if row.verdict.p_slower is not None]
    adjusted = verdict.holm([p_slower for _, p_slower in looks])
    return [
        row.claim
        for (row, _), p in zip(looks, adjusted, strict=True)
        if row.verdict.word == verdict.SLOWER and p < verdict.SIGNIFICANCE
    ]
