"""The verb ``compare``: set results beside the published numbers with a verdict each, or beside earlier results."""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from runner.contract import names, unfinished
from runner.contract.arguments import verb_parser
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.request import Request
from runner.contract.text import printable
from runner.host.judging import ledger, terminal, verdict
from runner.host.judging.ledger import Limit
from runner.host.judging.verdict import Verdict
from runner.host.readers import catalog as catalogs
from runner.host.results import index as indexes
from runner.host.results import result_files
from runner.host.results.attempts import Attempt, of_text
from runner.host.results.index import Index

# What is shown without --all: what somebody reads who has just measured.
REQUESTS_SHOWN, ATTEMPTS_SHOWN, REFUSALS_SHOWN = 20, 3, 20


@dataclass(frozen=True)
class Difference:
    """A condition of a claim that a result does not share: what was found here, and what the claim wants."""

    condition: str
    found: str
    wanted: str


@dataclass
class Group:
    """All results of one request: their launches are samples of the same thing, none is left out.

    What the comparison needs of each attempt is added up as the attempt is read; only the newest ones are kept, as
    ``attempts.to_text`` writes them, to be shown. ``observed`` holds each set of conditions that a launch was observed under.
    """

    request: Request
    attempts: list[str] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    observed: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    refused_checks: set[str] = field(default_factory=set)
    emulated: bool = False
    newest: list[tuple[str, str]] = field(default_factory=list)

    def add(self, attempt: Attempt, text: str, kept: int | None = None) -> None:
        """Add one attempt, which ``text`` holds too; ``kept`` is how many of the newest are to be shown, None for all."""
        self.attempts.append(attempt.id)
        for launch in attempt.launches:
            self.refused_checks.update(launch.refused)
            if launch.timed is not None:
                self.latencies_s.append(launch.timed.latency_s)
            if launch.conditions is not None:
                self.emulated = self.emulated or launch.conditions["emulated"]
                if launch.complete:
                    self.observed.setdefault(tuple(sorted(launch.conditions.items())), launch.conditions)
        self.newest.append((attempt.id, text))
        if kept is not None and len(self.newest) > 2 * kept:
            self.newest = sorted(self.newest, reverse=True)[:kept]

    def shown(self, kept: int | None) -> list[Attempt]:
        """Return the newest attempts, the newest first."""
        return [of_text(text) for _, text in sorted(self.newest, reverse=True)[:kept]]


@dataclass(frozen=True)
class Row:
    """One published cell beside one group of results."""

    claim: str
    published: str
    published_s: str
    request: str
    measured: str
    walk_through: bool
    verdict: Verdict
    limit: Limit | None
    differences: list[Difference]


def parser():
    described = verb_parser(
        "compare",
        description="Print each request's results beside the published cells that its case names, with the verdict on each:"
        " REPRODUCED, FASTER, SLOWER, INCONCLUSIVE, PROVISIONAL (one launch), NOT-COMPARABLE, INVALID or NO-RESULT. All launches"
        " of a request count, those of interrupted attempts too.",
        epilog="Exit codes: 8 if a result was refused (the rest is printed); see `python -m runner --help`.",
    )
    described.add_argument(
        "results", nargs="*", metavar="RESULT", help="result files or folders (default, without --from too: results)"
    )
    names.add_from(described, names.RESULTS)
    described.add_argument(
        "--against", metavar="RESULT", help="compare run against run: what changed since these results"
    )
    described.add_argument(
        "--confirm",
        nargs=2,
        metavar=("FRESH", "FRESH_AGAINST"),
        help="with --against: fresh launches of both sides, measured after a change was flagged; only a change that they"
        " show too is confirmed",
    )
    described.add_argument("--json", action="store_true", help="print rows as JSON, for programs")
    described.add_argument(
        "--all",
        action="store_true",
        help=f"show every request, attempt and refusal, and not the newest {REQUESTS_SHOWN} requests with {ATTEMPTS_SHOWN}"
        f" attempts each and {REFUSALS_SHOWN} refusals; all of them count either way",
    )
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    if options.confirm is not None and options.against is None:
        raise UsageError("--confirm is for run against run; give --against too.")
    kept = None if options.all else ATTEMPTS_SHOWN
    refused: list[DamagedResult] = []
    try:
        with Index(indexes.PLACE) as index:
            places = names.given(options.results, options.listed_in, names.RESULTS) or ["results"]
            groups = _read(places, index, kept, refused)
            if options.against is not None:
                changes = _run_against_run(options, groups, refused, index)
                _print_json({"changes": changes}, refused) if options.json else terminal.show_changes(changes)
            else:
                _against_published(options, groups, refused, kept)
    finally:  # what was refused is often why the rest could not be done
        _tell_refusals(refused, options.all)
    return DamagedResult.exit_code if refused else 0


