"""Read results: whole, unedited, of a known schema, each once. What is refused is said, and the rest is read."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from runner.contract import files, strictjson
from runner.contract import result as contract
from runner.contract.errors import DamagedResult, InputError, KitError
from runner.contract.request import Request
from runner.contract.text import cut, printable
from runner.host import paths
from runner.host.results import attempts, consistency, schema
from runner.host.results.attempts import Attempt
from runner.host.results.index import Index


@dataclass(frozen=True, slots=True)
class Found:
    """A result that was read: its file, what the comparison needs of it (also as text), and its request."""

    path: str
    attempt: Attempt
    text: str
    request: Request


def find(places: Iterable[str | os.PathLike[str]]) -> Iterator[str | DamagedResult]:
    """Yield the result files among ``places``: files as they are, folders searched for ``*.json`` not beginning with a dot.

    Links to folders are followed, each folder once. A folder that may not be searched is yielded as a ``DamagedResult``: what
    is in it is not read. Raises ``InputError`` for a place that does not exist.
    """
    named = [os.fspath(place) for place in places]
    for place in named:
        if not os.path.lexists(place):
            raise InputError(
                f"{place} does not exist. Run `make bench` first, or name a result or a folder of results."
            )
    searched: set[tuple[int, int]] = set()
    for place in named:
        if os.path.isdir(place):
            yield from _inside(place, searched)
        else:
            yield place


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


def read_all(places: Iterable[str | os.PathLike[str]], index: Index) -> Iterator[Found | DamagedResult]:
    """Yield every result in ``places`` once, and a ``DamagedResult`` for each that is refused; no result stays in memory.

    What ``index`` knows of a file that did not change since is not read again.
    """
    seen: dict[str, str] = {}
    requests: dict[str, Request] = {}
    for path in find(places):
        if isinstance(path, DamagedResult):
            yield path
            continue
        found = _known(path, index, requests) or _new(path, index, requests)
        if isinstance(found, DamagedResult):
            yield found
            continue
        earlier = seen.get(found.attempt.id)
        if earlier is None:
            seen[found.attempt.id] = path
            yield found
        elif not _same_file(earlier, path):
            yield DamagedResult(f"{path} repeats the attempt of {earlier}. It is counted once.")


def _known(path: str, index: Index, requests: dict[str, Request]) -> Found | DamagedResult | None:
    """Return what the index knows of a file; None where it knows nothing, or what it says cannot be read."""
    entry = index.get(path)
    if entry is None:
        return None
    if entry.refusal is not None:
        return DamagedResult(entry.refusal)
    try:
        attempt = attempts.of_text(entry.text)
        request = requests.get(attempt.request)
        if request is None:
            told = index.request(attempt.request)
            request = Request.from_json(strictjson.loads(told, "the index", DamagedResult), "the index", DamagedResult)
            if request.id != attempt.request:
                return None
            requests[request.id] = request
    except (ValueError, TypeError, LookupError, DamagedResult):
        return None
    return Found(path, attempt, entry.text, request)


def _new(path: str, index: Index, requests: dict[str, Request]) -> Found | DamagedResult:
    """Read a file whole, and tell the index what it holds."""
    try:
        with files.open_regular(path) as file:
            before = os.fstat(file.fileno())
            raw = file.read(strictjson.MAX_BYTES + 1)
    except OSError as problem:
        return DamagedResult(f"{path} cannot be read: {files.reason(problem)}. Name files that can be read.")
    try:
        result, request = of_bytes(raw, path)
        attempt = attempts.of_result(result)
        text = attempts.to_text(attempt)
    except DamagedResult as problem:
        index.put_refusal(path, before, str(problem))
        return problem
    except Exception as problem:
        return _not_understood(path, problem)
    index.put(path, before, text, attempt.request, lambda: strictjson.canonical(result["request"]))
    return Found(path, attempt, text, requests.setdefault(attempt.request, request))


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def read_one(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Request]:
    """Return one result, in the newest schema's shape, and its ``Request``.

    Raises ``DamagedResult`` with one sentence for anything less than whole.
    """
    raw = files.read_bytes(path, strictjson.MAX_BYTES, DamagedResult, "Name files that can be read.")
    return of_bytes(raw, os.fspath(path))


def of_bytes(raw: bytes, where: str) -> tuple[dict[str, Any], Request]:
    """Return one result from its bytes, as ``read_one`` does; ``where`` names the source in messages."""
    wanted = _shape()
    try:
        return _checked(contract.loads(raw, where), where, wanted)
    except KitError:
        raise
    except Exception as problem:  # whatever a foreign result brings about is that result's refusal: the others are read
        raise _not_understood(where, problem) from None


def _not_understood(where: str, problem: Exception) -> DamagedResult:
    told = printable(str(problem), 200)
    return DamagedResult(f"{where} cannot be understood: {type(problem).__name__}: {told}. Measure again.")


def _checked(result: dict[str, Any], where: str, wanted: schema.Shape) -> tuple[dict[str, Any], Request]:
    result = contract.upgrade(result, where)
    if not wanted.follows(result):
        place, problem = wanted.problem(result)
        raise DamagedResult(
            f"{where} does not follow the result schema at {place}: {cut(problem, 200, '')}. Measure again."
        )
    request = _request(strictjson.canonical(result["request"]), f"{where}: request")
    consistency.check(result, request, where)
    return result, request


def _request(content: bytes, where: str) -> Request:
    """Return a request from its canonical bytes; many results have the same."""
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
    return schema.Shape(paths.RESULT_SCHEMA)
