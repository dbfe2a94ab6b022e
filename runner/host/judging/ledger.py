"""Compute what is known for and against the published numbers, and how near each is to the limit that memory bandwidth sets.

No sentence about a single number is typed here: every finding is computed from the rows of the catalog, and changes with them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from runner.contract.architecture import Architecture
from runner.host.judging import image_ledger
from runner.host.judging.findings import Finding, FindingKind, decimals, rounds_to
from runner.host.readers.catalog import CLAIMED_BYTES_PER_ELEMENT, Catalog, Claim

# Shares of the memory limit from which on memory bounds a cell, or may bound it: a judgement. The post's cells of 7B on 8 devices lie
# below both, its other cells above.
MEMORY_BOUND, FAR_FROM_MEMORY = 0.40, 0.20

# The bound of a cell's latency; "an error": no device can be so fast.
Bound = Literal["an error", "memory", "memory or host", "host or link", "host"]
# The conditions that two claims of the same cell share: accelerator, devices, model, batch size.
Cell = tuple[str, int, str, int]


@dataclass(frozen=True)
class Limit:
    """The least seconds of a cell, in which each token reads the weights once at the devices' memory bandwidth.

    ``share`` is ``floor_s`` over the measured seconds; ``bound`` is what the share suggests. The estimate reads the tied embedding once,
    as LM head, and no cache; communication is free. A share above 1 is impossible: then the number, or one of its conditions, is wrong.
    """

    floor_s: float
    share: float
    bound: Bound


def floor_s(
    architecture: Architecture, precision: str, devices: int, bytes_per_s: float | None, output_tokens: int = 100
) -> float | None:
    """Return the seconds in which ``devices`` read the weights once for each token, for a batch of any size.

    ``bytes_per_s`` is the memory bandwidth of one device. Returns None where it, or the size of the precision, is unknown.
    """
    if bytes_per_s is None or precision not in CLAIMED_BYTES_PER_ELEMENT:
        return None
    weight_bytes = _parameters(architecture) * CLAIMED_BYTES_PER_ELEMENT[precision]
    return output_tokens * weight_bytes / devices / bytes_per_s


@functools.cache
def _parameters(architecture: Architecture) -> int:
    # a report asks for each of a thousand requests, and all are of a few models
    return architecture.parameter_count()


def limit(
    architecture: Architecture,
    precision: str,
    devices: int,
    bytes_per_s: float | None,
    latency_s: float,
    output_tokens: int = 100,
) -> Limit | None:
    """Return the ``Limit`` of a cell of batch 1 that took ``latency_s``, None where ``floor_s`` is unknown."""
    least_s = floor_s(architecture, precision, devices, bytes_per_s, output_tokens)
    if least_s is None:
        return None
    share = least_s / latency_s
    bound: Bound
    if share > 1:
        bound = "an error"
    elif share >= MEMORY_BOUND:
        bound = "memory"
    elif share >= FAR_FROM_MEMORY:
        bound = "memory or host"
    else:
        bound = "host or link" if devices > 1 else "host"
    return Limit(least_s, share, bound)


def limits(catalog: Catalog) -> dict[str, Limit | None]:
    """Return the ``Limit`` of every claim by name; None for a batch, and where the accelerator's bandwidth is unknown."""
    by_claim: dict[str, Limit | None] = {}
    for name, claim in catalog.claims.items():
        bandwidth = catalog.accelerators[claim.accelerator].hbm_bytes_per_s
        model = catalog.models[claim.model]
        single = claim.batch_size == 1
        by_claim[name] = limit(model, claim.precision, claim.devices, bandwidth, claim.latency_s) if single else None
    return by_claim


def findings(catalog: Catalog) -> list[Finding]:
    """Return all findings, in the order of their kinds; the same text about several claims is one finding."""
    finders = (
        *(_not_found, _beyond_memory, _other_text, _equal_digits, _never_measured_again, _slower_later),
        *(_ratios, _prices, _unlike_columns, _replicates, image_ledger.findings),
    )
    by_text: dict[str, Finding] = {}
    for finding in (finding for find in finders for finding in find(catalog)):
        if finding.text in by_text:
            by_text[finding.text].claims.extend(finding.claims)
        else:
            by_text[finding.text] = finding
    return list(by_text.values())


