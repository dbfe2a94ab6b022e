"""Print results and comparisons as tables that fit 80 columns. The only module that draws."""

import statistics

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.contract.text import printable

WALK_THROUGH = "walk-through, not a reproduction"


def show(read, rows):
    """Print every result, and beside it the published cells with what differs. ``rows`` are those of ``compare``."""
    console = Console()
    for result, request in read:
        _print_result(console, result, request)
        own = [row for row in rows if row.result == result["attempt"]["id"]]
        if own:
            console.print("", _beside(own), "", _differences(own), "", sep="\n")


def _beside(rows):
    """Return the table of published cells beside one result."""
    table = _plain_table("published", "s", "here", "ratio", "may be compared")
    for row in rows:
        measured = "-" if row.measured_s is None else f"{row.measured_s:.3f}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.3f}"
        verdict = "yes" if row.comparable else WALK_THROUGH if row.walk_through else "no, see below"
        table.add_row(*map(Text, (row.published, f"{row.published_s:.3f}", measured, ratio, verdict)))
    return table


def _differences(rows):
    """Return the table of what differs between one result and the cells beside it, one line for each condition."""
    table = _plain_table("what differs", "here", "there")
    found: dict[str, str] = {}
    wanted: dict[str, dict[str, None]] = {}
    for difference in (difference for row in rows for difference in row.differences):
        found[difference.condition] = difference.found
        wanted.setdefault(difference.condition, {})[difference.wanted] = None
    for condition, here in found.items():
        table.add_row(*map(Text, (condition, printable(here, 60), ", ".join(wanted[condition]))))
    return table


def _plain_table(*headings):
    """Return an empty table without lines, narrow enough for 80 columns."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("s", "ratio") else "left", overflow="fold")
    return table


def _print_result(console, result, request):
    """Print what one result holds, in a few lines."""
    attempt, cpu = result["attempt"], result["environment"]["cpu"]
    lines = [
        f"{request.case}: {request.devices} x {request.accelerator.name}, {request.model.name}, {request.weights.kind} weights,"
        f" {request.workload.precision}",
        f"  protocol {request.protocol.name}, stack {request.stack.name}; {cpu['usable_cores']} cores of {cpu['model']}",
        f"  attempt {attempt['id']}: {attempt['status']}, {len(result['launches'])} of {request.launches} launch(es),"
        f" {attempt['duration_s']:.1f} s",
    ]
    for launch in result["launches"]:
        lines += _launch_lines(launch)
    if result["outputs"] is not None:
        lines.append(f"  outputs: {result['outputs']['rows']} rows in {result['outputs']['file']}")
    for line in lines:
        console.print(Text(printable(line, 1000)), soft_wrap=True)


def _launch_lines(launch):
    if launch["status"] != "complete":
        return [f"  launch {launch['index'] + 1}: failed. {launch['error']}"]
    engine, ranks = launch["conditions"]["engine"], len(launch["ranks"])
    lines = [
        f"  launch {launch['index'] + 1}: {engine} on {ranks} rank(s), loaded in {launch['load_s']:.2f} s,"
        f" {len(launch['checks'])} checks passed"
    ]
    if "timed" in launch:
        timed, traced = launch["timed"], launch["instrumented"]
        tpot = [value for value in traced["tpot_s"] if value is not None]
        lines.append(
            f"    latency {launch['estimate']['latency_s']:.4f} s ({launch['estimate']['estimator']}) of calls"
            f" {' '.join(f'{value:.4f}' for value in timed['iterations_s'])}"
        )
        lines.append(
            f"    TTFT {statistics.median(traced['ttft_s']) * 1e3:.2f} ms"
            + (f", TPOT {statistics.median(tpot) * 1e3:.3f} ms" if tpot else "")
            + f"; tokens sha256 {launch['tokens']['outputs_sha256'][0][:12]}"
        )
    else:
        dataset = launch["dataset"]
        lines.append(
            f"    {dataset['rows']} of {dataset['rows_total']} rows in {sum(dataset['batches_s']):.2f} s;"
            f" tokens sha256 {dataset['tokens_sha256'][:12]}"
        )
    return lines
