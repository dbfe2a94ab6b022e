"""Keep files about a run in its folder, beside its logs: the submitted object, and what was seen of the run at its end.

Secrets in a value, as in a variable or an argument of a manifest, are masked in every file.

``host.writing`` does not write these files, for it refuses to replace what is no regular file and waits for the disk: a FIFO in the
place of ``evidence.json`` must not keep ``follow`` from a result, and a result depends on none of these files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from runner.contract import files, secrets, strictjson
from runner.contract.errors import InputError, PublishFailed
from runner.contract.records import JsonObject
from runner.contract.termination import Summary
from runner.host.cluster.runs import FollowedRun
from runner.host.diagnosis import Observed, Problem
from runner.host.diagnosis.stages import Stage
from runner.host.objects import kinds
from runner.host.results import run_images

_OBJECT, _EVIDENCE, _PARTIAL = "job.json", run_images.EVIDENCE, "partial.json"


def save_evidence(run: FollowedRun, observed: Observed, stage: Stage | None, problem: Problem | None) -> None:
    """Write what was seen of a run, before it is deleted or no longer followed. Raises ``PublishFailed``."""
    images = run.started_images(observed.pods)
    evidence = {
        "run": run.name,
        "namespace": observed.namespace,
        "written_utc": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "stage": stage.word if stage else None,
        "problem": {"row": problem.row, "sentence": problem.sentence, "step": problem.step} if problem else None,
        "images": [{**asdict(image), "foreign": image.foreign} for image in images],
        "job": observed.job,
        "pods": list(observed.pods),
        "events": list(observed.events),
        "log": list(observed.log),
    }
    _write(run.folder, _EVIDENCE, evidence)


def partial_path(run: FollowedRun) -> Path:
    """Return the path of the file that ``save_partial`` writes."""
    return run.folder / _PARTIAL


def save_partial(run: FollowedRun, attempts: Mapping[str, Summary]) -> None:
    """Write what the pods' termination messages tell of results that are lost, by attempt. Raises ``PublishFailed``."""
    _write(run.folder, _PARTIAL, {"kind": "partial", "run": run.name, "attempts": dict(attempts)})


def check_writable(run: FollowedRun) -> None:
    """Raise ``PublishFailed`` where a run's folder takes no file: known before the run is created."""
    _write_temporary(run.folder, _OBJECT, run.manifest).unlink()


def save_object(run: FollowedRun) -> None:
    """Write a run's object, so that its results can be taken after it is gone from the cluster. Raises ``PublishFailed``."""
    _write(run.folder, _OBJECT, run.manifest)


def saved_object(folder: Path) -> JsonObject | None:
    """Return the object that was saved of the run of a folder, None where none was saved, or the run was cancelled.

    Raises ``InputError`` for a file that does not hold the object of this run.
    """
    path = folder / _OBJECT
    try:
        with files.open_regular(path) as file:
            raw = file.read(strictjson.MAX_BYTES + 1)
        manifest: JsonObject = strictjson.loads(raw, str(path), ValueError)
        kinds.check_manifest(manifest)
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if kind not in kinds.RUNS or name != folder.name:
            raise ValueError(f"it is the note of another object, the {kind} {name}")
        return manifest
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        words = files.reason(problem) if isinstance(problem, OSError) else str(problem).rstrip(". ")
        raise InputError(f"{path} cannot be read: {words}. Remove it, or name another folder with --runs.") from None


def forget_object(run: FollowedRun) -> None:
    """Remove the saved object of a run that was cancelled, so that ``submit`` creates the run again. Logs and evidence stay.

    Raises ``PublishFailed``.
    """
    try:
        (run.folder / _OBJECT).unlink(missing_ok=True)
    except OSError as problem:
        raise unwritable(problem, run.folder) from None


def _write(folder: Path, name: str, value: JsonObject) -> None:
    """Replace a file by a JSON value, whatever stood in its place; a reader sees the old content or the new."""
    try:
        _write_temporary(folder, name, value).replace(folder / name)
    except OSError as problem:
        raise unwritable(problem, folder) from None


def _write_temporary(folder: Path, name: str, value: JsonObject) -> Path:
    """Write a JSON value to a file that no other process writes; return the file's path."""
    path = folder / f"{name}.{os.getpid()}.tmp"
    text = json.dumps(secrets.mask_json(value), indent=2, sort_keys=True) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # an earlier process with this process id may have left a file there
        path.unlink(missing_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise unwritable(problem, folder) from None
    return path


def unwritable(problem: OSError, folder: Path) -> PublishFailed:
    """Return the error of an ``OSError`` while something was written below a folder; a full disk names no file."""
    return PublishFailed(
        f"{problem.filename or folder} could not be written: {files.reason(problem)}. Free space, or name another folder with --runs."
    )
