"""A folder of many results: what ``compare`` and ``report`` take for results that are new to them, and for those that were read before."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.contract import result as contract
from runner.contract import strictjson
from runner.contract.request import Request
from runner.host.results import index

KEPT = Path(__file__).parents[1] / "data" / "result-2.json"
# 61 kB a result
LAUNCHES = 2


def compared(count: int) -> dict[str, Any]:
    """Return what ``compare`` takes, as ``_measured`` does."""
    return _measured(["compare"], count)


def reported(count: int) -> dict[str, Any]:
    """Return what ``report`` takes, as ``_measured`` does; ``page_bytes`` is the size of the page of all results."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "report")
        return {**_measured(["report", "--out", str(out)], count), "page_bytes": (out / "index.html").stat().st_size}


def _measured(verb: list[str], count: int) -> dict[str, Any]:
    """Return processor seconds, wall seconds and peak memory of a verb over one result, and twice over ``count`` results.

    ``start`` is what one result takes: interpreter, catalog and statistics. The index of the checkout is made anew. Memory is that of
    the process that takes most.
    """
    with tempfile.TemporaryDirectory() as place:
        few, many = Path(place, "few"), Path(place, "many")
        write(few, 1)
        write(many, count)
        # what changed so lately is not remembered
        time.sleep(index.SETTLED_S)
        index.PATH.unlink(missing_ok=True)
        return {"start": _run(verb, few), "unknown": _run(verb, many), "known": _run(verb, many)}


def write(folder: Path, count: int) -> None:
    """Write ``count`` results of three requests, with their own attempts and durations."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    kept.pop("sha256")
    bodies = []
    for margin in (0.05, 0.1, 0.15):
        body = copy.deepcopy(kept)
        request = replace(Request.from_json(body["request"], "a request"), margin=margin, launches=LAUNCHES)
        launches = [{**copy.deepcopy(body["launches"][0]), "index": number} for number in range(LAUNCHES)]
        body.update(request=request.to_json(), launches=launches)
        body["attempt"]["duration_s"] = 100.0
        bodies.append(body)
    for number in range(count):
        body = bodies[number % len(bodies)]
        began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(1_700_000_000 + number))
        body["attempt"]["id"] = f"{began}-{number:08x}"
        path = folder / contract.file_name(body["request"]["id"], body["attempt"]["id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(strictjson.pretty(contract.seal(body)), encoding="utf-8")


def _run(verb: list[str], folder: Path) -> dict[str, float]:
    started = time.monotonic()
    command = [sys.executable, "-m", "runner", *verb, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{verb[0]} ended with {process.returncode}")
    return {
        "processor_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.monotonic() - started,
        "peak_bytes": usage.ru_maxrss * 1024,
    }
