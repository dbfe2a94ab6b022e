"""Read results: whole, unedited, of a known schema, each once. What is refused is said, and the rest is read."""

import functools
import json
from pathlib import Path

import jsonschema

from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.errors import DamagedResult, InputError
from runner.contract.estimator import latency_s
from runner.contract.request import Request
from runner.host import paths


def find(places):
    """Return the result files among ``places``: files as they are, folders searched for ``*.json`` not beginning with a dot.

    Raises ``InputError`` for a place that does not exist.
    """
    found = []
    for place in map(Path, places):
        if not place.exists():
            raise InputError(
                f"{place} does not exist. Run `make bench` first, or name a result or a folder of results."
            )
        inside = sorted(path for path in place.rglob("*.json") if not path.name.startswith("."))
        found += inside if place.is_dir() else [place]
    return found


def read_all(files):
    """Return the results of ``files`` as (result, request) pairs, and the refusals as ``DamagedResult`` errors."""
    read, refused, seen = [], [], dict[str, Path]()
    for path in files:
        try:
            result, request = read_one(path)
            attempt = result["attempt"]["id"]
            if attempt in seen:
                raise DamagedResult(f"{path} repeats the attempt of {seen[attempt]}. It is counted once.")
            seen[attempt] = path
        except DamagedResult as problem:
            refused.append(problem)
        else:
            read.append((result, request))
    return read, refused


def read_one(path):
    """Return one result, in the newest schema's shape, and its ``Request``.

    Raises ``DamagedResult`` with one sentence for anything less than whole.
    """
    return _checked(strictjson.read(path, DamagedResult), str(path))


def of_bytes(raw, where):
    """Return one result from its bytes, as ``read_one`` does; ``where`` names the source in messages."""
    return _checked(strictjson.loads(raw, where, DamagedResult), where)


def _checked(result, path):
    contract.check_seal(result, path)
    result = contract.upgrade(result, path)
    problem = next(iter(_validator().iter_errors(result)), None)
    if problem is not None:
        place = "/".join(map(str, problem.absolute_path)) or "its top"
        raise DamagedResult(
            f"{path} does not follow the result schema at {place}: {problem.message[:200]}. Measure again."
        )
    request = Request.from_json(result["request"], f"{path}: request", DamagedResult)
    for launch in result["launches"]:
        _check_estimate(path, request, launch)
    return result, request


def _check_estimate(path, request, launch):
    """Refuse an estimate that does not follow from the raw durations beside it."""
    if "estimate" in launch:
        again = latency_s(request.protocol, request.workload, launch["timed"])
        if abs(again - launch["estimate"]["latency_s"]) > 1e-9 * again:
            raise DamagedResult(
                f"{path}: the estimate of launch {launch['index']} is not what its raw durations give. Measure again."
            )


@functools.cache
def _validator():
    schema = json.loads(paths.RESULT_SCHEMA.read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)
