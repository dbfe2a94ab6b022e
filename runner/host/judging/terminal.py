"""Print results and comparisons as tables that fit 80 columns. The only module that draws."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.contract.text import printable

WALK_THROUGH = "walk-through, not a reproduction"


def show(groups, rows, slower):
    """Print groups of results, and beside each the published cells with verdicts. ``rows`` are those of ``compare``.

    ``groups`` holds each group with those of its attempts that are shown, the newest first.
    """
    console = _console()
    for group, attempts in groups:
        _print_group(console, group, attempts)
        own = [row for row in rows if row.request == group.request.id]
        if own:
            console.print("", _beside(own), "", sep="\n")
            _print_reasons(console, own)
        if any(row.differences for row in own):
            console.print(_differences(own), "", sep="\n")
    if slower:
        _say(console, f"Slower than published, corrected for looking at {len(rows)} cells: {', '.join(slower)}.")


def show_claims(catalog, limits, findings):
    """Print the ledger: a table for each source, then the findings."""
    console = _console()
    for name, source in catalog.claim_sources.items():
        rows = {claim: row for claim, row in catalog.claims.items() if row.source == name}
        _say(console, f"{name}: {source.title}{f' ({source.date})' if source.date else ''}")
        _say(console, f"  {source.place}")
        if source.note:
            _say(console, f"  {source.note}")
        if rows:
            console.print(_cells(rows, limits))
        console.print()
    console.print("limit: the share of the measured time that memory bandwidth alone would need. Its sources:")
    for name, accelerator in catalog.accelerators.items():
        rate = "unknown" if accelerator.hbm_bytes_per_s is None else f"{accelerator.hbm_bytes_per_s / 1e12:.2f} TB/s"
        _say(console, f"  {name}: {rate}; {catalog.accelerator_sources[name]}")
    console.print()
    console.print("Findings, computed from the rows above:")
    for finding in findings:
        _say(console, f"  {finding.kind}: {finding.text}.")


def _console():
    """Return a console that takes text as it is: brackets in a foreign name are no markup.

    A file or pipe gets the same lines whatever COLUMNS says. 80 columns hold a row of latencies below 10 s; a longer one stays one
    line there too, for programs that read it.
    """
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = 100
    return console


def _say(console: Console, text: str) -> None:
    """Print one line, however long; what a foreign name may hold beside letters is made visible."""
    console.print(Text(printable(text)), soft_wrap=True)


def _cell(text: str) -> Text:
    return Text(printable(text, 200))


def _cells(rows, limits):
    table = _plain_table("cell", "as printed", "s", "limit", "suggests")
    for name, claim in rows.items():
        batch = f", batch {claim.batch_size}" if claim.batch_size > 1 else ""
        engine = f", {claim.engine}" if claim.engine else ""
        reached = limits[name]
        share, bound = ("-", "-") if reached is None else (f"{reached.share:.0%}", reached.bound)
        cell = f"{claim.devices} x {claim.accelerator}, {claim.model}, {claim.precision}{batch}{engine}"
        table.add_row(*map(_cell, (cell, f"{claim.value} {claim.unit}", f"{claim.latency_s:.3f}", share, bound)))
    return table


def show_changes(changes):
    """Print run against run, one line of numbers and one of reasons for each pair."""
    console = _console()
    for change in changes:
        ratio = "-" if change["ratio"] is None else f"{change['ratio']:.3f}"
        interval = "" if change["interval"] is None else " ({:.3f} to {:.3f})".format(*change["interval"])
        _say(console, f"{change['before']} -> {change['after']}: {ratio}{interval}, {_word(change)}")
        moved = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in change["moved"].items())
        _say(console, f"  {change['reason']}; launches {change['launches']}; moved: {moved or 'nothing'}")
        if change["confirmation"] is not None:
            _say(console, f"  fresh launches: {change['confirmation']}")


def _word(change):
    if not change["flagged"]:
        return "no change shown"
    return {
        None: "CHANGED, confirm it on fresh launches (--confirm)",
        True: "CHANGED, confirmed on fresh launches",
        False: "not confirmed on fresh launches, so no change shown",
    }[change["confirmed"]]


def _beside(rows):
    """Return the table of published cells beside one group of results."""
    table = _plain_table("published", "s", "here", "ratio", "verdict")
    for row in rows:
        here = "-" if row.verdict.ratio is None else f"{float(row.published_s) * row.verdict.ratio:.3f}"
        ratio = "-" if row.verdict.ratio is None else f"{row.verdict.ratio:.3f}"
        word = WALK_THROUGH if row.walk_through else row.verdict.word
        table.add_row(*map(_cell, (row.published, row.published_s, here, ratio, word)))
    return table


def _print_reasons(console, rows):
    """Print why, and how near, for every verdict; a walk-through on the CPU is near nothing."""
    for row in rows:
        given = row.verdict
        if row.walk_through:
            continue
        _say(console, f"{row.claim}: {given.word}: {'; '.join(given.reasons)}.")
        if given.attained_margin is not None:
            ahead = given.prediction_interval
            one_more = f"; one more launch would lie within {ahead[0]:.3f} to {ahead[1]:.3f}" if ahead else ""
            _say(console, f"  attained margin {given.attained_margin:.1%} on {given.launches} launch(es){one_more}")
        if row.limit is not None:
            _say(console, f"  {row.limit.share:.0%} of the memory-bandwidth limit, which suggests: {row.limit.bound}")
        console.print()


def _differences(rows):
    """Return the table of what differs between one result and the cells beside it, one line for each condition."""
    table = _plain_table("what differs", "here", "there")
    found: dict[str, str] = {}
    wanted: dict[str, dict[str, None]] = {}
    for difference in (difference for row in rows for difference in row.differences):
        found[difference.condition] = difference.found
        wanted.setdefault(difference.condition, {})[difference.wanted] = None
    for condition, here in found.items():
        table.add_row(*map(_cell, (condition, here, ", ".join(wanted[condition]))))
    return table


def _plain_table(*headings):
    """Return an empty table without lines, narrow enough for 80 columns."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("s", "ratio") else "left", overflow="fold")
    return table


