"""The conditions of a request, which every record of every format carries, and the verdicts on it. Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from runner.contract.secrets import mask
from runner.contract.text import printable
from runner.host.judging import comparison
from runner.host.judging.measured import WALK_THROUGH, Measured

DUMMY_WEIGHTS = "dummy weights: no output parity"


class RequestConditions(TypedDict):
    """What a request asks for. ``revision`` is the commit of the model's weights, None for dummy ones.

    ``walk_through`` says that the request is for the CPU, which reproduces no cell; ``emulated`` that something stood in for the device, so
    that its times say nothing.
    """

    request: str
    case: str
    accelerator: str
    devices: int
    model: str
    revision: str | None
    weights: str
    stack: str
    precision: str
    engine: str
    protocol: str
    batch_size: int
    input_tokens: int
    output_tokens: int
    walk_through: bool
    emulated: bool


@dataclass(frozen=True)
class CellVerdict:
    """The verdict on one published cell. ``ratio`` is measured over published and ``interval`` its 90% interval.

    Both are None where nothing was compared.
    """

    claim: str
    published_s: float
    verdict: str
    reasons: list[str]
    ratio: float | None
    interval: tuple[float, float] | None
    margin: float | None


def of(measured: Measured) -> RequestConditions:
    """Return the conditions of what was measured."""
    request = measured.group.request
    return RequestConditions(
        request=request.id,
        case=request.case,
        accelerator=request.accelerator.name,
        devices=request.devices,
        model=request.model.name,
        revision=None if request.weights.kind == "dummy" else request.model.revision,
        weights=request.weights.kind,
        stack=request.stack.name,
        precision=request.workload.precision,
        engine=request.engine,
        protocol=request.protocol.name,
        batch_size=request.workload.batch_size,
        input_tokens=request.workload.input_tokens,
        output_tokens=request.workload.output_tokens,
        walk_through=measured.walk_through,
        emulated=measured.group.emulated,
    )


def words(facts: Mapping[str, object]) -> dict[str, str]:
    """Return facts as texts, for formats that know nothing else; a fact that is None is left out."""
    return {name: word(value) for name, value in facts.items() if value is not None}


def word(value: object) -> str:
    """Return one value as text: printable, floats in full precision."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return foreign(value) if isinstance(value, str) else repr(value)


# launches have most of their texts in common
@functools.lru_cache(maxsize=10_000)
def foreign(text: str) -> str:
    """Return foreign text as every format holds it: on one line, secrets masked, control and direction-changing characters visible."""
    return printable(mask(text))


def verdicts(measured: Measured) -> list[CellVerdict]:
    """Return the verdicts on all published cells beside what was measured."""
    return [
        CellVerdict(
            row.claim,
            float(row.published_s),
            row.verdict.word,
            [foreign(reason) for reason in row.verdict.reasons],
            row.verdict.ratio,
            row.verdict.interval,
            row.verdict.margin,
        )
        for row in measured.rows
    ]


def notes(measured: Measured) -> list[str]:
    """Return in words what a reader of any number of these launches must know: that they are a walk-through, or have dummy weights."""
    dummy = measured.group.request.weights.kind == "dummy"
    return [*([WALK_THROUGH] if measured.walk_through else []), *([DUMMY_WEIGHTS] if dummy else [])]


def has_times(measured: Measured) -> bool:
    """Return whether a request has times that say something: complete launches of a latency workload, which ``without_times`` passes."""
    return bool(measured.samples) and comparison.without_times(measured.group) is None


def known(values: Sequence[float | None]) -> list[float]:
    """Return the values that are told, without those that are None."""
    return [value for value in values if value is not None]
