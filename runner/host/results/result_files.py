"""Read result files: whole, unedited, of a known schema, each attempt once. A refused file does not keep the others from being read."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeGuard

from runner.contract import files, strictjson
from runner.contract import result as contract
from runner.contract.errors import DamagedResult, InputError, KitError
from runner.contract.records import JsonObject, Result
from runner.contract.request import Request
from runner.contract.text import cut, printable
from runner.host import paths as project_paths
from runner.host.results import attempts, consistency, run_images, schema
from runner.host.results.attempts import AttemptSummary
from runner.host.results.index import Index
from runner.host.results.run_images import RunImage
from runner.host.workers import Mapped, in_turn


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A result that was read: its file, its summary, the summary as text (``attempts.to_text``), and its request.

    ``images`` are those of the run's containers, where the result came from a cluster and its client kept them.
    """

    path: str
    attempt: AttemptSummary
    text: str
    request: Request
    images: tuple[RunImage, ...] = ()


@dataclass(frozen=True, slots=True)
class WholeResult:
    """A whole, checked result in the newest schema's shape, its request, and the version of the schema that it was written in."""

    result: Result
    request: Request
    schema: int


def find(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str | DamagedResult]:
    """Yield the result files that ``paths`` name: files as they are, folders searched for ``*.json`` not beginning with a dot.

    Links to folders are followed, each folder once. A folder that may not be searched is yielded as a ``DamagedResult``: its files are
    not read. Raises ``InputError`` for a path that does not exist.
    """
    named = [os.fspath(path) for path in paths]
    for path in named:
        if not os.path.lexists(path):
            raise InputError(f"{path} does not exist. Run `make bench` first, or name a result or a folder of results.")
    searched: set[tuple[int, int]] = set()
    for path in named:
        if os.path.isdir(path):
            yield from _inside(path, searched)
        else:
            yield path


def _inside(folder: str, searched: set[tuple[int, int]]) -> Iterator[str | DamagedResult]:
    try:
        facts = os.stat(folder)
        if (facts.st_dev, facts.st_ino) in searched:
            return
        searched.add((facts.st_dev, facts.st_ino))
        with os.scandir(folder) as entries:
            inside = sorted((entry.name, _is_folder(entry)) for entry in entries)
    except OSError as problem:
        yield DamagedResult(
            f"{folder} cannot be searched: {files.reason(problem)}. What is in it is missing here; have its owner open it."
        )
        return
    for name, is_folder in inside:
        path = os.path.join(folder, name)
        if is_folder:
            yield from _inside(path, searched)
        elif name.endswith(".json") and not name.startswith("."):
            yield path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one; a link that leads nowhere, or in a circle, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def read_all(
    paths: Iterable[str | os.PathLike[str]], index: Index, mapped: Mapped = in_turn
) -> Iterator[ReadResult | DamagedResult]:
    """Yield every result in files and folders once, and a ``DamagedResult`` for each refused file; no result stays in memory.

    A file that has not changed since ``index`` remembered it is not read again. ``mapped`` reads the others, several processes at once if
    it has them. Raises ``InputError`` as ``find`` does.
    """
    seen: dict[str, str] = {}
    requests: dict[str, Request] = {}
    for found in _batches(find(paths)):
        known = {path: _remembered(path, index, requests) for path in found if isinstance(path, str)}
        read = mapped(_read, [path for path, result in known.items() if result is None])
        for path in found:
            if isinstance(path, DamagedResult):
                yield path
                continue
            result = known[path]
            if result is None:
                result = known[path] = _keep(next(read), index, requests)
            yield from _once(path, _with_images(result), seen)


def _batches(found: Iterable[str | DamagedResult]) -> Iterator[list[str | DamagedResult]]:
    paths = iter(found)
    while batch := list(itertools.islice(paths, _TOGETHER)):
        yield batch


def _once(path: str, result: ReadResult | DamagedResult, seen: dict[str, str]) -> Iterator[ReadResult | DamagedResult]:
    """Yield a result whose attempt was not seen before, or a refusal; nothing for the same file under another name."""
    if isinstance(result, DamagedResult):
        yield result
        return
    earlier = seen.get(result.attempt.id)
    if earlier is None:
        seen[result.attempt.id] = path
        yield result
    elif not _same_file(earlier, path):
        yield DamagedResult(f"{path} repeats the attempt of {earlier}. It is counted once.")


def read_whole(
    paths: Iterable[str | os.PathLike[str]], index: Index, refused: list[DamagedResult], mapped: Mapped = in_turn
) -> Iterator[ReadResult]:
    """Yield every whole result in files and folders as ``read_all`` does, and add the refusals to ``refused``."""
    for result in read_all(paths, index, mapped):
        if isinstance(result, DamagedResult):
            refused.append(result)
        else:
            yield result


def _with_images(result: ReadResult | DamagedResult) -> ReadResult | DamagedResult:
    """Return a result with the images of its run. A result that ran in no image, or was refused, is returned as it is."""
    if isinstance(result, DamagedResult) or result.attempt.image is None:
        return result
    try:
        return replace(result, images=run_images.read(result.path))
    except DamagedResult as problem:
        return problem


