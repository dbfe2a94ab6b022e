"""Print results and comparisons as tables that fit 80 columns, and as figures in text that are as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.contract.text import printable
from runner.host import tables
from runner.host.judging import comparison, counts, figure_lines, image_ledger, text_figures
from runner.host.judging.comparison import Row
from runner.host.judging.findings import Finding
from runner.host.judging.groups import Group
from runner.host.judging.ledger import Limit
from runner.host.judging.run_changes import RunChange
from runner.host.judging.text_figures import Line, Terms
from runner.host.judging.verdict import CHANGED
from runner.host.readers.catalog import Catalog, Claim
from runner.host.readers.images import ImageClaim
from runner.host.results.attempts import AttemptSummary, LaunchSummary

# Of run against run, which has no table.
_CHANGE_COLUMNS, _MOST_ALONE = 80, 5
# Of a figure: a file or pipe gets the least, a terminal up to the most.
_FIGURE_COLUMNS, _MOST_FIGURE_COLUMNS = 80, 200
_TO_PUBLISHED = Terms("measured / published", "launch", "launches", "published")
_RUN_AGAINST_RUN = Terms("after / before", "ratio", "ratios", "no change")
# Of a bar in the table of claims: with the least, the table of the post fits 80 columns. It takes a fifth of further columns.
_BAR_COLUMNS, _MOST_BAR_COLUMNS = 6, 30


def show(groups: Iterable[tuple[Group, Sequence[AttemptSummary]]], rows: Sequence[Row], slower: Sequence[str]) -> None:
    """Print groups of results, each with the published cells beside it and the verdicts on them.

    ``groups`` holds each group with the attempts of it that are shown, the newest first; ``slower`` names the claims of the headline.
    """
    console = tables.console()
    shown = list(groups)
    for group, attempts in shown:
        _print_group(console, group, attempts)
        group_rows = [row for row in rows if row.request == group.request.id]
        if group_rows:
            console.print("", _beside(group_rows), "", sep="\n")
            _print_reasons(console, group_rows)
        if any(row.differences for row in group_rows):
            console.print(_differences(group_rows), "", sep="\n")
    for lines in figure_lines.of_rows([group for group, _ in shown], rows):
        _print_figure(console, lines, _TO_PUBLISHED)
    if slower:
        looks = len(comparison.decided(rows))
        cells = f"{looks} cell{'s' if looks > 1 else ''}"
        tables.say(console, f"Slower than published, corrected for looking at {cells}: {', '.join(slower)}.")


def show_claims(catalog: Catalog, limits: Mapping[str, Limit | None], findings: Iterable[Finding]) -> None:
    """Print the ledger: a table for each source, then the findings. ``limits`` holds the limit of each claim by name."""
    console = tables.console()
    for name, source in catalog.claim_sources.items():
        rows = {claim: row for claim, row in catalog.claims.items() if row.source == name}
        tables.say(console, f"{name}: {source.title}{f' ({source.date})' if source.date else ''}")
        tables.say(console, f"  {source.place}")
        if source.note:
            tables.say(console, f"  {source.note}")
        if rows:
            console.print(_cells(rows, limits, console))
        images = [row for row in catalog.images.values() if row.source == name]
        if images:
            console.print(_images(images))
        console.print()
    console.print("limit: the share of the measured time that memory bandwidth alone would need. Its sources:")
    for name, accelerator in catalog.accelerators.items():
        rate = "unknown" if accelerator.hbm_bytes_per_s is None else f"{accelerator.hbm_bytes_per_s / 1e12:.2f} TB/s"
        tables.say(console, f"  {name}: {rate}; {catalog.accelerator_rows[name].source}")
    console.print()
    console.print("Findings, computed from the rows above:")
    for finding in findings:
        tables.say(console, f"  {finding.kind}: {finding.text}.")


def _cells(rows: Mapping[str, Claim], limits: Mapping[str, Limit | None], console: Console) -> Table:
    """Return the table of the claims of one source, with each share of the memory's limit as a bar."""
    table = tables.plain("cell", "printed", "s", "limit", "suggests")
    columns = min(max(_BAR_COLUMNS, _BAR_COLUMNS + (console.width - 80) // 5), _MOST_BAR_COLUMNS)
    drawn_with = text_figures.marks(console.encoding)
    for name, claim in rows.items():
        weights = f", {claim.weights} weights" if claim.weights != "hub" else ""
        batch = f", batch {claim.batch_size}" if claim.batch_size > 1 else ""
        engine = f", {claim.engine}" if claim.engine else ""
        limit = limits[name]
        share, bound = ("-", "-") if limit is None else (f"{limit.share:>4.0%} ", limit.bound)
        bar = "" if limit is None else text_figures.bar(limit.share, columns, drawn_with)
        cell = f"{claim.devices} x {claim.accelerator}, {claim.model}, {claim.precision}{weights}{batch}{engine}"
        table.add_row(
            *map(tables.cell, (cell, f"{claim.value} {claim.unit}", f"{claim.latency_s:.3f}", share + bar, bound))
        )
    return table


def _images(rows: Iterable[ImageClaim]) -> Table:
    """Return the table of the numbers of images of one source."""
    table = tables.plain("cell", "printed", "s an image")
    for claim in rows:
        cell = f"{image_ledger.devices_in_words(claim)}, {claim.model}, {image_ledger.conditions_in_words(claim)}"
        table.add_row(*map(tables.cell, (cell, f"{claim.value} {claim.unit}", f"{claim.seconds_per_image:.3f}")))
    return table


def show_changes(changes: Iterable[RunChange]) -> None:
    """Print run against run within 80 columns: for each pair the word, the times, the counts, the flags and what moved."""
    console = tables.console()
    shown = list(changes)
    for change in shown:
        for indent, line in _change_lines(change):
            _say_wrapped(console, line, indent)
        console.print()
    _print_figure(console, figure_lines.of_changes(shown), _RUN_AGAINST_RUN)


def show_alone(alone: Mapping[str, Sequence[str]]) -> None:
    """Say which requests have no counterpart; ``alone`` maps a side to their ids."""
    for side, requests in alone.items():
        if requests:
            shown = ", ".join(requests[:_MOST_ALONE]) + (" and others" if len(requests) > _MOST_ALONE else "")
            _say_wrapped(tables.console(), f"{len(requests):,} request(s) {side} have no counterpart: {shown}", 0)


def _change_lines(change: RunChange) -> Iterator[tuple[int, str]]:
    """Yield the lines of one pair, each with its indent in columns."""
    # counts are exact, and need no second look
    unconfirmed = ", confirm it on fresh launches (--confirm)" if change.times.word == CHANGED else ""
    confirmed = {None: unconfirmed, True: ", confirmed on fresh launches", False: ", not confirmed on fresh launches"}
    yield 0, f"{change.case}: {change.word}{confirmed[change.confirmed]}"
    yield 2, f"{change.before} -> {change.after}"
    yield from ((2, reason) for reason in change.reasons)
    yield from _time_lines(change)
    names = {word: [count.name for count in change.counts if count.word == word] for word in counts.WORDS}
    told = [f"{len(names[counts.EQUAL])} equal"]
    told += [f"{word}: {', '.join(names[word])}" for word in counts.WORDS[1:] if names[word]]
    yield 2, f"counts: {'; '.join(told)}"
    flags = [f"{flag.side} {flag.check} ({flag.number})" for flag in change.flags]
    yield 2, f"flagged launches: {', '.join(flags) or 'none'}"
    moved = [f"{name} {old} -> {new}" for name, (old, new) in change.moved.items()]
    yield 2, f"moved: {', '.join(moved) or 'nothing'}"
    if change.confirmation is not None:
        yield 2, change.confirmation


def _time_lines(change: RunChange) -> Iterator[tuple[int, str]]:
    times = change.times
    seconds = ["-" if value_s is None else f"{value_s:.4g} s" for value_s in (times.before_s, times.after_s)]
    launches = f"{change.launches[0]} and {change.launches[1]} launches"
    failed = f", {change.failed[0]} and {change.failed[1]} failed" if any(change.failed) else ""
    ratio = "" if times.ratio is None else f", ratio {times.ratio:.3f}"
    interval = "" if times.interval is None else " ({:.3f} to {:.3f})".format(*times.interval)
    yield 2, f"time: {times.word or 'not judged'}: {' -> '.join(seconds)}{ratio}{interval}; {launches}{failed}"
    if times.reason not in change.reasons:
        yield 4, times.reason
    if times.smallest_in_words is not None:
        yield 4, f"smallest change that would have been shown nine times in ten: {times.smallest_in_words}"


def _say_wrapped(to: Console, text: str, indent: int) -> None:
    """Print a text in lines of at most 80 columns; the lines after the first are indented by two columns more."""
    first, *rest = Text(printable(text)).wrap(to, _CHANGE_COLUMNS - indent - 2)
    for number, line in enumerate([first, *rest]):
        line.rstrip()
        to.print(Text(" " * (indent + 2 * (number > 0))) + line, soft_wrap=True)


def _beside(rows: Sequence[Row]) -> Table:
    """Return the table of published cells beside one group of results."""
    table = tables.plain("published", "s", "here", "ratio", "verdict")
    for row in rows:
        measured = "-" if row.verdict.ratio is None else f"{float(row.published_s) * row.verdict.ratio:.3f}"
        ratio = "-" if row.verdict.ratio is None else f"{row.verdict.ratio:.3f}"
        word = figure_lines.WALK_THROUGH if row.walk_through else row.verdict.word
        table.add_row(*map(tables.cell, (row.published, row.published_s, measured, ratio, word)))
    return table


def _print_figure(console: Console, lines: Sequence[Line], terms: Terms) -> None:
    """Print a figure where the terminal is wide enough for one; nothing for no lines."""
    columns = min(console.width, _MOST_FIGURE_COLUMNS) if console.is_terminal else _FIGURE_COLUMNS
    rows = text_figures.dots_and_intervals(lines, terms, columns, text_figures.marks(console.encoding))
    for row in rows:
        tables.say(console, row)
    if rows:
        console.print()


def _print_reasons(console: Console, rows: Sequence[Row]) -> None:
    """Print the reasons of every verdict, and how near the measured time was; nothing for a walk-through on the CPU."""
    for row in rows:
        verdict = row.verdict
        if row.walk_through:
            continue
        tables.say(console, f"{row.claim}: {verdict.word}: {'; '.join(verdict.reasons)}.")
        if verdict.attained_margin is not None:
            ahead = verdict.prediction_interval
            one_more = f"; one more launch would lie within {ahead[0]:.3f} to {ahead[1]:.3f}" if ahead else ""
            tables.say(
                console, f"  attained margin {verdict.attained_margin:.1%} on {verdict.launches} launch(es){one_more}"
            )
        if row.limit is not None:
            tables.say(
                console, f"  {row.limit.share:.0%} of the memory-bandwidth limit, which suggests: {row.limit.bound}"
            )
        console.print()


def _differences(rows: Sequence[Row]) -> Table:
    """Return the table of conditions that a result and the cells beside it do not share, one line for each condition."""
    table = tables.plain("what differs", "here", "there")
    of_result: dict[str, str] = {}
    wanted: dict[str, dict[str, None]] = {}
    for difference in (difference for row in rows for difference in row.differences):
        of_result[difference.condition] = difference.found
        wanted.setdefault(difference.condition, {})[difference.wanted] = None
    for condition, value in of_result.items():
        table.add_row(*map(tables.cell, (condition, value, ", ".join(wanted[condition]))))
    return table


def show_left_out(requests: int, attempts: int) -> None:
    """Say how many requests, with how many attempts, are not shown."""
    tables.say(
        tables.console(),
        f"{requests:,} earlier request(s) with {attempts:,} attempt(s) are not shown; --all shows them.",
    )


def _print_group(console: Console, group: Group, attempts: Sequence[AttemptSummary]) -> None:
    """Print in a few lines what a request asked for, and what each of the ``attempts`` holds."""
    request = group.request
    first_host: str | None = None
    lines = [
        f"{request.case}: {group.words}, {request.weights.kind} weights, {request.workload.precision}",
    ]
    for attempt in attempts:
        host = f"{attempt.usable_cores} cores of {attempt.cpu}"
        if first_host is None:
            first_host = host
            lines.append(f"  protocol {request.protocol.name}, stack {request.stack.name}; {host}")
        lines.append(
            f"  attempt {attempt.id}: {attempt.status}, {len(attempt.launches)} of {request.launches} launch(es),"
            f" {attempt.duration_s:.1f} s{'' if host == first_host else f'; {host}'}"
        )
        for launch in attempt.launches:
            lines += _launch_lines(launch)
        if attempt.outputs_rows is not None:
            lines.append(f"  outputs: {attempt.outputs_rows} rows in {attempt.outputs_file}")
    if len(attempts) < len(group.attempts):
        left = len(group.attempts) - len(attempts)
        lines.append(f"  {left:,} earlier attempt(s) of this request count too and are not shown; --all shows them")
    for line in lines:
        tables.say(console, line)


def _launch_lines(launch: LaunchSummary) -> list[str]:
    if not launch.complete:
        return [f"  launch {launch.index + 1}: failed. {launch.error}"]
    conditions = launch.conditions
    # the schema of results wants them of a complete launch
    assert conditions is not None
    lines = [
        f"  launch {launch.index + 1}: {conditions['engine']} on {launch.ranks} rank(s), loaded in {launch.load_s:.2f} s",
        f"    {launch.passed} checks passed, {launch.unchecked} cannot be made here; flagged:"
        f" {', '.join(launch.flagged) or 'none'}",
    ]
    if conditions["emulated"]:
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
        dataset = launch.completed
        lines.append(
            f"    {dataset.rows} of {dataset.rows_total} rows in {dataset.batches_s:.2f} s;"
            f" tokens sha256 {dataset.tokens_sha256[:12]}"
        )
    return lines
