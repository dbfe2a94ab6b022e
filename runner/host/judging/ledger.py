"""What is known for and against the published numbers, computed from the claims; and how near each is to what physics allows.

Nothing here is typed as a sentence about one number: when a row of the catalog changes, so does every finding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from runner.contract.architecture import Architecture
from runner.host.readers.catalog import CLAIMED_BYTES_PER_ELEMENT, Catalog

# What a share of the memory limit suggests: a judgement, drawn where the post's cells of 7B on 8 devices part from its others.
MEMORY_BOUND, FAR_FROM_MEMORY = 0.40, 0.20


@dataclass(frozen=True)
class Limit:
    """The seconds that 100 tokens need at least, when each reads the weights once at the device's memory bandwidth.

    ``share`` is that over the measured seconds; ``bound`` is the class it suggests. The estimate reads all of the tied
    embedding once, as LM head, and no cache; communication is free. A share above 1 cannot be: then a number or a condition
    beside it is wrong.
    """

    floor_s: float
    share: float
    bound: str


@dataclass(frozen=True)
class Finding:
    """One thing that speaks for or against claims: its kind, the claims concerned, and what was computed, in words."""

    kind: str
    claims: list[str]
    text: str


def floor_s(
    architecture: Architecture, precision: str, devices: int, bytes_per_s: float | None, output_tokens: int = 100
) -> float | None:
    """Return the seconds that reading the weights once for each token takes, a batch of any size; None where a rate is unknown."""
    if bytes_per_s is None or precision not in CLAIMED_BYTES_PER_ELEMENT:
        return None
    weight_bytes = architecture.parameter_count() * CLAIMED_BYTES_PER_ELEMENT[precision]
    return output_tokens * weight_bytes / devices / bytes_per_s


def limit(
    architecture: Architecture,
    precision: str,
    devices: int,
    bytes_per_s: float | None,
    latency_s: float,
    output_tokens: int = 100,
) -> Limit | None:
    """Return the ``Limit`` of a cell of batch 1, None where the bandwidth is unknown."""
    least_s = floor_s(architecture, precision, devices, bytes_per_s, output_tokens)
    if least_s is None:
        return None
    share = least_s / latency_s
    if share > 1:
        bound = "an error"
    elif share >= MEMORY_BOUND:
        bound = "memory"
    elif share >= FAR_FROM_MEMORY:
        bound = "memory or host"
    else:
        bound = "host or link" if devices > 1 else "host"
    return Limit(least_s, share, bound)


def limits(catalog):
    """Return the ``Limit`` of every claim of batch 1, by name; None where the accelerator's bandwidth is unknown."""
    found = {}
    for name, claim in catalog.claims.items():
        bandwidth = catalog.accelerators[claim.accelerator].hbm_bytes_per_s
        model = catalog.models[claim.model]
        single = claim.batch_size == 1
        found[name] = limit(model, claim.precision, claim.devices, bandwidth, claim.latency_s) if single else None
    return found


def findings(catalog):
    """Return all findings, in the order of their kinds; the same text about several claims is one finding."""
    kinds = (
        *(_not_found, _beyond_memory, _other_text, _equal_digits, _never_measured_again, _slower_later),
        *(_ratios, _prices, _unlike_columns, _replicates),
    )
    found: dict[str, Finding] = {}
    for finding in (finding for kind in kinds for finding in kind(catalog)):
        if finding.text in found:
            found[finding.text].claims.extend(finding.claims)
        else:
            found[finding.text] = finding
    return list(found.values())


def _cell(claim):
    return claim.accelerator, claim.devices, claim.model, claim.batch_size


def _place(claim):
    return f"{claim.devices} x {claim.accelerator}, {claim.model}"


def _revisions(catalog):
    """Return the sources that are revisions of the post, in order."""
    return [name for name in catalog.claim_sources if name.startswith("post-")]


def _not_found(catalog):
    for name, source in catalog.claim_sources.items():
        if not source.found:
            yield Finding("not found", [], f"{name} ({source.date}): {source.note}")


def _beyond_memory(catalog: Catalog) -> Iterator[Finding]:
    """A number that is less than reading the weights takes: it, or a condition beside it, cannot be right."""
    for name, claim in catalog.claims.items():
        bandwidth = catalog.accelerators[claim.accelerator].hbm_bytes_per_s
        least_s = floor_s(catalog.models[claim.model], claim.precision, claim.devices, bandwidth)
        # a claim of a batch tells the seconds of one of its rows; the weights are read once for all rows
        call_s = claim.latency_s * claim.batch_size
        if least_s is not None and call_s < least_s:
            text = f"{_place(claim)}: {claim.value} {claim.unit} is {least_s / call_s:.0%} of what memory allows: reading the"
            text += f" weights for 100 tokens takes {least_s:.3f} s"
            yield Finding("faster than memory allows", [name], text)


def _other_text(catalog):
    """The text of a source tells to use another stack than its table was measured on."""
    for name, source in catalog.claim_sources.items():
        if source.table_stack != source.text_stack:
            claims = [claim for claim, row in catalog.claims.items() if row.source == name]
            yield Finding(
                "text differs",
                claims,
                f"{name}: the table is of {source.table_stack}, the text tells to use {source.text_stack}",
            )


