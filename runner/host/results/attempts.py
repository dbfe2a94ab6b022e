"""What the comparison needs of a result, in a thousandth of the result's size: a hundred thousand of them fit into memory.

An ``Attempt`` is made of a whole, checked result alone. As text it stands in the index of results (``index``).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runner.contract.text import cut

_CHARACTERS = 1000  # of a text that is shown: the result holds all of them


@dataclass(frozen=True, slots=True)
class Timed:
    """The durations of a launch of a latency workload, in seconds; the medians of its instrumented calls."""

    latency_s: float
    estimator: str
    iterations_s: tuple[float, ...]
    ttft_s: float
    tpot_s: float | None
    tokens_sha256: str


@dataclass(frozen=True, slots=True)
class Completed:
    """What a launch of a dataset workload completed; ``batches_s`` is the sum of its batches in seconds."""

    rows: int
    rows_total: int
    batches_s: float
    tokens_sha256: str


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch. ``conditions`` are those that were observed; ``error`` says why a launch failed, None for a complete one.

    ``refused`` and ``flagged`` name checks that did not pass; ``passed`` and ``unchecked`` count the others.
    """

    index: int
    error: str | None
    conditions: dict[str, Any] | None
    refused: tuple[str, ...]
    flagged: tuple[str, ...]
    passed: int
    unchecked: int
    load_s: float | None
    ranks: int
    timed: Timed | None
    completed: Completed | None

    @property
    def complete(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One result: when and where it was measured, how it ended, and its launches. ``outputs`` counts rows that were written."""

    id: str
    request: str
    status: str
    duration_s: float
    cpu: str
    usable_cores: int
    launches: tuple[Launch, ...]
    outputs_file: str | None
    outputs_rows: int | None


_LAUNCHES = Attempt.__slots__.index("launches")


def of_result(result: dict[str, Any]) -> Attempt:
    """Return the ``Attempt`` of a whole result in the newest schema's shape."""
    attempt, cpu, outputs = result["attempt"], result["environment"]["cpu"], result["outputs"] or {}
    return Attempt(
        id=attempt["id"],
        request=result["request"]["id"],
        status=attempt["status"],
        duration_s=attempt["duration_s"],
        cpu=(cpu["model"] or "an unknown processor")[:_CHARACTERS],
        usable_cores=cpu["usable_cores"],
        launches=tuple(map(_launch, result["launches"])),
        outputs_file=outputs.get("file"),
        outputs_rows=outputs.get("rows"),
    )


def _launch(launch: dict[str, Any]) -> Launch:
    checks = launch.get("checks", [])
    failed = [check for check in checks if check["passed"] is False]
    complete = launch["status"] == "complete"
    return Launch(
        index=launch["index"],
        error=None if complete else cut(launch["error"], _CHARACTERS, ""),
        conditions=launch.get("conditions"),
        refused=tuple(check["name"][:_CHARACTERS] for check in failed if check["act"] == "refuse"),
        flagged=tuple(check["name"][:_CHARACTERS] for check in failed),
        passed=sum(check["passed"] is True for check in checks),
        unchecked=sum(check["passed"] is None for check in checks),
        load_s=launch.get("load_s"),
        ranks=len(launch.get("ranks", [])),
        timed=_timed(launch) if complete and "timed" in launch else None,
        completed=_completed(launch["dataset"]) if complete and "dataset" in launch else None,
    )


def _timed(launch: dict[str, Any]) -> Timed:
    traced, estimate = launch["instrumented"], launch["estimate"]
    per_token = [value for value in traced["tpot_s"] if value is not None]
    return Timed(
        latency_s=estimate["latency_s"],
        estimator=estimate["estimator"],
        iterations_s=tuple(launch["timed"]["iterations_s"]),
        ttft_s=statistics.median(traced["ttft_s"]),
        tpot_s=statistics.median(per_token) if per_token else None,
        tokens_sha256=launch["tokens"]["outputs_sha256"][0],
    )


def _completed(dataset: dict[str, Any]) -> Completed:
    return Completed(dataset["rows"], dataset["rows_total"], sum(dataset["batches_s"]), dataset["tokens_sha256"])


def to_text(attempt: Attempt) -> str:
    """Return an attempt as one line of JSON, its fields in their order; ``of_text`` reads it back."""
    launches = [
        [*_values(launch)[:-2], _values(launch.timed), _values(launch.completed)] for launch in attempt.launches
    ]
    fields = [launches if name == "launches" else getattr(attempt, name) for name in Attempt.__slots__]
    return json.dumps(fields, separators=(",", ":"))


def _values(record: Launch | Timed | Completed | None) -> Any:
    return None if record is None else [getattr(record, name) for name in record.__slots__]


def of_text(text: str) -> Attempt:
    """Return the attempt that ``to_text`` wrote. Raises ``ValueError``, ``TypeError`` or ``LookupError`` for another text."""
    fields = json.loads(text)
    fields[_LAUNCHES] = tuple(map(_launch_of, fields[_LAUNCHES]))
    return Attempt(*fields)


def _launch_of(fields: list[Any]) -> Launch:
    *plain, timed, completed = _tuples(fields)
    records = [None if timed is None else Timed(*_tuples(timed)), None if completed is None else Completed(*completed)]
    return Launch(*[*plain, *records])


def _tuples(values: Iterable[Any]) -> list[Any]:
    return [tuple(value) if isinstance(value, list) else value for value in values]
