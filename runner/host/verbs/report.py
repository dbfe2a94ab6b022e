"""The verb ``report``: make the page that shows results beside the published numbers, with its figures and its data beside it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import path_lists, patterns, progress, signals
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.progress import Task
from runner.contract.text import printable
from runner.host.exports import launches_csv
from runner.host.figures import png
from runner.host.judging import replications
from runner.host.readers import catalog as catalogs
from runner.host.readers import prices as price_lists
from runner.host.readers.catalog import Catalog
from runner.host.readers.prices import Prices
from runner.host.report import folder, page, reading
from runner.host.report.material import Material
from runner.host.report.sections import repeat
from runner.host.results import index as indexes
from runner.host.results.index import Index
from runner.host.results.refusals import ResultRefused
from runner.host.workers import Workers

# Taken where it lies in the folder in which the verb is called, and no other is named.
PRICES = Path("prices.yaml")
CSV = "launches.csv"
_LABORATORY = patterns.FreeText("a name")
# Of the words of --example.
_MOST_WORDS = 120


@dataclass(frozen=True)
class ReportWritten(Event, word="report"):
    """The report was written."""

    path: str = field(metadata=fact("path of the page"))
    bytes: int = field(metadata=fact("size of all files of the report"))
    figures: int = field(metadata=fact("number of figures"))
    requests: int = field(metadata=fact("number of requests that results were found of"))
    launches: int = field(metadata=fact("number of launches that count as samples"))
    cells: int = field(metadata=fact("number of published cells on the page"))
    verdicts: dict[str, int] = field(
        metadata=fact(
            "verdicts on the published cells to the number of cells, as the page shows them; 'not measured' too"
        )
    )
    refused: int = field(metadata=fact("number of refused results"))

    @property
    def sentence(self) -> str:
        """The lines for people."""
        told = ", ".join(f"{number} {word}" for word, number in self.verdicts.items()) or "none"
        return (
            f"{printable(self.path)}\npublished cells: {self.cells} ({told}), requests: {self.requests:,}, launches:"
            f" {self.launches:,}, figures: {self.figures}, bytes: {self.bytes:,}"
        )


@dataclass(frozen=True)
class PicturesLeftOut(Complaint, word="no-png"):
    """The figures were not drawn as PNG, since what draws them is not installed."""

    message: str = field(metadata=fact("what is missing, and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.message


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's command line."""
    described = verb_parser(
        "report",
        description="Make one HTML page of results beside the published table: every launch, interval and verdict, what differs,"
        " and where each number comes from. The page needs no network and no script. Beside it lie its figures (SVG, PNG) and its"
        f" data ({folder.DATA}, {CSV}). The path of the page goes to standard output.",
        epilog="Exit codes: 8 if a result was refused (the report holds the others); see `python -m runner --help`.",
    )
    described.add_argument(
        "results", nargs="*", metavar="RESULT", help="result files or folders (default, without --from too: results)"
    )
    path_lists.add_from(described, path_lists.RESULTS)
    described.add_argument(
        "--out",
        default="build/report",
        metavar="FOLDER",
        type=Path,
        help="where the report goes (default: %(default)s); files of others in it stay",
    )
    described.add_argument(
        "--prices",
        metavar="FILE",
        type=Path,
        help=f"your prices, as in examples/prices.yaml (default: {PRICES} where it is here, else none)",
    )
    described.add_argument(
        "--laboratory",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="results of others, to be set beside these; may be given several times",
    )
    described.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="NAME",
        help="a publication of `python -m runner claims --json` whose table is shown; may be given several times, the last is shown"
        f" first (default: {' and '.join(reading.SOURCES)})",
    )
    described.add_argument(
        "--published-only", action="store_true", help="show the published numbers alone, and read no result"
    )
    described.add_argument(
        "--example",
        type=_words,
        metavar="WORDS",
        help="say on the page and on every figure of launches that nothing here was measured; for results that were made up",
    )
    described.add_argument("--no-png", action="store_true", help="draw figures as SVG alone")
    described.add_argument(
        "--page-only",
        action="store_true",
        help=f"write the page and {folder.DATA} alone, without figures, requests and {CSV} beside them, as for a mail",
    )
    add_json(described, "what was written")
    return described


def _words(text: str) -> str:
    """Return the words of ``--example``. Raises ``ArgumentTypeError``."""
    # what a figure has room for
    if not text.strip() or len(text) > _MOST_WORDS or not text.isprintable():
        raise argparse.ArgumentTypeError(f"say in one line of 1 to {_MOST_WORDS} characters what the example is")
    return text.strip()


def _check_out(options: argparse.Namespace) -> None:
    """Raise ``UsageError`` and ``InputError`` for a folder that the report cannot go into."""
    out = options.out
    if os.fspath(out) == "-":
        raise UsageError("--out: a report is a folder of files, which no standard output takes. Name a folder.")
    path_lists.refuse_unlistable(out, "--out")
    # `make report` names the folder of results with --published-only too, which reads none
    if not options.published_only:
        place = out.resolve()
        for path in map(Path, options.results or ["results"]):
            if path.is_dir() and place.is_relative_to(path.resolve()):
                raise UsageError(
                    f"--out: {printable(os.fspath(out), 200)} is inside {printable(os.fspath(path), 200)}, whose files are read as"
                    " results. Name a folder elsewhere."
                )
    folder.check(out)


