"""What is kept of a run in its folder beside its logs: the object that was submitted, and what was seen of it at its end.

Secrets that stand in it, in a variable or an argument of a manifest say, are masked in every file.
"""

import json
import os
from dataclasses import asdict
from datetime import datetime, timezone

from runner.contract import files, secrets, strictjson
from runner.contract.errors import InputError, PublishFailed
from runner.host.cluster import image_ids
from runner.host.objects import kinds

_OBJECT = "job.json"


def keep(run, observed, problem):
    """Write what was seen of a run, before it is deleted or forgotten."""
    evidence = {
        "run": run.name,
        "namespace": observed.namespace,
        "written_utc": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "stage": run.stage.word if run.stage else None,
        "problem": {"row": problem.row, "sentence": problem.sentence, "step": problem.step} if problem else None,
        "images": [{**asdict(one), "foreign": one.foreign} for one in image_ids.started(run.images, observed.pods)],
        "job": observed.job,
        "pods": list(observed.pods),
        "events": list(observed.events),
        "log": list(observed.log),
    }
    _write(run.folder, "evidence.json", evidence)


def keep_partial(run, attempts):
    """Write what the last words of a run's pods tell of results that are lost; return the path."""
    told = {"kind": "partial", "run": run.name, "attempts": attempts}
    return _write(run.folder, "partial.json", told)


def check(run):
    """Raise ``PublishFailed`` where nothing can be kept of a run: to be known before it is created."""
    _temporary(run.folder, _OBJECT, run.thing).unlink()


def note(run):
    """Note a run's object, so that its results can be taken after it is gone from the cluster."""
    _write(run.folder, _OBJECT, run.thing)


def noted(folder):
    """Return the object that was noted of a run, None where none was, or the run was cancelled."""
    path = folder / _OBJECT
    try:
        with files.open_regular(path) as file:
            raw = file.read(strictjson.MAX_BYTES + 1)
        thing = strictjson.loads(raw, str(path), ValueError)
        kinds.check_manifest(thing)
        if thing["kind"] not in kinds.RUNS or thing["metadata"]["name"] != folder.name:
            raise ValueError(f"it is the note of another object, the {thing['kind']} {thing['metadata']['name']}")
        return thing
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        words = files.reason(problem) if isinstance(problem, OSError) else str(problem).rstrip(". ")
        raise InputError(f"{path} cannot be read: {words}. Remove it, or name another folder with --runs.") from None


def forget(run):
    """Drop the note of a run that was cancelled: submitting it again creates it again. Logs and evidence stay."""
    try:
        (run.folder / _OBJECT).unlink(missing_ok=True)
    except OSError as problem:
        raise unwritable(problem, run.folder) from None


def _write(folder, name, value):
    try:
        return _temporary(folder, name, value).replace(folder / name)
    except OSError as problem:
        raise unwritable(problem, folder) from None


def _temporary(folder, name, value):
    """Write a JSON value to a file that no other process writes; return its path."""
    path = folder / f"{name}.{os.getpid()}.tmp"
    text = json.dumps(secrets.mask_json(value), indent=2, sort_keys=True) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # whatever another process of this number left there
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise unwritable(problem, folder) from None
    return path


def unwritable(problem, folder):
    """Return the error of an ``OSError``, which names no file where a disk is full."""
    return PublishFailed(
        f"{problem.filename or folder} could not be written: {files.reason(problem)}. Free space, or name another folder with --runs."
    )
