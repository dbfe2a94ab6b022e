"""A folder of many results: what ``compare`` takes to read results that are new to it, and those that it read before."""

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
    """Return processor seconds, wall seconds and peak memory of ``compare`` over one result, and twice over ``count`` results.

    ``start`` is what one result takes: interpreter, catalog and statistics. The index of the checkout is made anew.
    """
    with tempfile.TemporaryDirectory() as place:
        few, many = Path(place, "few"), Path(place, "many")
        write(few, 1)
        write(many, count)
        # what changed so lately is not remembered
        time.sleep(index.SETTLED_S)
        index.PATH.unlink(missing_ok=True)
        return {"start": _run(few), "unknown": _run(many), "known": _run(many)}


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


def _run(folder: Path) -> dict[str, float]:
    started = time.monotonic()
    command = [sys.executable, "-m", "runner", "compare", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"compare ended with {process.returncode}")
    return {
        "processor_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.monotonic() - started,
        "peak_bytes": usage.ru_maxrss * 1024,
    }