def _equal_digits(catalog):
    """A number that equals another source's to the last digit, on the same devices, though the models differ."""
    for name, claim in catalog.claims.items():
        for other_name, other in catalog.claims.items():
            same_place = (claim.accelerator, claim.devices) == (other.accelerator, other.devices)
            if (
                claim.unit != "s"
                or other.unit == "s"
                or not same_place
                or claim.model == other.model
                or other.batch_size != 1
            ):
                continue
            if _rounds_to(other.latency_s, claim.value) and _decimals(other.value) + 1 >= _decimals(claim.value):
                text = f"{claim.value} s of {claim.model} equals 100 tokens of {other.value} {other.unit} of {other.model} ({other_name})"
                yield Finding("equal digits", [name, other_name], text)


def _never_measured_again(catalog):
    """A cell that a later revision repeats digit for digit, though others moved."""
    for name, other_name, claim, other in _pairs_of_revisions(catalog):
        if claim.value == other.value:
            text = f"{_place(claim)}: {claim.value} s in both revisions"
            yield Finding("not measured again", [name, other_name], text)


def _slower_later(catalog):
    for name, other_name, claim, other in _pairs_of_revisions(catalog):
        if other.latency_s > claim.latency_s:
            change = other.latency_s / claim.latency_s - 1
            text = f"{_place(claim)}: {claim.value} s, later {other.value} s ({change:+.1%})"
            yield Finding("slower later", [name, other_name], text)


def _pairs_of_revisions(catalog):
    """Yield each cell of each pair of following revisions that both have."""
    revisions = [name for name in _revisions(catalog) if catalog.claim_sources[name].found]
    for earlier, later in itertools.pairwise(revisions):
        cells = {_cell(claim): (name, claim) for name, claim in catalog.claims.items() if claim.source == later}
        for name, claim in catalog.claims.items():
            if claim.source == earlier and _cell(claim) in cells:
                other_name, other = cells[_cell(claim)]
                yield name, other_name, claim, other


def _ratios(catalog):
    """Each factor claimed in words, computed again; where it sets unlike numbers of devices side by side, like for like too."""
    for name, ratio in catalog.ratios.items():
        slower, faster = catalog.claims[ratio.slower], catalog.claims[ratio.faster]
        computed = slower.latency_s / faster.latency_s
        holds = _rounds_to(computed, ratio.says)
        text = f"{name} says {ratio.says}: {slower.value} / {faster.value} = {computed:.3f}, which "
        text += "rounds to it" if holds else "does not"
        kind = "ratio holds" if holds else "ratio differs"
        if slower.devices != faster.devices:
            kind = "ratio of unlike devices"
            text += f"; it sets {slower.devices} x {slower.accelerator} against {faster.devices} x {faster.accelerator}"
            text += f", like for like it is {_like_for_like(catalog, ratio.source, slower, faster)}"
        yield Finding(kind, [ratio.slower, ratio.faster], text)


def _like_for_like(catalog, source, slower, faster):
    """Return the factors of the same source, model and accelerators on equal numbers of devices, in words."""
    cells = {
        (claim.accelerator, claim.devices): claim
        for claim in catalog.claims.values()
        if (claim.source, claim.model) == (source, slower.model)
    }
    told = []
    for accelerator, devices in sorted(cells):
        if accelerator == slower.accelerator and (faster.accelerator, devices) in cells:
            factor = cells[accelerator, devices].latency_s / cells[faster.accelerator, devices].latency_s
            told.append(f"{factor:.2f} on {devices}")
    return " and ".join(told) or "not published"


def _prices(catalog):
    for name, price in catalog.prices.items():
        dearer, cheaper = catalog.claims[price.dearer], catalog.claims[price.cheaper]
        factor = dearer.latency_s * price.dearer_usd_per_h / (cheaper.latency_s * price.cheaper_usd_per_h)
        text = f"{name}: at {price.dearer_usd_per_h:g} and {price.cheaper_usd_per_h:g} USD an hour, {dearer.accelerator} costs"
        text += f" {factor:.2f} times {cheaper.accelerator} for the same tokens ({dearer.devices} device(s) of each)"
        yield Finding("price", [price.dearer, price.cheaper], text)


def _unlike_columns(catalog):
    """Columns of one table whose conditions differ in more than the accelerator."""
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
            told = "; ".join(f"{' and '.join(sorted(accelerators))}: {way}" for way, accelerators in ways.items())
            yield Finding("unlike columns", list(rows), f"{source}: {told}")


def _replicates(catalog):
    """Other sources' numbers of a cell of the newest revision, and how far they lie from it."""
    newest = [name for name in _revisions(catalog) if catalog.claim_sources[name].found][-1]
    for name, claim in catalog.claims.items():
        if claim.source == newest:
            others = {
                n: c for n, c in catalog.claims.items() if _cell(c) == _cell(claim) and not c.source.startswith("post-")
            }
            told = [
                f"{c.latency_s:.3f} s ({c.latency_s / claim.latency_s - 1:+.1%}, {c.source})" for c in others.values()
            ]
            if told:
                yield Finding("replicates", [name, *others], f"{_place(claim)}: {claim.value} s; {', '.join(told)}")


def _rounds_to(number: float, printed: str) -> bool:
    """Return whether a number, rounded to as many decimals, is the one that was printed."""
    return Decimal(f"{number:.{_decimals(printed)}f}") == Decimal(printed)


def _decimals(text: str) -> int:
    """Return how many decimals a number has as printed; that of ``772e-3`` has three."""
    return max(0, -int(Decimal(text).as_tuple().exponent))
