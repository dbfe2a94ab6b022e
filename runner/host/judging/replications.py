"""Gather the independent measurements of each cell, and merge those that were made under the same conditions. Pure.

A laboratory is one measurement of a cell under one set of conditions: its newest one, since launches of one laboratory share hosts and
people, and since an older set of pins is its history. These runs are one laboratory, each folder of results of others is one, and so is
each series of publications: the revisions of the post, the baselines of one CI. A publisher's number that is printed again, digit for
digit, was not measured again and counts once, under the conditions that it was first printed with.

Only measurements that share all conditions of a published cell are merged, and only where all of these are known. The engine is a
condition too. A published number often does not name its engine, and then counts as run by the engine of the others of its conditions
where these have one alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from runner.contract.request import Request
from runner.host.judging import comparison, random_effects, verdict
from runner.host.judging.measured import Measured
from runner.host.readers.catalog import UNKNOWN, Catalog, Claim

Origin = Literal["published", "these runs", "another laboratory"]
OURS = "these runs"
# Accelerator, devices, model, batch size; weights are a condition.
Cell = tuple[str, int, str, int]


@dataclass(frozen=True)
class Measurement:
    """What one laboratory measured of a cell under one set of conditions: the seconds of one call.

    ``laboratory`` is its name, or the names of the publications. ``names`` are the published cells, or the request's id; ``launches`` is
    1 for a published number. ``latency_s`` is the geometric mean of launches, ``interval_s`` its 90% interval. ``error`` is the standard
    error of the mean logarithm; ``assumed_cv`` the variation of single launches that it rests on, None where launches showed their
    variation themselves. Interval and error are None where nothing is known of the variation. ``older`` counts the laboratory's older sets
    of pins, or numbers, under the same conditions. ``weight`` is the share in what the group says together, None where nothing was merged.
    """

    laboratory: str
    origin: Origin
    names: list[str]
    launches: int
    latency_s: float
    interval_s: tuple[float, float] | None
    error: float | None
    assumed_cv: float | None
    older: int
    weight: float | None = None


@dataclass(frozen=True)
class Together:
    """What the measurements of a group say together: seconds, their 90% interval, and the 95% interval of one more laboratory's true value.

    ``tau`` is the variation between laboratories as a fraction, ``i_squared`` the share of the variation that the standard errors do not
    explain, ``q`` Cochran's sum of squares with its p-value ``p``. ``q`` is None where it has no bound: laboratories whose launches are all
    equal disagree. ``prediction_s`` is None for two measurements.
    """

    measurements: int
    latency_s: float
    interval_s: tuple[float, float]
    prediction_s: tuple[float, float] | None
    tau: float
    i_squared: float
    q: float | None
    p: float


@dataclass(frozen=True)
class AlikeGroup:
    """Measurements of a cell under the same conditions.

    ``differs`` holds the conditions that tell the groups of the cell apart, with this group's values; none where the cell has one group.
    ``together`` is None where nothing was merged, and ``alone`` says why.
    """

    differs: dict[str, str]
    measurements: list[Measurement]
    together: Together | None
    alone: str | None


@dataclass(frozen=True)
class Replications:
    """The measurements of one cell, in groups of equal conditions, which are never merged with each other."""

    accelerator: str
    devices: int
    model: str
    batch_size: int
    groups: list[AlikeGroup]

    @property
    def cell(self) -> Cell:
        """The cell."""
        return self.accelerator, self.devices, self.model, self.batch_size

    @property
    def measurements(self) -> int:
        """The number of measurements in all groups."""
        return sum(len(group.measurements) for group in self.groups)

    @property
    def words(self) -> str:
        """The cell in words."""
        batch = "" if self.batch_size == 1 else f", batch of {self.batch_size}"
        return f"{self.devices} x {self.accelerator}, {self.model}{batch}"


@dataclass(frozen=True)
class _Part:
    """Numbers of one laboratory from one request or publication, before they are merged.

    ``conditions`` hold all but the engine, ``unsure`` the names of those that are not told or not the same for all launches. ``engine`` is
    None where the source does not name it, ``prior_cv`` None for launches. ``titles`` are the publications, or the laboratory's name.
    """

    laboratory: str
    origin: Origin
    cell: Cell
    conditions: dict[str, str]
    unsure: tuple[str, ...]
    engine: str | None
    latencies_s: tuple[float, ...]
    prior_cv: float | None
    names: tuple[str, ...]
    titles: tuple[str, ...]


def of_cells(
    catalog: Catalog, ours: Iterable[Measured], laboratories: Mapping[str, Iterable[Measured]]
) -> list[Replications]:
    """Return each cell that has two measurements or more, in the order of the catalog, then of ``ours`` and of ``laboratories`` by name."""
    parts = [*_published(catalog), *_of_runs(ours, OURS, "these runs")]
    for name in sorted(laboratories):
        parts += _of_runs(laboratories[name], name, "another laboratory")
    by_cell: dict[Cell, list[_Part]] = {}
    for part in parts:
        by_cell.setdefault(part.cell, []).append(part)
    priors: dict[Cell, float] = {}
    for claim in catalog.claims.values():
        priors[cell_of(claim)] = max(claim.prior_cv, priors.get(cell_of(claim), 0.0))
    gathered = [_cell(cell, of_cell, priors.get(cell)) for cell, of_cell in by_cell.items()]
    return [each for each in gathered if each.measurements > 1]


def why_not(measured: Measured) -> str | None:
    """Return in words why results are no measurement of a cell; None where they are one."""
    group = measured.group
    if measured.walk_through:
        return "a walk-through on a CPU measures no published cell"
    if group.request.workload.dataset is not None:
        return "a dataset is completed once, in no timed window"
    if not group.latencies_s:
        return "no launch is complete"
    return comparison.without_times(group)


def _published(catalog: Catalog) -> list[_Part]:
    """Return the numbers of the catalog; one that the same publisher prints again, digit for digit, is there once."""
    parts: dict[tuple[object, ...], _Part] = {}
    for name, claim in catalog.claims.items():
        printed = publisher(claim), cell_of(claim), claim.precision, claim.engine, claim.value, claim.unit
        first = parts.get(printed)
        if first is None:
            parts[printed] = _of_claim(catalog, name, claim)
        else:
            parts[printed] = replace(first, names=(*first.names, name), titles=(*first.titles, claim.source))
    return list(parts.values())


def _of_claim(catalog: Catalog, name: str, claim: Claim) -> _Part:
    conditions = comparison.claimed(catalog, claim)
    return _Part(
        laboratory=publisher(claim),
        origin="published",
        cell=cell_of(claim),
        conditions={key: comparison.word(value) for key, value in conditions.items()},
        unsure=tuple(key for key, value in conditions.items() if value == UNKNOWN),
        engine=claim.engine,
        # a claim of a batch tells the seconds of one row
        latencies_s=(claim.latency_s * claim.batch_size,),
        prior_cv=claim.prior_cv,
        names=(name,),
        titles=(claim.source,),
    )


def publisher(claim: Claim) -> str:
    """Return the series that a publication belongs to: ``post-1`` and ``post-3`` are both of ``post``."""
    return claim.source.split("-")[0]


def cell_of(claim: Claim) -> Cell:
    """Return the cell of a published number."""
    return claim.accelerator, claim.devices, claim.model, claim.batch_size


def cell_of_request(request: Request) -> Cell:
    """Return the cell that a request measures."""
    return request.accelerator.name, request.devices, request.model.name, request.workload.batch_size


def _of_runs(results: Iterable[Measured], laboratory: str, origin: Origin) -> Iterator[_Part]:
    """Yield what results of one laboratory measured, the newest request last."""
    told = [measured for measured in results if why_not(measured) is None]
    for measured in sorted(told, key=lambda measured: max(measured.group.attempts)):
        group, request = measured.group, measured.group.request
        seen: dict[str, set[str]] = {}
        for launch in group.observed.values():
            for name, value in comparison.observed(launch).items():
                seen.setdefault(name, set()).add(comparison.word(value))
        asked = {name: comparison.word(value) for name, value in comparison.asked(request).items()}
        observed = {name: " and ".join(sorted(words)) for name, words in seen.items()}
        yield _Part(
            laboratory=laboratory,
            origin=origin,
            cell=cell_of_request(request),
            conditions={**asked, **observed},
            unsure=tuple(name for name, words in seen.items() if len(words) > 1),
            engine=request.engine,
            latencies_s=tuple(group.latencies_s),
            prior_cv=None,
            names=(request.id,),
            titles=(laboratory,),
        )


def _cell(cell: Cell, parts: Sequence[_Part], prior_cv: float | None) -> Replications:
    """Return the measurements of a cell in groups, in the order of their first parts."""
    groups: dict[tuple[tuple[str, str], ...], list[_Part]] = {}
    for part in _with_engines(parts):
        groups.setdefault(tuple(part.conditions.items()), []).append(part)
    keys = [dict(key) for key in groups]
    names = {name: None for key in keys for name in key}
    differing = [name for name in names if len({key[name] for key in keys if name in key}) > 1]
    accelerator, devices, model, batch_size = cell
    return Replications(
        accelerator=accelerator,
        devices=devices,
        model=model,
        batch_size=batch_size,
        groups=[
            _group({name: key[name] for name in differing if name in key}, alike, prior_cv)
            for key, alike in zip(keys, groups.values(), strict=True)
        ],
    )


def _with_engines(parts: Sequence[_Part]) -> Iterator[_Part]:
    """Yield parts with the engine among their conditions, where a part of the same conditions names one."""
    engines: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for part in parts:
        named = engines.setdefault(tuple(part.conditions.items()), set())
        if part.engine is not None:
            named.add(part.engine)
    for part in parts:
        named = engines[tuple(part.conditions.items())]
        if part.engine is not None or len(named) == 1:
            yield replace(part, conditions={**part.conditions, "engine": part.engine or min(named)})
        elif named:
            # run by one of several engines, and nobody knows by which
            conditions = {**part.conditions, "engine": UNKNOWN}
            yield replace(part, conditions=conditions, unsure=(*part.unsure, "engine"))
        else:
            yield part


def _group(differs: dict[str, str], parts: Sequence[_Part], prior_cv: float | None) -> AlikeGroup:
    laboratories: dict[tuple[Origin, str], list[_Part]] = {}
    for part in parts:
        laboratories.setdefault((part.origin, part.laboratory), []).append(part)
    measurements = [_measurement(of_one, prior_cv) for of_one in laboratories.values()]
    unsure = {name: None for part in parts for name in part.unsure}
    known = [measurement for measurement in measurements if measurement.error is not None]
    if len(measurements) == 1:
        return AlikeGroup(differs, measurements, None, None)
    if unsure:
        return AlikeGroup(
            differs, measurements, None, f"not merged: nobody knows that they share {' and '.join(unsure)}"
        )
    if len(known) < 2:
        return AlikeGroup(differs, measurements, None, "not merged: nothing is known of how launches vary")
    found = random_effects.pooled(
        [math.log(each.latency_s) for each in known], [each.error for each in known if each.error is not None]
    )
    weights = dict(zip(map(id, known), found.weights, strict=True))
    return AlikeGroup(
        differs=differs,
        measurements=[replace(each, weight=weights.get(id(each))) for each in measurements],
        together=Together(
            measurements=len(known),
            latency_s=math.exp(found.mean),
            interval_s=_seconds(found.interval),
            prediction_s=None if found.prediction is None else _seconds(found.prediction),
            tau=found.tau,
            i_squared=found.i_squared,
            q=found.q if math.isfinite(found.q) else None,
            p=found.p,
        ),
        alone=None,
    )


def _measurement(parts: Sequence[_Part], prior_cv: float | None) -> Measurement:
    """Return what one laboratory measured under one set of conditions, of which the newest is the last part.

    ``prior_cv`` is the variation that is assumed for a single launch of the cell, the greatest that the catalog has.
    """
    newest = parts[-1]
    assumed_cv = None if len(newest.latencies_s) > 1 else newest.prior_cv or prior_cv
    mean = verdict.mean_of(newest.latencies_s, assumed_cv)
    return Measurement(
        laboratory=", ".join(dict.fromkeys(newest.titles)),
        origin=newest.origin,
        names=list(newest.names),
        launches=len(newest.latencies_s),
        latency_s=mean.latency_s,
        interval_s=mean.interval_s,
        error=mean.error,
        assumed_cv=assumed_cv,
        older=len(parts) - 1,
    )


def _seconds(logs: tuple[float, float]) -> tuple[float, float]:
    # an interval of two noisy measurements may be wider than a float
    low, high = (math.exp(max(-700.0, min(700.0, each))) for each in logs)
    return low, high
