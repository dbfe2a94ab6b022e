"""Summarise a result for the comparison, in a thousandth of the result's size: a hundred thousand summaries fit into memory.

An ``AttemptSummary`` is made only of a whole, checked result. The index of results (``index``) keeps it as text.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runner.contract import records, strictjson
from runner.contract.text import cut
from runner.contract.words import AttemptStatus, Estimator

# Characters that a summary keeps of a text: the result holds all of them.
_CHARACTERS = 1000
# Operators that a summary keeps by name: a forward pass of BLOOM calls some forty. Characters of a name.
MOST_OPERATORS, _NAME_CHARACTERS = 100, 120
# Unlike values of one count that a summary keeps: ranks that agree have one. More are not told: a part of them could look equal.
_MOST_VALUES = 16


@dataclass(frozen=True, slots=True)
class TimedSummary:
    """The timed calls of a launch of a latency workload; ``ttft_s`` and ``tpot_s`` are medians of the instrumented calls.

    ``tpot_s`` is None where no call had a second token. ``energy_j`` is the mean of the timed calls in joules, on all devices together;
    None where a device does not tell it.
    """

    latency_s: float
    estimator: Estimator
    iterations_s: tuple[float, ...]
    ttft_s: float
    tpot_s: float | None
    tokens_sha256: str
    energy_j: float | None


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """The rows that a launch of a dataset workload completed; ``batches_s`` is the sum of the batches' durations."""

    rows: int
    rows_total: int
    batches_s: float
    tokens_sha256: str


@dataclass(frozen=True, slots=True)
class OperatorsSummary:
    """The operators that one more call of generate ran, which made ``output_tokens`` tokens a row.

    ``sha256`` is that of all names with their numbers of calls, ``names`` the number of names. ``calls`` holds the first
    ``MOST_OPERATORS`` names in the order of the alphabet, each with its number of calls.
    """

    output_tokens: int
    sha256: str
    names: int
    calls: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CountsSummary:
    """What can be counted of a launch, which is the same however fast the launch was. None where the launch does not tell a count.

    ``prompt_sha256`` and ``output_sha256`` are those of the token ids. ``forward_calls`` holds the unlike values of all instrumented
    calls, ``compilations`` and ``parameter_bytes`` those of all ranks: the graphs that were built in the timed window, and the bytes of
    a rank's weights.
    """

    prompt_tokens: int | None
    prompt_sha256: str | None
    output_tokens: int | None
    output_sha256: str | None
    rows: int | None
    forward_calls: tuple[int, ...] | None
    compilations: tuple[int, ...] | None
    parameter_bytes: tuple[int, ...] | None
    operators: OperatorsSummary | None


@dataclass(frozen=True, slots=True)
class LaunchSummary:
    """One launch. ``conditions`` are the observed ones; ``error`` says why a launch failed, None for a complete one.

    ``refused`` names the checks that refused the launch, ``flagged`` all checks that did not pass. ``passed`` counts the checks that
    passed, ``unchecked`` those that could not be made. ``device_names``, ``drivers`` and ``firmwares`` are those that ranks told of
    their devices.
    ``timed`` or ``completed`` is set for a complete launch, by its workload; ``counts`` for a refused launch too, where its ranks ended.
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
    device_names: tuple[str, ...]
    drivers: tuple[str, ...]
    firmwares: tuple[str, ...]
    timed: TimedSummary | None
    completed: DatasetSummary | None
    counts: CountsSummary | None

    @property
    def complete(self) -> bool:
        """Whether the launch ended with a measurement."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """One result: its attempt and request by their ids, how it ended, where it was measured, and its launches.

    ``schema`` is the version of the result's schema as written, ``sha256`` the one that seals the result as written. ``image`` is the
    reference of the image that it ran in, as its container was told it; None outside a container. ``python`` is the version of the
    Python that ran it.

    ``outputs_file`` and ``outputs_rows`` are the name of the file of completions and the number of its rows, None without such a file.
    """

    id: str
    request: str
    schema: int
    status: AttemptStatus
    duration_s: float
    cpu: str
    usable_cores: int
    image: str | None
    python: str
    launches: tuple[LaunchSummary, ...]
    outputs_file: str | None
    outputs_rows: int | None
    sha256: str


def of_result(result: records.Result, schema: int | None = None) -> AttemptSummary:
    """Return the summary of a whole result in the newest schema's shape; ``schema`` is the one it was written in, None for the newest."""
    attempt, cpu, outputs = result["attempt"], result["environment"]["cpu"], result["outputs"]
    return AttemptSummary(
        id=attempt["id"],
        request=result["request"]["id"],
        schema=result["schema"] if schema is None else schema,
        status=attempt["status"],
        duration_s=attempt["duration_s"],
        cpu=(cpu["model"] or "an unknown processor")[:_CHARACTERS],
        usable_cores=cpu["usable_cores"],
        image=result["environment"]["image"],
        python=result["environment"]["python"][:_CHARACTERS],
        launches=tuple(map(_launch, result["launches"])),
        outputs_file=None if outputs is None else outputs["file"],
        outputs_rows=None if outputs is None else outputs["rows"],
        sha256=result["sha256"],
    )


