"""The verb ``compare``: set results beside the published numbers, and say for each pair why they may be compared or not."""

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass

from runner.contract.errors import DamagedResult
from runner.contract.text import printable
from runner.host import catalog as catalogs
from runner.host import results, tables


@dataclass(frozen=True)
class Difference:
    """A condition of a claim that a result does not share: what was found here, and what the claim wants."""

    condition: str
    found: str
    wanted: str


@dataclass(frozen=True)
class Row:
    """One published cell beside one result. ``differences`` is empty where the two may be compared."""

    claim: str
    published: str
    published_s: float
    result: str
    measured: str
    measured_s: float | None
    ratio: float | None
    comparable: bool
    walk_through: bool
    differences: list[Difference]


def parser():
    described = argparse.ArgumentParser(
        prog="python -m runner compare",
        description="Print each result beside the published cells that its case names: both numbers, their ratio, whether the two"
        " may be compared, and if not, what differs.",
        epilog="Exit codes: 8 if a result was refused (the rest is printed); see `python -m runner --help`.",
    )
    described.add_argument(
        "results", nargs="*", default=["results"], metavar="RESULT", help="result files or folders (default: results)"
    )
    described.add_argument("--json", action="store_true", help="print rows as JSON, for programs")
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    read, refused = results.read_all(results.find(options.results))
    catalog = catalogs.read()
    rows = [row for result, request in read for row in compare(catalog, result, request)]
    if options.json:
        print(
            json.dumps(
                {"rows": [asdict(row) for row in rows], "refused": [str(problem) for problem in refused]}, indent=2
            )
        )
    else:
        tables.show(read, rows)
    for problem in refused:
        print(f"refused: {printable(str(problem))}", file=sys.stderr)
    return DamagedResult.exit_code if refused else 0


def compare(catalog, result, request):
    """Return a ``Row`` for every claim that the request's case is set beside. Pure."""
    measured_s = mean_latency_s(result)
    rows = []
    for name in request.beside:
        claim = catalog.claims.get(name)
        if claim is None:
            continue  # a claim that an older catalog had; its result stays readable
        differences = conditions_that_differ(catalog, claim, result, request)
        published_s = float(claim.latency_s)
        rows.append(
            Row(
                claim=name,
                published=f"{claim.devices} x {claim.accelerator}, {claim.model}",
                published_s=published_s,
                result=result["attempt"]["id"],
                measured=f"{request.devices} x {request.accelerator.name}, {request.model.name}",
                measured_s=measured_s,
                ratio=None if measured_s is None else measured_s / published_s,
                comparable=not differences and measured_s is not None,
                walk_through=request.accelerator.device == "cpu",
                differences=differences,
            )
        )
    return rows


def mean_latency_s(result):
    """Return the mean over complete launches of the protocol's estimate, None where no launch has one."""
    estimates = [
        launch["estimate"]["latency_s"]
        for launch in result["launches"]
        if launch["status"] == "complete" and "estimate" in launch
    ]
    return statistics.fmean(estimates) if estimates else None


def conditions_that_differ(catalog, claim, result, request):
    """Return every condition of the claim that the result does not share; what was observed counts, not what was asked."""
    protocol = catalog.protocols[claim.protocol]
    observed = next((launch["conditions"] for launch in result["launches"] if "conditions" in launch), None)
    if observed is None:
        return [Difference("status", result["attempt"]["status"], "complete")]
    workload = catalog.workloads[claim.workload]
    pairs = [
        ("accelerator", claim.accelerator, request.accelerator.name),
        ("devices", claim.devices, observed["devices"]),
        ("model", claim.model, request.model.name),
        ("weights", "hub", request.weights.kind),
        ("stack", claim.stack, request.stack.name),
        ("protocol", claim.protocol, request.protocol.name),
        ("protocol version", protocol.version, request.protocol.version),
        ("precision", claim.precision, observed["precision"]),
        ("graphs", protocol.graphs, observed["graphs"]),
        ("shapes", protocol.shapes, observed["shapes"]),
        ("end of text", protocol.end_of_text, observed["end_of_text"]),
        ("KV cache", True, observed["kv_cache"]),
        ("batch", workload.batch_size, request.workload.batch_size),
        ("prompt", workload.prompt, request.workload.prompt),
        ("output tokens", workload.output_tokens, request.workload.output_tokens),
        ("status", "complete", result["attempt"]["status"]),
    ]
    return [Difference(name, _word(found), _word(wanted)) for name, wanted, found in pairs if wanted != found]


def _word(value):
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