def _tell_refusals(refused: list[DamagedResult], every: bool) -> None:
    told = refused if every else refused[:REFUSALS_SHOWN]
    for problem in told:
        print(f"refused: {printable(str(problem))}", file=sys.stderr)
    if len(told) < len(refused):
        print(f"refused: {len(refused) - len(told):,} more; --all says why of each", file=sys.stderr)


def _against_published(
    options: argparse.Namespace, groups: list[Group], refused: list[DamagedResult], kept: int | None
) -> None:
    catalog = catalogs.read()
    rows = [row for group in groups for row in against_claims(catalog, group)]
    if options.json:
        _print_json({"rows": [asdict(row) for row in rows]}, refused)
    else:
        shown = groups if options.all else groups[:REQUESTS_SHOWN]
        terminal.show([(group, group.shown(kept)) for group in shown], rows, headline(rows))
        if len(shown) < len(groups):
            left = sum(len(group.attempts) for group in groups[len(shown) :])
            terminal.show_left_out(len(groups) - len(shown), left)


def _run_against_run(
    options: argparse.Namespace, groups: list[Group], refused: list[DamagedResult], index: Index
) -> list[dict[str, Any]]:
    """Return the changes since ``--against``, confirmed by ``--confirm`` where it is given; add to ``refused``."""

    def read(place: str) -> list[Group]:
        return _read([place], index, 0, refused)

    before, fresh = read(options.against), {}
    _tell_of_both_sides(before, groups)
    if options.confirm is not None:
        fresh_after, fresh_before = map(read, options.confirm)
        check_fresh(before + groups, fresh_before + fresh_after)
        fresh = {cell(other): (one, other) for one, other in pairs(fresh_before, fresh_after)}
    return [between(one, other, *fresh.get(cell(other), ())) for one, other in pairs(before, groups)]


def _tell_of_both_sides(before: list[Group], after: list[Group]) -> None:
    """Say where the same attempts are counted on both sides: a change looks smaller there than it is."""
    sides = [{attempt for group in groups for attempt in group.attempts} for groups in (before, after)]
    both = sorted(sides[0] & sides[1])
    if both:
        print(
            f"{len(both):,} attempt(s) stand on both sides, {both[0]} first: a change looks smaller than it is. Name the results of"
            " each side alone.",
            file=sys.stderr,
        )


def _read(places: Iterable[str], index: Index, kept: int | None, refused: list[DamagedResult]) -> list[Group]:
    """Return the groups of all results in ``places``, the newest first; add what is refused to ``refused``.

    Raises ``InputError`` where there is neither.
    """
    groups: dict[str, Group] = {}
    before = len(refused)
    _say_what_was_cut_off(places)
    for found in result_files.read_all(places, index):
        if isinstance(found, DamagedResult):
            refused.append(found)
        else:
            group = groups.get(found.attempt.request)
            if group is None:
                group = groups[found.attempt.request] = Group(found.request)
            group.add(found.attempt, found.text, kept)
    if not groups and len(refused) == before:
        raise InputError(
            f"No result is in {', '.join(map(printable, places))}. Run `make bench` first, or name the folder that results went to."
        )
    return sorted(groups.values(), key=lambda group: max(group.attempts), reverse=True)