def _launch(launch: records.Launch) -> LaunchSummary:
    checks = launch.get("checks", [])
    failed = [check for check in checks if check["passed"] is False]
    complete = launch["status"] == "complete"
    ranks = launch.get("ranks", [])
    return LaunchSummary(
        index=launch["index"],
        error=None if complete else cut(launch["error"], _CHARACTERS, ""),
        conditions=launch.get("conditions"),
        refused=tuple(check["name"][:_CHARACTERS] for check in failed if check["act"] == "refuse"),
        flagged=tuple(check["name"][:_CHARACTERS] for check in failed),
        passed=sum(check["passed"] is True for check in checks),
        unchecked=sum(check["passed"] is None for check in checks),
        load_s=launch.get("load_s"),
        ranks=len(ranks),
        device_names=_texts(rank["device"]["name"] for rank in ranks),
        drivers=_texts(rank["device"]["driver"] for rank in ranks),
        firmwares=_texts(rank["device"].get("firmware") for rank in ranks),
        timed=_timed(launch) if complete and "timed" in launch else None,
        completed=_completed(launch["dataset"]) if complete and "dataset" in launch else None,
        counts=_counts(launch) if ranks else None,
    )


def _texts(values: Iterable[str | None]) -> tuple[str, ...]:
    """Return the unlike texts among values, sorted."""
    return tuple(sorted({value[:_CHARACTERS] for value in values if value})[:_MOST_VALUES])


def _counts(launch: records.Launch) -> CountsSummary:
    tokens, dataset = launch.get("tokens"), launch.get("dataset")
    prompt_ids = tokens["prompt_ids"] if tokens else None
    # none where no call was timed
    of_calls = tokens["outputs_sha256"] if tokens else []
    of_rows = [dataset["tokens_sha256"]] if dataset else []
    watched = [rank["watched"] for rank in launch["ranks"]]
    operators = launch.get("operators")
    return CountsSummary(
        prompt_tokens=None if prompt_ids is None else sum(map(len, prompt_ids)),
        prompt_sha256=None if prompt_ids is None else strictjson.sha256_of(prompt_ids),
        output_tokens=sum(map(sum, launch["timed"]["output_tokens"])) if "timed" in launch else None,
        output_sha256=next(iter([*of_calls, *of_rows]), None),
        rows=dataset["rows"] if dataset else None,
        forward_calls=_unlike(launch["instrumented"]["forward_calls"]) if "instrumented" in launch else None,
        compilations=_unlike(seen["compilations"] if seen else None for seen in watched),
        parameter_bytes=_unlike(rank["parameter_bytes"] for rank in launch["ranks"]),
        # null where the device does not tell them, absent where nobody asked
        operators=_operators(operators) if operators else None,
    )