def show_left_out(requests: int, attempts: int) -> None:
    """Say how many requests, with how many attempts, are not shown."""
    told = f"{requests:,} earlier request(s) with {attempts:,} attempt(s) are not shown; --all shows them."
    _say(_console(), told)


def _print_group(console, group, attempts):
    """Print what a request asked for, and what each attempt that is shown holds, in a few lines."""
    request, cpu = group.request, None
    lines = [
        f"{request.case}: {request.devices} x {request.accelerator.name}, {request.model.name}, {request.weights.kind} weights,"
        f" {request.workload.precision}",
    ]
    for attempt in attempts:
        own = f"{attempt.usable_cores} cores of {attempt.cpu}"
        if cpu is None:
            cpu = own
            lines.append(f"  protocol {request.protocol.name}, stack {request.stack.name}; {cpu}")
        lines.append(
            f"  attempt {attempt.id}: {attempt.status}, {len(attempt.launches)} of {request.launches} launch(es),"
            f" {attempt.duration_s:.1f} s{'' if own == cpu else f'; {own}'}"
        )
        for launch in attempt.launches:
            lines += _launch_lines(launch)
        if attempt.outputs_rows is not None:
            lines.append(f"  outputs: {attempt.outputs_rows} rows in {attempt.outputs_file}")
    if len(attempts) < len(group.attempts):
        left = len(group.attempts) - len(attempts)
        lines.append(f"  {left:,} earlier attempt(s) of this request count too and are not shown; --all shows them")
    for line in lines:
        _say(console, line)


def _launch_lines(launch):
    if not launch.complete:
        return [f"  launch {launch.index + 1}: failed. {launch.error}"]
    lines = [
        f"  launch {launch.index + 1}: {launch.conditions['engine']} on {launch.ranks} rank(s), loaded in {launch.load_s:.2f} s",
        f"    {launch.passed} checks passed, {launch.unchecked} cannot be made here; flagged:"
        f" {', '.join(launch.flagged) or 'none'}",
    ]
    if launch.conditions["emulated"]:
        lines.append("    times are not told: something stood in for the device")
    elif launch.timed is not None:
        timed = launch.timed
        lines.append(
            f"    latency {timed.latency_s:.4f} s ({timed.estimator}) of calls"
            f" {' '.join(f'{value:.4f}' for value in timed.iterations_s)}"
        )
        lines.append(
            f"    TTFT {timed.ttft_s * 1e3:.2f} ms"
            + (f", TPOT {timed.tpot_s * 1e3:.3f} ms" if timed.tpot_s is not None else "")
            + f"; tokens sha256 {timed.tokens_sha256[:12]}"
        )
    elif launch.completed is not None:
        done = launch.completed
        lines.append(
            f"    {done.rows} of {done.rows_total} rows in {done.batches_s:.2f} s; tokens sha256 {done.tokens_sha256[:12]}"
        )
    return lines