def _cell(claim: Claim) -> Cell:
    return claim.accelerator, claim.devices, claim.model, claim.batch_size


def _cell_in_words(claim: Claim) -> str:
    return f"{claim.devices} x {claim.accelerator}, {claim.model}"


def _revisions(catalog: Catalog) -> list[str]:
    """Return the sources that are revisions of the post, in order."""
    return [name for name in catalog.claim_sources if name.startswith("post-")]


def _not_found(catalog: Catalog) -> Iterator[Finding]:
    """Find sources that could not be found."""
    for name, source in catalog.claim_sources.items():
        if not source.found:
            yield Finding("not found", [], f"{name} ({source.date}): {source.note}")


def _beyond_memory(catalog: Catalog) -> Iterator[Finding]:
    """Find claims of less time than reading the weights takes: the number, or one of its conditions, is wrong."""
    for name, claim in catalog.claims.items():
        bandwidth = catalog.accelerators[claim.accelerator].hbm_bytes_per_s
        least_s = floor_s(catalog.models[claim.model], claim.precision, claim.devices, bandwidth)
        # the latency of a claim of a batch is that of one row; the weights are read once for all rows
        call_s = claim.latency_s * claim.batch_size
        if least_s is not None and call_s < least_s:
            text = f"{_cell_in_words(claim)}: {claim.value} {claim.unit} is {least_s / call_s:.0%} of what memory allows: reading the"
            text += f" weights for 100 tokens takes {least_s:.3f} s"
            yield Finding("faster than memory allows", [name], text)


def _other_text(catalog: Catalog) -> Iterator[Finding]:
    """Find sources whose text says to use another stack than their table was measured on."""
    for name, source in catalog.claim_sources.items():
        if source.table_stack != source.text_stack:
            claims = [claim for claim, row in catalog.claims.items() if row.source == name]
            yield Finding(
                "text differs",
                claims,
                f"{name}: the table is of {source.table_stack}, the text tells to use {source.text_stack}",
            )


def _equal_digits(catalog: Catalog) -> Iterator[Finding]:
    """Find claims that equal another source's number to the last digit, on the same devices, though the models differ."""
    for name, claim in catalog.claims.items():
        for other_name, other in catalog.claims.items():
            same_devices = (claim.accelerator, claim.devices) == (other.accelerator, other.devices)
            if (
                claim.unit != "s"
                or other.unit == "s"
                or not same_devices
                or claim.model == other.model
                or other.batch_size != 1
            ):
                continue
            if rounds_to(other.latency_s, claim.value) and decimals(other.value) + 1 >= decimals(claim.value):
                text = f"{claim.value} s of {claim.model} equals 100 tokens of {other.value} {other.unit} of {other.model} ({other_name})"
                yield Finding("equal digits", [name, other_name], text)


def _never_measured_again(catalog: Catalog) -> Iterator[Finding]:
    """Find cells that a later revision repeats digit for digit, though others moved."""
    for name, other_name, claim, other in _pairs_of_revisions(catalog):
        if claim.value == other.value:
            text = f"{_cell_in_words(claim)}: {claim.value} s in both revisions"
            yield Finding("not measured again", [name, other_name], text)


def _slower_later(catalog: Catalog) -> Iterator[Finding]:
    """Find cells that a later revision says are slower."""
    for name, other_name, claim, other in _pairs_of_revisions(catalog):
        if other.latency_s > claim.latency_s:
            change = other.latency_s / claim.latency_s - 1
            text = f"{_cell_in_words(claim)}: {claim.value} s, later {other.value} s ({change:+.1%})"
            yield Finding("slower later", [name, other_name], text)


def _pairs_of_revisions(catalog: Catalog) -> Iterator[tuple[str, str, Claim, Claim]]:
    """Yield the names and the claims of each cell that two successive revisions have, the earlier revision first."""
    revisions = [name for name in _revisions(catalog) if catalog.claim_sources[name].found]
    for earlier, later in itertools.pairwise(revisions):
        cells = {_cell(claim): (name, claim) for name, claim in catalog.claims.items() if claim.source == later}
        for name, claim in catalog.claims.items():
            if claim.source == earlier and _cell(claim) in cells:
                other_name, other = cells[_cell(claim)]
                yield name, other_name, claim, other


