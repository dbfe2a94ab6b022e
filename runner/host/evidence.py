"""What is kept of a run in its folder beside its logs: the object that was submitted, and what was seen of it at its end."""

import json
import os
from datetime import datetime, timezone

from runner.contract import strictjson
from runner.contract.errors import InputError, PublishFailed

_OBJECT = "job.json"


def keep(run, observed, problem):
    """Write what was seen of a run, before it is deleted or forgotten."""
    evidence = {
        "run": run.name,
        "namespace": observed.namespace,
        "written_utc": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "stage": run.stage.word if run.stage else None,
        "problem": {"row": problem.row, "sentence": problem.sentence, "step": problem.step} if problem else None,
        "job": observed.job,
        "pods": list(observed.pods),
        "events": list(observed.events),
        "log": list(observed.log),
    }
    _write(run.folder, "evidence.json", json.dumps(evidence, indent=2) + "\n")


def keep_partial(run, attempts):
    """Write what the last words of a run's pods tell of results that are lost; return the path."""
    told = {"kind": "partial", "run": run.name, "attempts": attempts}
    return _write(run.folder, "partial.json", strictjson.pretty(told))


def check(run):
    """Raise ``PublishFailed`` where nothing can be kept of a run: to be known before it is created."""
    _temporary(run.folder, _OBJECT, strictjson.pretty(run.thing)).unlink()


def note(run):
    """Note a run's object, so that its results can be taken after it is gone from the cluster."""
    _write(run.folder, _OBJECT, strictjson.pretty(run.thing))


def noted(folder):
    """Return the object that was noted of a run, None where none was, or the run was cancelled."""
    path = folder / _OBJECT
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        raise InputError(f"{path} cannot be read: {problem}. Remove it, or name another folder with --runs.") from None


def forget(run):
    """Drop the note of a run that was cancelled: submitting it again creates it again. Logs and evidence stay."""
    (run.folder / _OBJECT).unlink(missing_ok=True)


def _write(folder, name, text):
    return _temporary(folder, name, text).replace(folder / name)


def _temporary(folder, name, text):
    """Write a file that no other process writes; return its path."""
    path = folder / f"{name}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise unwritable(problem, folder) from None
    return path


def unwritable(problem, folder):
    """Return the error of an ``OSError``, which names no file where a disk is full."""
    return PublishFailed(
        f"{problem.filename or folder} could not be written: {problem.strerror}. Free space, or name another folder with --runs."
    )