def _say_what_was_cut_off(places: Iterable[str]) -> None:
    """Say which attempts in folders of results were killed, and kept launches that are no result yet."""
    for place in filter(os.path.isdir, places):
        for one in unfinished.left(place):
            if isinstance(one, unfinished.Left) and one.measured and not one.published:
                print(
                    f"{printable(one.path)} is missing here: a run that was killed left {one.launches} launch(es) of it. The next"
                    f" run of `bench` with --results {printable(place)} writes it.",
                    file=sys.stderr,
                )


def _print_json(value, refused):
    print(json.dumps({**value, "refused": [str(problem) for problem in refused]}, indent=2))


def against_claims(catalog, group):
    """Return a ``Row`` for every claim that the group's case is set beside. Pure."""
    rows, impossible = [], _beyond_memory(group)
    for name in group.request.beside:
        claim = catalog.claims.get(name)
        if claim is None:
            continue  # a claim that an older catalog had; its result stays readable
        differences = conditions_that_differ(catalog, claim, group)
        given = verdict.against_claim(
            group.latencies_s,
            claim.value,
            group.request.margin,
            claim.prior_cv,
            [difference.condition for difference in differences],
            # a launch that failed is no sample; others still are
            () if group.latencies_s else sorted(group.refused_checks),
        )
        if group.emulated:
            given = Verdict(given.word, given.reasons, given.launches)
        elif impossible:
            given = Verdict(verdict.INVALID, [impossible], len(group.latencies_s))
        rows.append(
            Row(
                claim=name,
                published=f"{claim.devices} x {claim.accelerator}, {claim.model}",
                published_s=claim.value,
                request=group.request.id,
                measured=f"{group.request.devices} x {group.request.accelerator.name}, {group.request.model.name}",
                walk_through=group.request.accelerator.device == "cpu",
                verdict=given,
                limit=_limit(group.request, given, float(claim.value)),
                differences=differences,
            )
        )
    return rows


def _beyond_memory(group: Group) -> str | None:
    """Return in words that a launch took less than reading the weights takes, by what was observed; None where none did."""
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


def _limit(request, given, published_s):
    """Return how near the measured time is to what memory bandwidth allows, None where either is unknown."""
    if given.ratio is None or request.workload.batch_size > 1:
        return None
    workload, bandwidth, architecture = (
        request.workload,
        request.accelerator.hbm_bytes_per_s,
        request.model.architecture,
    )
    measured_s = given.ratio * published_s
    return ledger.limit(
        architecture, workload.precision, request.devices, bandwidth, measured_s, workload.output_tokens
    )


def conditions(catalog, claim, group):
    """Yield (condition, what the claim wants, what was found) once for each kind of launch; what was observed counts."""
    protocol, workload, request = catalog.protocols[claim.protocol], catalog.workloads[claim.workload], group.request
    yield "accelerator", claim.accelerator, request.accelerator.name
    yield "model", claim.model, request.model.name
    yield "weights", "hub", request.weights.kind
    yield "stack", claim.stack, request.stack.name
    yield "protocol", claim.protocol, request.protocol.name
    yield "protocol version", protocol.version, request.protocol.version
    yield "batch", claim.batch_size, request.workload.batch_size
    yield "prompt", workload.prompt, request.workload.prompt
    yield "input tokens", workload.input_tokens, request.workload.input_tokens
    yield "output tokens", workload.output_tokens, request.workload.output_tokens
    for observed in group.observed.values():
        yield "emulated", False, observed["emulated"]
        yield "devices", claim.devices, observed["devices"]
        yield "precision", claim.precision, observed["precision"]
        yield "graphs", protocol.graphs, observed["graphs"]
        yield "shapes", protocol.shapes, observed["shapes"]
        yield "end of text", protocol.end_of_text, observed["end_of_text"]
        yield "KV cache", True, observed["kv_cache"]


