"""Summarise a result for the comparison, in a thousandth of the result's size: a hundred thousand summaries fit into memory.

An ``AttemptSummary`` is made only of a whole, checked result. The index of results (``index``) keeps it as text.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runner.contract import records
from runner.contract.text import cut
from runner.contract.words import AttemptStatus, Estimator

# Characters that a summary keeps of a text: the result holds all of them.
_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class TimedSummary:
    """The timed calls of a launch of a latency workload; ``ttft_s`` and ``tpot_s`` are medians of the instrumented calls.

    ``tpot_s`` is None where no call had a second token.
    """

    latency_s: float
    estimator: Estimator
    iterations_s: tuple[float, ...]
    ttft_s: float
    tpot_s: float | None
    tokens_sha256: str


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """The rows that a launch of a dataset workload completed; ``batches_s`` is the sum of the batches' durations."""

    rows: int
    rows_total: int
    batches_s: float
    tokens_sha256: str


@dataclass(frozen=True, slots=True)
class LaunchSummary:
    """One launch. ``conditions`` are the observed ones; ``error`` says why a launch failed, None for a complete one.

    ``refused`` names the checks that refused the launch, ``flagged`` all checks that did not pass. ``passed`` counts the checks that
    passed, ``unchecked`` those that could not be made. ``timed`` or ``completed`` is set for a complete launch, by its workload.
    """

    index: int
    error: str | None
    conditions: records.Conditions | None
    refused: tuple[str, ...]
    flagged: tuple[str, ...]
    passed: int
    unchecked: int
    load_s: float | None
    ranks: int
    timed: TimedSummary | None
    completed: DatasetSummary | None

    @property
    def complete(self) -> bool:
        """Whether the launch ended with a measurement."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """One result: its attempt and request by their ids, how it ended, where it was measured, and its launches.

    ``image`` is the reference of the image that it ran in, as its container was told it; None outside a container.

    ``outputs_file`` and ``outputs_rows`` are the name of the file of completions and the number of its rows, None without such a file.
    """

    id: str
    request: str
    status: AttemptStatus
    duration_s: float
    cpu: str
    usable_cores: int
    image: str | None
    launches: tuple[LaunchSummary, ...]
    outputs_file: str | None
    outputs_rows: int | None


_LAUNCHES = AttemptSummary.__slots__.index("launches")


def of_result(result: records.Result) -> AttemptSummary:
    """Return the summary of a whole result in the newest schema's shape."""
    attempt, cpu, outputs = result["attempt"], result["environment"]["cpu"], result["outputs"]
    return AttemptSummary(
        id=attempt["id"],
        request=result["request"]["id"],
        status=attempt["status"],
        duration_s=attempt["duration_s"],
        cpu=(cpu["model"] or "an unknown processor")[:_CHARACTERS],
        usable_cores=cpu["usable_cores"],
        image=result["environment"]["image"],
        launches=tuple(map(_launch, result["launches"])),
        outputs_file=None if outputs is None else outputs["file"],
        outputs_rows=None if outputs is None else outputs["rows"],
    )


def _launch(launch: records.Launch) -> LaunchSummary:
    checks = launch.get("checks", [])
    failed = [check for check in checks if check["passed"] is False]
    complete = launch["status"] == "complete"
    return LaunchSummary(
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


def _timed(launch: records.Launch) -> TimedSummary:
    instrumented, estimate = launch["instrumented"], launch["estimate"]
    tpots_s = [value for value in instrumented["tpot_s"] if value is not None]
    return TimedSummary(
        latency_s=estimate["latency_s"],
        estimator=estimate["estimator"],
        iterations_s=tuple(launch["timed"]["iterations_s"]),
        ttft_s=statistics.median(instrumented["ttft_s"]),
        tpot_s=statistics.median(tpots_s) if tpots_s else None,
        tokens_sha256=launch["tokens"]["outputs_sha256"][0],
    )


def _completed(dataset: records.DatasetPass) -> DatasetSummary:
    return DatasetSummary(dataset["rows"], dataset["rows_total"], sum(dataset["batches_s"]), dataset["tokens_sha256"])


def to_text(attempt: AttemptSummary) -> str:
    """Return a summary as one line of JSON, a list of its fields in their order; ``of_text`` reads the line."""
    launches = [
        [*_values(launch)[:-2], _values_or_none(launch.timed), _values_or_none(launch.completed)]
        for launch in attempt.launches
    ]
    fields = [launches if name == "launches" else getattr(attempt, name) for name in AttemptSummary.__slots__]
    return json.dumps(fields, separators=(",", ":"))


def _values(record: LaunchSummary | TimedSummary | DatasetSummary) -> list[object]:
    return [getattr(record, name) for name in record.__slots__]


def _values_or_none(record: TimedSummary | DatasetSummary | None) -> list[object] | None:
    return None if record is None else _values(record)


def of_text(text: str) -> AttemptSummary:
    """Return the summary that ``to_text`` wrote. Raises ``ValueError``, ``TypeError`` or ``LookupError`` for another text."""
    fields = json.loads(text)
    fields[_LAUNCHES] = tuple(map(_launch_of, fields[_LAUNCHES]))
    return AttemptSummary(*fields)


def _launch_of(fields: list[Any]) -> LaunchSummary:
    *values, timed, completed = _tuples(fields)
    values += [
        None if timed is None else TimedSummary(*_tuples(timed)),
        None if completed is None else DatasetSummary(*completed),
    ]
    return LaunchSummary(*values)


def _tuples(values: Iterable[Any]) -> list[Any]:
    return [tuple(value) if isinstance(value, list) else value for value in values]
