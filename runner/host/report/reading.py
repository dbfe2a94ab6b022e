"""Read everything that a report is made from: results, the results of other laboratories, and of a few results all that they hold."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice

from runner.contract import files, strictjson
from runner.contract.errors import DamagedResult, InputError, UsageError
from runner.contract.progress import Step, Task
from runner.contract.text import printable
from runner.host import paths
from runner.host.judging import measured
from runner.host.judging.measured import Measured
from runner.host.readers import lockfile, profiles, strictyaml
from runner.host.readers.catalog import Catalog
from runner.host.report.commands import Kit
from runner.host.report.material import WholeFile
from runner.host.results import result_files
from runner.host.results.index import Index
from runner.host.results.result_files import ReadResult
from runner.host.workers import Mapped, in_turn

# The revisions of the post whose tables were found, the newest at the end.
SOURCES = ("post-1", "post-3")
# Results that are read whole: of one request, and of all requests together.
WHOLE_OF_A_REQUEST, MOST_WHOLE = 3, 40
# Results between two steps of the progress.
_TOGETHER = 100


class Reader:
    """Reads results for one report. An attempt counts once, however many folders hold it."""

    def __init__(
        self, catalog: Catalog, index: Index, task: Task, refused: list[DamagedResult], mapped: Mapped = in_turn
    ) -> None:
        """``task`` is told how many results are read, ``refused`` gathers the refusals, ``mapped`` reads several files at once."""
        self._catalog, self._index, self._task, self._refused = catalog, index, task, refused
        self._mapped = mapped
        self._seen: dict[str, str] = {}

    def results(self, paths: Iterable[str], sources: Collection[str] = ()) -> list[Measured]:
        """Return what was measured in files and folders, the newest request first; ``sources`` are those of ``measured.of_results``.

        Raises ``InputError`` for a path that does not exist.
        """
        found = measured.of_results(self._counted(self._once(paths)), self._catalog, sources=sources)
        self._task.end()
        return found

    def laboratory(self, name: str, folder: str) -> list[Measured]:
        """Return what another laboratory measured. Raises ``InputError`` where its folder holds no result."""
        refused_before = len(self._refused)
        found = self.results([folder])
        if not found:
            why = "; its results were refused" if len(self._refused) > refused_before else ""
            raise InputError(
                f"The laboratory {printable(name, 100)} has no result in {printable(folder)}{why}. Name the folder that holds its"
                " result files, or leave its --laboratory out."
            )
        return found

    def _once(self, paths: Iterable[str]) -> Iterator[ReadResult]:
        """Yield results whose attempts no earlier folder held: a copy of own results in a laboratory's folder replicates nothing."""
        for result in result_files.read_whole(paths, self._index, self._refused, self._mapped):
            earlier = self._seen.get(result.attempt.id)
            if earlier is None:
                self._seen[result.attempt.id] = result.path
                yield result
            else:
                self._refused.append(
                    DamagedResult(f"{result.path} repeats the attempt of {earlier}. It is counted once.")
                )

    def _counted(self, results: Iterable[ReadResult]) -> Iterator[ReadResult]:
        for number, result in enumerate(results, 1):
            if number % _TOGETHER == 0:
                self._task.update(Step("reading results", number, None, None, f"{number:,} results are read"))
            yield result

    def whole(self, found: Iterable[Measured]) -> dict[str, list[WholeFile]]:
        """Return by the ids of their requests the newest results, read whole: the newest of each request before the second of any."""
        chosen = list(islice(_newest(list(found)), MOST_WHOLE))
        read: dict[str, list[WholeFile]] = {}
        for path in chosen:
            try:
                file = _read_whole(path)
            # the file was changed or removed since its summary was read
            except DamagedResult as problem:
                self._refused.append(problem)
            else:
                read.setdefault(file.request.id, []).append(file)
        return read


def _newest(found: list[Measured]) -> Iterator[str]:
    """Yield the paths of the newest results of each request in turn."""
    for place in range(WHOLE_OF_A_REQUEST):
        for group in found:
            if place < len(group.files):
                yield group.files[-1 - place].path


def _read_whole(path: str) -> WholeFile:
    raw = files.read_bytes(path, strictjson.MAX_BYTES, DamagedResult, "Make the report again.")
    result, request = result_files.of_bytes(raw, path)
    return WholeFile(path, result, request, hashlib.sha256(raw).hexdigest())


def sources(catalog: Catalog, named: Iterable[str]) -> list[str]:
    """Return the publications that were named, those of ``SOURCES`` where none was. Raises ``UsageError`` for an unknown one."""
    chosen = list(dict.fromkeys(named)) or list(SOURCES)
    for name in chosen:
        if name not in catalog.claim_sources:
            raise UsageError(
                f"--source: there is no publication {printable(name, 100)!r}. Known are {', '.join(catalog.claim_sources)}."
            )
    return chosen


def kit(catalog: Catalog) -> Kit:
    """Return what the commands on the page are made from. Raises ``InputError`` for a damaged lock or table."""
    citation = paths.ROOT / "CITATION.cff"
    told = strictyaml.read(citation) if citation.is_file() else None
    repository = told.get("repository-code") if isinstance(told, dict) else None
    return Kit(lockfile.read(), profiles.read(catalog).sets, repository if isinstance(repository, str) else None)


def made_utc(variables: Mapping[str, str], now_s: float) -> str:
    """Return the day on which a report is made, YYYY-MM-DD in UTC: that of ``now_s``, or of SOURCE_DATE_EPOCH where it is set.

    Raises ``UsageError`` for a variable that holds no time.
    """
    told = variables.get("SOURCE_DATE_EPOCH")
    try:
        seconds = now_s if not told else int(told)
        if seconds < 0:
            raise ValueError
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    # OverflowError and OSError come for a time that no calendar has
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {printable(told or '', 60)!r}, which is no time in whole seconds since 1970. Correct or unset it."
        ) from None
    return moment.date().isoformat()