def _ratios(catalog: Catalog) -> Iterator[Finding]:
    """Compute each factor that is claimed in words, and the factors of like numbers of devices where a claim's numbers are unlike."""
    for name, ratio in catalog.ratios.items():
        slower, faster = catalog.claims[ratio.slower], catalog.claims[ratio.faster]
        computed = slower.latency_s / faster.latency_s
        holds = rounds_to(computed, ratio.says)
        text = f"{name} says {ratio.says}: {slower.value} / {faster.value} = {computed:.3f}, which "
        text += "rounds to it" if holds else "does not"
        kind: FindingKind = "ratio holds" if holds else "ratio differs"
        if slower.devices != faster.devices:
            kind = "ratio of unlike devices"
            text += f"; it sets {slower.devices} x {slower.accelerator} against {faster.devices} x {faster.accelerator}"
            text += f", like for like it is {_like_for_like(catalog, ratio.source, slower, faster)}"
        yield Finding(kind, [ratio.slower, ratio.faster], text)


def _like_for_like(catalog: Catalog, source: str, slower: Claim, faster: Claim) -> str:
    """Return the factors of the same source, model and accelerators on equal numbers of devices, in words."""
    cells = {
        (claim.accelerator, claim.devices): claim
        for claim in catalog.claims.values()
        if (claim.source, claim.model) == (source, slower.model)
    }
    factors = []
    for accelerator, devices in sorted(cells):
        if accelerator == slower.accelerator and (faster.accelerator, devices) in cells:
            factor = cells[accelerator, devices].latency_s / cells[faster.accelerator, devices].latency_s
            factors.append(f"{factor:.2f} on {devices}")
    return " and ".join(factors) or "not published"


def _prices(catalog: Catalog) -> Iterator[Finding]:
    """Compute the ratio of the costs of the same tokens for each pair of prices."""
    for name, price in catalog.prices.items():
        dearer, cheaper = catalog.claims[price.dearer], catalog.claims[price.cheaper]
        factor = dearer.latency_s * price.dearer_usd_per_h / (cheaper.latency_s * price.cheaper_usd_per_h)
        text = f"{name}: at {price.dearer_usd_per_h:g} and {price.cheaper_usd_per_h:g} USD an hour, {dearer.accelerator} costs"
        text += f" {factor:.2f} times {cheaper.accelerator} for the same tokens ({dearer.devices} device(s) of each)"
        yield Finding("price", [price.dearer, price.cheaper], text)


def _unlike_columns(catalog: Catalog) -> Iterator[Finding]:
    """Find tables whose columns differ in more conditions than the accelerator."""
    for source in _revisions(catalog):
        rows = {name: claim for name, claim in catalog.claims.items() if claim.source == source}
        ways: dict[str, set[str]] = {}
        for claim in rows.values():
            protocol = catalog.protocols[claim.protocol]
            graphs = "graphs" if protocol.graphs else "no graphs"
            way = f"{claim.precision}, end of text {protocol.end_of_text}, {graphs}, {protocol.shapes} shapes"
            way += f", tokens {protocol.token_count}"
            ways.setdefault(way, set()).add(claim.accelerator)
        if len(ways) > 1:
            columns = "; ".join(f"{' and '.join(sorted(accelerators))}: {way}" for way, accelerators in ways.items())
            yield Finding("unlike columns", list(rows), f"{source}: {columns}")


def _replicates(catalog: Catalog) -> Iterator[Finding]:
    """Find other sources' numbers of the cells of the newest revision, and how far these numbers lie from the revision's."""
    newest = [name for name in _revisions(catalog) if catalog.claim_sources[name].found][-1]
    for name, claim in catalog.claims.items():
        if claim.source == newest:
            others = {
                other_name: other
                for other_name, other in catalog.claims.items()
                if (_cell(other), other.weights) == (_cell(claim), claim.weights)
                and not other.source.startswith("post-")
            }
            numbers = ", ".join(
                f"{other.latency_s:.3f} s ({other.latency_s / claim.latency_s - 1:+.1%}, {other.source})"
                for other in others.values()
            )
            if others:
                yield Finding("replicates", [name, *others], f"{_cell_in_words(claim)}: {claim.value} s; {numbers}")
