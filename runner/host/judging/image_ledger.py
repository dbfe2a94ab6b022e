"""Compute what is known for and against the published numbers of images, as ``ledger`` does for those of BLOOM. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from runner.host.judging.findings import Finding, FindingKind, rounds_to
from runner.host.judging.verdict import rounding
from runner.host.readers.catalog import Catalog
from runner.host.readers.images import ImageClaim, ImageRatio

# The conditions that two numbers of the same cell share: accelerator, devices, model, precision, batches.
Cell = tuple[str, int, str, str, tuple[int, ...]]


def findings(catalog: Catalog) -> Iterator[Finding]:
    """Yield all findings about images, in the order of their kinds."""
    for find in (_never_measured_again, _ratios, _unlike_columns):
        yield from find(catalog)


def conditions_in_words(claim: ImageClaim) -> str:
    """Return batches and precision of a number, as in ``batch 4 or 8 in bfloat16``."""
    return f"batch {' or '.join(map(str, claim.batch_sizes))} in {claim.precision}"


def devices_in_words(claim: ImageClaim) -> str:
    """Return devices and accelerator of a number."""
    return f"{claim.devices} x {claim.accelerator}"


def _cell(claim: ImageClaim) -> Cell:
    return claim.accelerator, claim.devices, claim.model, claim.precision, claim.batch_sizes


def _never_measured_again(catalog: Catalog) -> Iterator[Finding]:
    """Find numbers that two sources give digit for digit."""
    for (name, claim), (other_name, other) in itertools.combinations(catalog.images.items(), 2):
        if claim.source != other.source and _cell(claim) == _cell(other) and claim.value == other.value:
            where = f"{devices_in_words(claim)}, {claim.model}, {conditions_in_words(claim)}"
            text = f"{where}: {claim.value} {claim.unit} in {claim.source} and in {other.source}"
            yield Finding("not measured again", [name, other_name], text)


def _ratios(catalog: Catalog) -> Iterator[Finding]:
    """Compute each claimed factor."""
    for ratio in catalog.image_ratios.values():
        yield of_ratio(catalog, ratio)


def of_ratio(catalog: Catalog, ratio: ImageRatio) -> Finding:
    """Compute one claimed factor, and what it is on equal batches where the two sides differ in batch or precision."""
    if ratio.faster is None:
        return _without_a_cell(catalog, ratio)
    slower, faster = catalog.images[ratio.slower], catalog.images[ratio.faster]
    computed = slower.seconds_per_image / faster.seconds_per_image
    holds = rounds_to(computed, ratio.says)
    kind: FindingKind = "ratio holds" if holds else "ratio differs"
    text = f"{_said(ratio)}: {slower.value} / {faster.value} = {computed:.3f}, which {'rounds to it' if holds else 'does not'}"
    if (slower.precision, slower.batch_sizes) != (faster.precision, faster.batch_sizes):
        kind = "ratio of unlike conditions"
        text += (
            f"; it sets {devices_in_words(slower)}, {conditions_in_words(slower)}, against {devices_in_words(faster)},"
        )
        text += f" {conditions_in_words(faster)}, {_on_equal_batches(catalog, slower, faster)}"
    return Finding(kind, [ratio.slower, ratio.faster], text)


def _said(ratio: ImageRatio) -> str:
    return f"{' and '.join(ratio.sources)} {'says' if len(ratio.sources) == 1 else 'say'} {ratio.says} for images"


def _on_equal_batches(catalog: Catalog, slower: ImageClaim, faster: ImageClaim) -> str:
    """Return in words the factors against numbers of the faster side's accelerator at the batches of the slower side."""
    told = []
    for claim in catalog.images.values():
        same = (faster.accelerator, faster.devices, faster.model, slower.batch_sizes)
        if (claim.accelerator, claim.devices, claim.model, claim.batch_sizes) == same:
            factor = slower.seconds_per_image / claim.seconds_per_image
            unlike = "" if claim.precision == slower.precision else f", still in {claim.precision}"
            told.append(f"{factor:.2f} against {claim.value} {claim.unit} of {claim.source}{unlike}")
    return f"on equal batches it is {' and '.join(told) or 'not published'}"


def _without_a_cell(catalog: Catalog, ratio: ImageRatio) -> Finding:
    """Find a factor whose faster side no source gives: what that side would have to be, and which number comes nearest."""
    slower = catalog.images[ratio.slower]
    least, greatest = rounding(ratio.says)
    name, nearest = min(
        ((name, claim) for name, claim in catalog.images.items() if claim.accelerator != slower.accelerator),
        key=lambda row: abs(slower.seconds_per_image / row[1].seconds_per_image - float(ratio.says)),
    )
    factor = slower.seconds_per_image / nearest.seconds_per_image
    text = f"{_said(ratio)} and no source has its cell: beside {slower.value} {slower.unit} of {devices_in_words(slower)} the cell"
    text += f" would be {slower.seconds_per_image / greatest:.3f} to {slower.seconds_per_image / least:.3f} s; the nearest published,"
    text += f" {nearest.value} {nearest.unit} of {devices_in_words(nearest)}, {conditions_in_words(nearest)} ({nearest.source}), makes"
    text += f" {factor:.3f}, which {'rounds to it' if rounds_to(factor, ratio.says) else 'does not'}"
    return Finding("ratio without a cell", [ratio.slower, name], text)


def _unlike_columns(catalog: Catalog) -> Iterator[Finding]:
    """Find tables of images whose columns differ in more conditions than the accelerator."""
    for source in catalog.claim_sources:
        rows = {name: claim for name, claim in catalog.images.items() if claim.source == source}
        of_accelerator: dict[str, set[str]] = {}
        for claim in rows.values():
            of_accelerator.setdefault(claim.accelerator, set()).add(conditions_in_words(claim))
        ways: dict[str, list[str]] = {}
        for accelerator, conditions in of_accelerator.items():
            ways.setdefault(" and ".join(sorted(conditions)), []).append(accelerator)
        if len(ways) > 1:
            columns = "; ".join(f"{' and '.join(sorted(accelerators))}: {way}" for way, accelerators in ways.items())
            yield Finding("unlike columns", list(rows), f"{source}: {columns}")
