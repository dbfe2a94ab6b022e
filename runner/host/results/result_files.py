"""Read result files: whole, unedited, of a known schema, each attempt once. A refused file does not keep the others from being read."""

from __future__ import annotations

import functools
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
            inside = sorted((entry.name, entry.is_dir()) for entry in entries)
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


def read_all(paths: Iterable[str | os.PathLike[str]], index: Index) -> Iterator[ReadResult | DamagedResult]:
    """Yield every result in files and folders once, and a ``DamagedResult`` for each refused file; no result stays in memory.

    A file that has not changed since ``index`` remembered it is not read again. Raises ``InputError`` as ``find`` does.
    """
    seen: dict[str, str] = {}
    requests: dict[str, Request] = {}
    for path in find(paths):
        if isinstance(path, DamagedResult):
            yield path
            continue
        result = _with_images(_remembered(path, index, requests) or _read_anew(path, index, requests))
        if isinstance(result, DamagedResult):
            yield result
            continue
        earlier = seen.get(result.attempt.id)
        if earlier is None:
            seen[result.attempt.id] = path
            yield result
        elif not _same_file(earlier, path):
            yield DamagedResult(f"{path} repeats the attempt of {earlier}. It is counted once.")


def read_whole(
    paths: Iterable[str | os.PathLike[str]], index: Index, refused: list[DamagedResult]
) -> Iterator[ReadResult]:
    """Yield every whole result in files and folders as ``read_all`` does, and add the refusals to ``refused``."""
    for result in read_all(paths, index):
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


def _read_anew(path: str, index: Index, requests: dict[str, Request]) -> ReadResult | DamagedResult:
    """Read a file whole, and let the index remember the result or the refusal."""
    try:
        with files.open_regular(path) as file:
            before = os.fstat(file.fileno())
            raw = file.read(strictjson.MAX_BYTES + 1)
    except OSError as problem:
        return DamagedResult(f"{path} cannot be read: {files.reason(problem)}. Name files that can be read.")
    try:
        whole = load(raw, path)
        attempt = attempts.of_result(whole.result, whole.schema)
        text = attempts.to_text(attempt)
    except DamagedResult as problem:
        index.put_refusal(path, before, str(problem))
        return problem
    except Exception as problem:
        return _not_understood(path, problem)
    index.put(path, before, text, attempt.request, lambda: strictjson.canonical(whole.result["request"]))
    return ReadResult(path, attempt, text, requests.setdefault(attempt.request, whole.request))


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


_requests: dict[bytes, Request] = {}
_MOST_REQUESTS = 100


@functools.cache
def _shape() -> schema.Shape:
    return schema.Shape(project_paths.RESULT_SCHEMA)
