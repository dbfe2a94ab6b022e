"""The verb ``export``: write results in the formats of other tools."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner.contract import path_lists
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.text import printable
from runner.host import writing
from runner.host.exports import conditions
from runner.host.exports.formats import FORMATS, Format
from runner.host.judging import comparison
from runner.host.judging import measured as measurements
from runner.host.judging.measured import Measured
from runner.host.readers import catalog as catalogs
from runner.host.readers.catalog import Catalog
from runner.host.results import index as indexes
from runner.host.results import result_files
from runner.host.results.index import Index
from runner.host.results.refusals import ResultRefused

STANDARD_OUTPUT = "-"
# Names of requests in a message.
_MOST_NAMES = 20


@dataclass(frozen=True)
class ExportWritten(Event, word="export"):
    """A file was written."""

    path: str = field(metadata=fact("path of the file"))
    format: str = field(metadata=fact("name of the format"))
    requests: int = field(metadata=fact("number of requests in the file"))
    launches: int = field(metadata=fact("number of launches that count as samples of these requests"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return printable(self.path)


@dataclass(frozen=True)
class RequestLeftOut(Complaint, word="no-times"):
    """A request was left out, since the format holds times and the request has none."""

    request: str = field(metadata=fact("id of the request"))
    why: str = field(metadata=fact("why the request has no times"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{self.request} is left out: {self.why}"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's command line."""
    described = verb_parser(
        "export",
        description="Write results in the format of another tool. "
        + " ".join(f"{name}: {form.what}." for name, form in FORMATS.items()),
        epilog="Exit codes: 8 if a result was refused (the rest is written); see `python -m runner --help`.",
    )
    described.add_argument("format", choices=tuple(FORMATS), metavar="FORMAT", help=f"one of {', '.join(FORMATS)}")
    described.add_argument(
        "results", nargs="*", metavar="RESULT", help="result files or folders (default, without --from too: results)"
    )
    path_lists.add_from(described, path_lists.RESULTS)
    described.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="the file to write, replaced whole; a folder, or a name that ends with /, gets a file for each request where a file of"
        " the format holds one; - is standard output",
    )
    described.add_argument(
        "--claim",
        action="append",
        default=[],
        metavar="NAME",
        help="only this published cell and what was measured beside it; may be given several times (badge: one)",
    )
    described.add_argument(
        "--request",
        action="append",
        default=[],
        metavar="ID",
        help="only this request's results; may be given several times",
    )
    add_json(described, "what was written")
    return described


def main(arguments: Sequence[str]) -> int:
    """Write the export, and return the exit code: that of ``DamagedResult`` if a result was refused.

    Raises ``UsageError``; ``InputError`` for a path that does not exist, where nothing was found to write, and for a file that cannot be
    written; ``Unsupported`` where a format needs a package that is not installed.
    """
    # intermixed: `make export` puts the results behind the flags
    options = parser().parse_intermixed_args(arguments)
    form = FORMATS[options.format]
    _check_out(options, form)
    announcer = Announcer(options.json)
    catalog = catalogs.read()
    _refuse_unknown_claims(options.claim, catalog)
    refused: list[DamagedResult] = []
    try:
        with Index(indexes.PATH) as index:
            paths = path_lists.given(options.results, options.listed_in, path_lists.RESULTS) or ["results"]
            found = measurements.of_results(
                result_files.read_whole(paths, index, refused),
                catalog,
                # a cell of any publication may be named, as the page shows them
                sources={catalog.claims[name].source for name in options.claim},
            )
        if not (found or refused):
            raise InputError(
                f"No result is in {', '.join(map(printable, paths))}. Run `make bench` first, or name the folder that results went to."
            )
        _write(options, form, _chosen(options, form, found, announcer), announcer)
    # told after an error too: a refused result is often the reason
    finally:
        ResultRefused.announce_all(announcer, refused)
    return DamagedResult.exit_code if refused else 0


def _check_out(options: argparse.Namespace, form: Format) -> None:
    """Raise ``UsageError`` for a place that the format cannot be written to."""
    if options.out == STANDARD_OUTPUT:
        if not form.is_text:
            raise UsageError(f"--out: {options.format} is no text. Name a file.")
        if options.json:
            raise UsageError("--json prints on standard output, and so does --out -. Name a file with --out.")
        return
    path_lists.refuse_unlistable(options.out, "--out")
    if _is_folder(options.out) and not form.of_one_request:
        raise UsageError(
            f"--out: {printable(options.out, 200)} is a folder, and {options.format} is one file. Name a file."
        )