def _unlike(values: Iterable[int | None]) -> tuple[int, ...] | None:
    """Return the unlike numbers among values, sorted; None where a value is missing, there is none, or there are very many."""
    known = set(values)
    if None in known or not 0 < len(known) <= _MOST_VALUES:
        return None
    return tuple(sorted(value for value in known if value is not None))


def _operators(operators: records.Operators) -> OperatorsSummary:
    calls = sorted(operators["calls"].items())
    return OperatorsSummary(
        output_tokens=operators["output_tokens"],
        sha256=strictjson.sha256_of(operators["calls"]),
        names=len(calls),
        calls=tuple((_short(name), times) for name, times in calls[:MOST_OPERATORS]),
    )


def _short(name: str) -> str:
    """Return a name of at most 120 characters: kernels of one template share the first hundred, and a hash keeps them apart."""
    if len(name) <= _NAME_CHARACTERS:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{cut(name, _NAME_CHARACTERS - len(digest) - 1, '')}~{digest}"


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
        energy_j=_energy_j(launch),
    )


def _energy_j(launch: records.Launch) -> float | None:
    """Return the joules of one timed call on all devices; None where a rank's device does not tell them.

    Ranks on the CPU of one host tell the same joules, which count once.
    """
    of_ranks = [
        (rank["host"], rank["watched"].get("energy_j") if rank["watched"] else None) for rank in launch["ranks"]
    ]
    told = [(host, energy_j) for host, energy_j in of_ranks if energy_j is not None]
    calls = len(launch["timed"]["iterations_s"])
    if len(told) < len(of_ranks) or not calls:
        return None
    if launch["conditions"]["device"] == "cpu":
        of_hosts: dict[str, float] = {}
        for host, energy_j in told:
            of_hosts[host] = max(energy_j, of_hosts.get(host, 0.0))
        told = list(of_hosts.items())
    return sum(energy_j for _, energy_j in told) / calls


def _completed(dataset: records.DatasetPass) -> DatasetSummary:
    return DatasetSummary(dataset["rows"], dataset["rows_total"], sum(dataset["batches_s"]), dataset["tokens_sha256"])


def to_text(attempt: AttemptSummary) -> str:
    """Return a summary as one line of JSON, a list of its fields in their order; ``of_text`` reads the line."""
    return json.dumps(_values(attempt), separators=(",", ":"))


def _values(value: object) -> object:
    """Return a record as a list of its fields, a tuple as a list, and any other value as it is."""
    if isinstance(value, tuple):
        return [_values(part) for part in value]
    if isinstance(value, _RECORDS):
        return [_values(getattr(value, name)) for name in value.__slots__]
    return value


_RECORDS = (AttemptSummary, LaunchSummary, TimedSummary, DatasetSummary, CountsSummary, OperatorsSummary)
_LAUNCHES = AttemptSummary.__slots__.index("launches")


def of_text(text: str) -> AttemptSummary:
    """Return the summary that ``to_text`` wrote. Raises ``ValueError``, ``TypeError`` or ``LookupError`` for another text."""
    fields = json.loads(text)
    fields[_LAUNCHES] = tuple(map(_launch_of, fields[_LAUNCHES]))
    return AttemptSummary(*fields)


def _launch_of(fields: list[Any]) -> LaunchSummary:
    *values, timed, completed, counts = fields
    parts = [
        None if timed is None else TimedSummary(*_tuples(timed)),
        None if completed is None else DatasetSummary(*completed),
        None if counts is None else _counts_of(counts),
    ]
    return LaunchSummary(*[*_tuples(values), *parts])


def _counts_of(fields: list[Any]) -> CountsSummary:
    *values, operators = fields
    if operators is not None:
        *facts, calls = operators
        operators = OperatorsSummary(*[*facts, tuple(map(tuple, calls))])
    return CountsSummary(*[*_tuples(values), operators])


def _tuples(values: Iterable[Any]) -> list[Any]:
    return [tuple(value) if isinstance(value, list) else value for value in values]
