"""Journals of attempts that were killed."""

from __future__ import annotations

from pathlib import Path

from runner.contract import result as results
from runner.contract import unfinished
from tests.support import samples

ATTEMPT = "20261122T100000Z-0123abcd"


def journal(folder: Path, launches: int = 1, rows: bytes | None = None) -> tuple[unfinished.Journal, Path]:
    """Return the journal of an attempt that has ended so many launches, and the path of its result to be."""
    body = samples.body(status="interrupted")
    path = folder / results.file_name(body["request"]["id"], ATTEMPT)
    head = {key: body[key] for key in ("kind", "schema", "attempt", "request", "environment")}
    kept = unfinished.Journal(str(path), {**head, "rows": rows is not None})
    if rows is not None:
        path.with_suffix(".jsonl.part").write_bytes(rows)
    for index in range(launches):
        kept.add({"attempt": body["attempt"], "launch": {**body["launches"][0], "index": index}})
    return kept, path
