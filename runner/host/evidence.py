"""What is kept of a run in its folder beside its logs: the object that was submitted, and what was seen of it at its end."""

import json
from datetime import datetime, timezone

from runner.contract import strictjson

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


def note(run):
    """Note a run's object, so that its results can be taken after it is gone from the cluster."""
    _write(run.folder, _OBJECT, strictjson.pretty(run.thing))


def noted(folder):
    """Return the object that was noted of a run, None where none was, or the run was cancelled."""
    try:
        return json.loads((folder / _OBJECT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def forget(run):
    """Drop the note of a run that was cancelled: submitting it again creates it again. Logs and evidence stay."""
    (run.folder / _OBJECT).unlink(missing_ok=True)


def _write(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{name}.tmp"
    temporary.write_text(text, encoding="utf-8")
    return temporary.replace(folder / name)
