"""The verb ``compare``: set results beside the published numbers with a verdict each, or beside earlier results."""

import argparse
import json
import sys
from dataclasses import asdict, dataclass

from runner.contract import names
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.request import Request
from runner.contract.text import printable
from runner.host import catalog as catalogs
from runner.host import ledger, results, tables, verdict
from runner.host.ledger import Limit
from runner.host.verdict import Verdict


@dataclass(frozen=True)
class Difference:
    """A condition of a claim that a result does not share: what was found here, and what the claim wants."""

    condition: str
    found: str
    wanted: str


@dataclass(frozen=True)
class Group:
    """All results of one request: their launches are samples of the same thing, none is left out."""

    request: Request
    results: list[dict]

    @property
    def launches(self):
        return [launch for result in self.results for launch in result["launches"]]

    @property
    def latencies_s(self):
        """Return the protocol's estimate of every complete launch, in seconds."""
        return [
            launch["estimate"]["latency_s"]
            for launch in self.launches
            if launch["status"] == "complete" and "estimate" in launch
        ]

    @property
    def emulated(self):
        """Return whether something stood in for the device of some launch: then its times say nothing."""
        return any(launch["conditions"]["emulated"] for launch in self.launches if "conditions" in launch)

    @property
    def failed_checks(self):
        checks = [check for launch in self.launches for check in launch.get("checks", [])]
        return sorted({check["name"] for check in checks if check["passed"] is False and check["act"] == "refuse"})


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
    described = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m runner compare",
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
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    if options.confirm is not None and options.against is None:
        raise UsageError("--confirm is for run against run; give --against too.")
    groups, refused = _read(names.given(options.results, options.listed_in, names.RESULTS) or ["results"])
    if options.against is not None:
        changes = _run_against_run(options, groups, refused)
        _print_json({"changes": changes}, refused) if options.json else tables.show_changes(changes)
    else:
        catalog = catalogs.read()
        rows = [row for group in groups for row in against_claims(catalog, group)]
        if options.json:
            _print_json({"rows": [asdict(row) for row in rows]}, refused)
        else:
            tables.show(groups, rows, headline(rows))
    for problem in refused:
        print(f"refused: {printable(str(problem))}", file=sys.stderr)
    return DamagedResult.exit_code if refused else 0


def _run_against_run(options, groups, refused):
    """Return the changes since ``--against``, confirmed by ``--confirm`` where it is given; add to ``refused``."""

    def read(place):
        found, problems = _read([place])
        refused.extend(problems)
        return found

    before, fresh = read(options.against), {}
    if options.confirm is not None:
        fresh_after, fresh_before = map(read, options.confirm)
        check_fresh(before + groups, fresh_before + fresh_after)
        fresh = {cell(other): (one, other) for one, other in pairs(fresh_before, fresh_after)}
    return [between(one, other, *fresh.get(cell(other), ())) for one, other in pairs(before, groups)]


def _read(places):
    """Return the groups of all results in ``places``, and the refusals."""
    read, refused = results.read_all(results.find(places))
    groups: dict[str, Group] = {}
    for result, request in read:
        groups.setdefault(request.id, Group(request, [])).results.append(result)
    return list(groups.values()), refused


def _print_json(value, refused):
    print(json.dumps({**value, "refused": [str(problem) for problem in refused]}, indent=2))


def against_claims(catalog, group):
    """Return a ``Row`` for every claim that the group's case is set beside. Pure."""
    rows = []
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
            () if group.latencies_s else group.failed_checks,  # a launch that failed is no sample; others still are
        )
        if group.emulated:
            given = Verdict(given.word, given.reasons, given.launches)
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


def _limit(request, given, published_s):
    """Return how near the measured time is to what memory bandwidth allows, None where either is unknown."""
    if given.ratio is None or request.workload.batch_size > 1:
        return None
    bandwidth, architecture = request.accelerator.hbm_bytes_per_s, request.model.architecture
    return ledger.limit(architecture, request.workload.precision, request.devices, bandwidth, given.ratio * published_s)


def conditions(catalog, claim, group):
    """Yield (condition, what the claim wants, what was found) once for each launch; what was observed counts, not what was asked."""
    protocol, workload, request = catalog.protocols[claim.protocol], catalog.workloads[claim.workload], group.request
    yield "accelerator", claim.accelerator, request.accelerator.name
    yield "model", claim.model, request.model.name
    yield "weights", "hub", request.weights.kind
    yield "stack", claim.stack, request.stack.name
    yield "protocol", claim.protocol, request.protocol.name
    yield "protocol version", protocol.version, request.protocol.version
    yield "batch", workload.batch_size, request.workload.batch_size
    yield "prompt", workload.prompt, request.workload.prompt
    yield "input tokens", workload.input_tokens, request.workload.input_tokens
    yield "output tokens", workload.output_tokens, request.workload.output_tokens
    for launch in group.launches:
        if launch["status"] == "complete":
            observed = launch["conditions"]
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
    counted = {result["attempt"]["id"] for group in groups for result in group.results}
    again = sorted({result["attempt"]["id"] for group in fresh for result in group.results} & counted)
    if again:
        raise InputError(
            f"Attempt {again[0]} is part of the comparison already; it cannot confirm it. Measure both sides once more."
        )