def conditions_that_differ(catalog, claim, group):
    """Return every condition of the claim that some launch of the group does not share, each once."""
    found = {}
    for condition, wanted, observed in conditions(catalog, claim, group):
        if wanted != observed:
            found[condition, str(observed)] = Difference(condition, _word(observed), _word(wanted))
    return list(found.values())


def _word(value):
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def headline(rows):
    """Return the claims that may be called slower together, by Holm's rule over all cells that were decided."""
    decided = [
        row
        for row in rows
        if row.verdict.word in (verdict.REPRODUCED, verdict.FASTER, verdict.SLOWER, verdict.INCONCLUSIVE)
    ]
    adjusted = verdict.holm([row.verdict.p_slower for row in decided])
    return [
        row.claim
        for row, p in zip(decided, adjusted, strict=True)
        if row.verdict.word == verdict.SLOWER and p < verdict.SIGNIFICANCE
    ]


def pairs(before, after):
    """Return the groups of the same case, workload and model on both sides; a moved pin makes another request, not another case.

    Raises ``InputError`` where nothing is in common.
    """
    earlier = {cell(group): group for group in before}
    found = [(earlier[cell(group)], group) for group in after if cell(group) in earlier]
    if not found:
        raise InputError("The two sides share no case. Name results of the same case, model, workload and protocol.")
    return found


def cell(group):
    """Return what two groups must share to be set against each other, as one text."""
    request = group.request
    shared = (request.case, request.devices, request.model.name, request.weights.kind, request.workload)
    return repr((*shared, request.protocol.name))


def between(before, after, fresh_before=None, fresh_after=None):
    """Return the change between two groups as a mapping: what was compared, what moved in stack and engine, and the ``Change``.

    ``fresh_before`` and ``fresh_after`` are groups of the same two cells measured once more: a flagged change is confirmed
    only if they show it too. ``confirmed`` is null where they are not given.
    """
    old, new = before.request.stack.packages, after.request.stack.packages
    moved = {name: [old.get(name), new.get(name)] for name in sorted({*old, *new}) if old.get(name) != new.get(name)}
    if before.request.engine != after.request.engine:
        moved["engine"] = [before.request.engine, after.request.engine]
    change, reason = _change(before, after)
    found = {
        "before": before.request.id,
        "after": after.request.id,
        "launches": [len(before.latencies_s), len(after.latencies_s)],
        "moved": moved,
        "ratio": change.ratio if change else None,
        "interval": list(change.interval) if change else None,
        "flagged": change.flagged if change else None,
        "reason": reason,
        "confirmed": None,
        "confirmation": None,
    }
    if change and fresh_before and fresh_after:
        again, found["confirmation"] = _change(fresh_before, fresh_after)
        found["confirmed"] = bool(again) and verdict.confirmed(change, again)
    return found


def _change(before, after):
    """Return the ``Change`` between two groups and its reason; no change, and why not, where nothing can be said."""
    if before.emulated or after.emulated:
        return None, "something stood in for the device: its times say nothing"
    if min(len(before.latencies_s), len(after.latencies_s)) < 2:
        return None, "at least two launches are needed on each side"
    change = verdict.between_runs(before.latencies_s, after.latencies_s)
    return change, change.reason


def check_fresh(groups, fresh):
    """Raise ``InputError`` if an attempt that was compared already is to confirm itself."""
    counted = {attempt for group in groups for attempt in group.attempts}
    again = sorted({attempt for group in fresh for attempt in group.attempts} & counted)
    if again:
        raise InputError(
            f"Attempt {again[0]} is part of the comparison already; it cannot confirm it. Measure both sides once more."
        )