def main(arguments: Sequence[str]) -> int:
    """Write the report, print its path, and return the exit code: that of ``DamagedResult`` if a result was refused.

    Raises ``UsageError``; ``InputError`` where no result was found, for a path or a file of prices that cannot be used, and for a folder
    that the report may not be written into.
    """
    options = parser().parse_args(arguments)
    announcer = Announcer(options.json)
    _check_out(options)
    without_png = options.no_png or options.page_only
    with_png = png.available() and not without_png
    if not (with_png or without_png):
        announcer.announce(
            PicturesLeftOut(
                "The figures are drawn as SVG alone: resvg and its font, which draw PNG, are not both installed. `make report` installs"
                " them, outside of a clone `pip install resvg-py fontpkg-open-sans` does; --no-png asks for SVG alone."
            )
        )
    catalog = catalogs.read()
    refused: list[DamagedResult] = []
    task = progress.begin("report", _show)
    try:
        with signals.as_interrupt(), Workers() as workers:
            material = _material(options, catalog, refused, task, workers)
            written = _write(options.out, material, with_png, options.page_only, workers)
    # told after an error too: a refused result is often the reason
    finally:
        ResultRefused.announce_all(announcer, refused)
    announcer.announce(written)
    return DamagedResult.exit_code if refused else 0


def _material(
    options: argparse.Namespace, catalog: Catalog, refused: list[DamagedResult], task: Task, workers: Workers
) -> Material:
    """Return everything that the report is made from. Raises ``InputError`` and ``UsageError``."""
    today = reading.made_utc(os.environ, time.time())
    sources = reading.sources(catalog, options.source)
    laboratories = _laboratories(options.laboratory, [*catalog.claim_sources, replications.OURS, "here", "published"])
    prices = _prices(options.prices, catalog, today)
    with Index(indexes.PATH) as index:
        reader = reading.Reader(catalog, index, task, refused, workers.map)
        measured = [] if options.published_only else reader.results(_paths(options), sources)
        if refused and not measured:
            raise DamagedResult(
                f"Every result was refused, {len(refused):,} of them: no report is made, and an earlier one stays as it is. Name results"
                " that can be read; with --published-only the page shows the published numbers alone."
            )
        if not (measured or options.published_only):
            raise _nothing_found(_paths(options))
        others = {name: reader.laboratory(name, path) for name, path in laboratories.items()}
        whole = reader.whole(measured)
    return Material(
        catalog,
        measured,
        sources,
        today,
        laboratories=others,
        whole=whole,
        example=options.example,
        refused=[str(problem) for problem in refused],
        prices=prices,
        kit=reading.kit(catalog),
        beside_page=_beside_page(options.page_only, bool(measured)),
    )


def _beside_page(page_only: bool, measured: bool) -> tuple[str, ...]:
    """Return the files and folders that the report has beside its page."""
    if page_only:
        return (folder.DATA,)
    return (folder.DATA, CSV, f"{folder.FIGURES}/", *([repeat.REQUESTS] if measured else []))


def _laboratories(given: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """Return the folders of laboratories by their names, none of which is in ``taken``. Raises ``UsageError``."""
    named: dict[str, str] = {}
    for pair in given:
        name, mark, path = pair.partition("=")
        if not (mark and name and path):
            raise UsageError(f"--laboratory must be NAME=FOLDER, {printable(pair, 100)!r} was given.")
        problem = patterns.problem(_LABORATORY, name)
        if problem is not None:
            raise UsageError(f"--laboratory: the name {problem}.")
        if name in taken:
            raise UsageError(
                f"--laboratory: the page calls something else {printable(name, 100)}. Give the laboratory another name."
            )
        if name in named:
            raise UsageError(
                f"--laboratory names {printable(name, 100)} twice. Give each laboratory a name of its own."
            )
        named[name] = path
    return named


def _paths(options: argparse.Namespace) -> list[str]:
    """Return the paths of results. Raises ``InputError`` where none is named and the usual folder is not there."""
    paths = path_lists.given(options.results, options.listed_in, path_lists.RESULTS) or ["results"]
    if not any(map(os.path.lexists, paths)):
        raise _nothing_found(paths)
    return paths


def _nothing_found(paths: Sequence[str]) -> InputError:
    return InputError(
        f"No result is in {', '.join(printable(path) for path in paths[:5])}. Run `make bench` first, or name the folder that results"
        " went to; with --published-only the page shows the published numbers alone."
    )


def _prices(named: Path | None, catalog: Catalog, today: str) -> Prices | None:
    path = named or (PRICES if PRICES.exists() else None)
    return None if path is None else price_lists.read(path, catalog, today)


def _write(out: Path, material: Material, with_png: bool, page_only: bool, workers: Workers) -> ReportWritten:
    """Write the report, and return what was written. Raises ``InputError``."""
    parts = page.filled(material)
    # other processes draw while this one writes
    pictures = folder.pictures([] if page_only else parts, with_png, workers.map)
    html = page.html(material, parts).encode("utf-8", "backslashreplace")
    beside = dict(pictures)
    if not page_only:
        beside[CSV] = launches_csv.text(material.measured).encode("utf-8", "backslashreplace")
        beside.update(folder.requests(material))
    size_bytes = folder.write(out, folder.data(material, parts), beside, html)
    pairs = [material.this_run(name) for name, _ in material.shown_claims()]
    words = Counter("not measured" if pair is None else pair[1].word for pair in pairs)
    return ReportWritten(
        path=str(out / folder.PAGE),
        bytes=size_bytes,
        figures=sum(len(part.figures) for part in parts),
        requests=len(material.measured),
        launches=sum(len(measured.samples) for measured in material.measured),
        cells=len(pairs),
        verdicts=dict(sorted(words.items())),
        refused=len(material.refused),
    )


def _show(line: str) -> None:
    print(f"[report] {line}", file=sys.stderr, flush=True)