def _remembered(path: str, index: Index, requests: dict[str, Request]) -> ReadResult | DamagedResult | None:
    """Return the index's entry of a file; None where the index has no entry, or an entry that cannot be read."""
    entry = index.get(path)
    if entry is None:
        return None
    if entry.refusal is not None:
        return DamagedResult(entry.refusal)
    try:
        attempt = attempts.of_text(entry.text)
        request = requests.get(attempt.request)
        if request is None:
            content = index.request(attempt.request)
            request = Request.from_json(
                strictjson.loads(content, "the index", DamagedResult), "the index", DamagedResult
            )
            if request.id != attempt.request:
                return None
            requests[request.id] = request
    except (ValueError, TypeError, LookupError, DamagedResult):
        return None
    return ReadResult(path, attempt, entry.text, request)


@dataclass(frozen=True, slots=True)
class _Read:
    """What reading one file whole gave: a summary with the canonical bytes of its request, or a refusal; ``facts`` of the file before.

    Without ``facts`` the index does not remember the file.
    """

    path: str
    facts: os.stat_result | None
    attempt: AttemptSummary | None = None
    text: str = ""
    request: bytes = b""
    refusal: str = ""


def _read(path: str) -> _Read:
    """Read a file whole. Another process may do it: nothing but the file is looked at."""
    try:
        with files.open_regular(path) as file:
            before = os.fstat(file.fileno())
            raw = file.read(strictjson.MAX_BYTES + 1)
    except OSError as problem:
        return _Read(
            path, None, refusal=f"{path} cannot be read: {files.reason(problem)}. Name files that can be read."
        )
    try:
        whole = load(raw, path)
        attempt = attempts.of_result(whole.result, whole.schema)
        return _Read(path, before, attempt, attempts.to_text(attempt), strictjson.canonical(whole.result["request"]))
    except DamagedResult as problem:
        return _Read(path, before, refusal=str(problem))
    except Exception as problem:
        return _Read(path, None, refusal=str(_not_understood(path, problem)))


def _keep(read: _Read, index: Index, requests: dict[str, Request]) -> ReadResult | DamagedResult:
    """Return the result or refusal of a file that was read, and let the index remember it."""
    attempt = read.attempt
    if attempt is None:
        if read.facts is not None:
            index.put_refusal(read.path, read.facts, read.refusal)
        return DamagedResult(read.refusal)
    if read.facts is not None:
        index.put(read.path, read.facts, read.text, attempt.request, lambda: read.request)
    request = requests.setdefault(attempt.request, _request(read.request, f"{read.path}: request"))
    return ReadResult(read.path, attempt, read.text, request)


def _same_file(first: str, second: str) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:
        return False


def read_one(path: str | os.PathLike[str]) -> tuple[Result, Request]:
    """Return one result, in the newest schema's shape, and its ``Request``.

    Raises ``DamagedResult`` with one sentence for anything but a whole, unedited result.
    """
    raw = files.read_bytes(path, strictjson.MAX_BYTES, DamagedResult, "Name files that can be read.")
    return of_bytes(raw, os.fspath(path))


def of_bytes(raw: bytes, where: str) -> tuple[Result, Request]:
    """Return one result from its bytes, as ``read_one`` does; ``where`` names the source in messages. Raises ``DamagedResult``."""
    whole = load(raw, where)
    return whole.result, whole.request


def load(raw: bytes, where: str) -> WholeResult:
    """Return one result from its bytes; ``where`` names the source in messages. Raises ``DamagedResult``."""
    shape = _shape()
    try:
        return _checked(contract.loads(raw, where), where, shape)
    except KitError:
        raise
    # any exception that a foreign result causes becomes the refusal of that result: the others are read
    except Exception as problem:
        raise _not_understood(where, problem) from None


def _not_understood(where: str, problem: Exception) -> DamagedResult:
    words = printable(str(problem), 200)
    return DamagedResult(f"{where} cannot be understood: {type(problem).__name__}: {words}. Measure again.")


def _checked(sealed: JsonObject, where: str, shape: schema.Shape) -> WholeResult:
    """Return a sealed result of any schema in the newest one's shape, and its request. Raises ``DamagedResult``."""
    result = contract.upgrade(sealed, where)
    if not _is_result(result, shape):
        place, problem = shape.violation(result)
        raise DamagedResult(
            f"{where} does not follow the result schema at {place}: {cut(problem, 200, '')}. Measure again."
        )
    request = _request(strictjson.canonical(result["request"]), f"{where}: request")
    consistency.refuse_contradiction(result, request, where)
    return WholeResult(result, request, sealed["schema"])


def _is_result(value: JsonObject, shape: schema.Shape) -> TypeGuard[Result]:
    return shape.follows(value)


def _request(content: bytes, where: str) -> Request:
    """Return a request from its canonical bytes; many results have the same request, and it is parsed once."""
    request = _requests.get(content)
    if request is None:
        request = Request.from_json(strictjson.loads(content, where, DamagedResult), where, DamagedResult)
        if len(_requests) >= _MOST_REQUESTS:
            _requests.clear()
        _requests[content] = request
    return request


# Files that are looked up in the index together; those that it does not know are read side by side.
_TOGETHER = 1000
_requests: dict[bytes, Request] = {}
_MOST_REQUESTS = 100


@functools.cache
def _shape() -> schema.Shape:
    return schema.Shape(project_paths.RESULT_SCHEMA)