def _refuse_unknown_claims(named: Sequence[str], catalog: Catalog) -> None:
    for name in named:
        if name not in catalog.claims:
            raise UsageError(
                f"--claim: there is no claim {printable(name, 100)!r}. Known are {', '.join(catalog.claims)}."
            )


def _chosen(
    options: argparse.Namespace, form: Format, found: Sequence[Measured], announcer: Announcer
) -> list[Measured]:
    """Return what is to be written: of the requests and cells that are named, and with times where the format needs them.

    Raises ``UsageError`` for a request that is not there, for several cells where the format holds one, and for a format of one request
    where several are left. Raises ``InputError`` where nothing is left.
    """
    chosen = _of_requests(options.request, found)
    if options.claim:
        chosen = list(_beside(options.claim, chosen))
    if form.of_one_claim:
        _refuse_several_claims(options.format, chosen)
    if form.only_times:
        for of_request in chosen:
            if not conditions.has_times(of_request):
                announcer.announce(RequestLeftOut(of_request.group.request.id, _why_without_times(of_request)))
        chosen = list(filter(conditions.has_times, chosen))
        if found and not chosen:
            raise InputError(
                f"No request has times, and {options.format} holds nothing else. The format csv holds what there is."
            )
    if form.of_one_request and not _is_folder(options.out) and len(chosen) > 1:
        raise UsageError(
            f"A file of {options.format} holds one request, and there are {len(chosen)}. Choose one with --request, or name a folder"
            f" with --out, such as exports/. There are {_requests(chosen)}."
        )
    return chosen


def _of_requests(named: Sequence[str], found: Sequence[Measured]) -> list[Measured]:
    by_id = {of_request.group.request.id: of_request for of_request in found}
    for name in named:
        if name not in by_id:
            raise UsageError(
                f"--request: there is no result of {printable(name, 100)!r}. There are {_requests(found) or 'none'}."
            )
    return [of_request for name, of_request in by_id.items() if name in named] if named else list(found)


def _beside(claims: Sequence[str], found: Sequence[Measured]) -> Iterator[Measured]:
    """Yield what was measured beside the named cells, with the rows of these alone. Raises ``InputError`` for a cell without results."""
    there = sorted({row.claim for of_request in found for row in of_request.rows})
    for name in claims:
        if name not in there:
            raise InputError(
                f"Nothing was measured beside {name}. These results are beside {', '.join(there) or 'no claim'}."
            )
    for of_request in found:
        rows = [row for row in of_request.rows if row.claim in claims]
        if rows:
            yield replace(of_request, rows=rows)


def _refuse_several_claims(name: str, chosen: Sequence[Measured]) -> None:
    claims = sorted({row.claim for of_request in chosen for row in of_request.rows})
    if len(claims) > 1:
        raise UsageError(f"A {name} is of one published cell. Choose it with --claim. There are {', '.join(claims)}.")
    if chosen and not claims:
        raise InputError(f"A {name} is of a published cell, and no cell is beside these results.")


def _requests(found: Sequence[Measured]) -> str:
    names = [of_request.group.request.id for of_request in found]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _why_without_times(measured: Measured) -> str:
    return comparison.without_times(measured.group) or "no launch of a latency workload is complete"


def _is_folder(out: str) -> bool:
    return out.endswith("/") or Path(out).is_dir()


def _write(options: argparse.Namespace, form: Format, chosen: Sequence[Measured], announcer: Announcer) -> None:
    """Write one file, or one for each request. Raises ``InputError``."""
    if not chosen and (form.of_one_request or form.of_one_claim):
        return
    if form.of_one_request and _is_folder(options.out):
        for of_request in chosen:
            name = f"{options.format}-{of_request.group.request.id}{form.suffix}"
            _write_file(Path(options.out) / name, options.format, [of_request], announcer)
    elif options.out == STANDARD_OUTPUT:
        # no event: --json is refused with this
        sys.stdout.write(str(form.content(chosen)))
    else:
        _write_file(Path(options.out), options.format, chosen, announcer)


def _refuse_result(path: Path) -> None:
    """Raise ``UsageError`` for a file that is a result: a measurement is never replaced."""
    if path.is_file():
        with contextlib.suppress(DamagedResult):
            result_files.read_one(path)
            raise UsageError(f"--out: {printable(str(path), 200)} is a result, and is not replaced. Name another file.")


def _write_file(path: Path, name: str, chosen: Sequence[Measured], announcer: Announcer) -> None:
    _refuse_result(path)
    content = FORMATS[name].content(chosen)
    raw = content if isinstance(content, bytes) else content.encode("utf-8")
    writing.write_bytes(path, raw, "Name another file with --out.")
    launches = sum(len(of_request.samples) for of_request in chosen)
    announcer.announce(ExportWritten(str(path), name, len(chosen), launches))
