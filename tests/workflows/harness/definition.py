"""Read a workflow file strictly: every key that the harness does not carry out is an error, so nothing of the file is passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.host.readers import strictyaml
from tests.workflows.harness.expressions import NotKnown

# Read by people and by a forge's queue; without effect on what one run does.
_FOR_THE_FORGE = {"name", "concurrency", "run-name"}
_OF_A_JOB = {
    "name",
    "needs",
    "if",
    "runs-on",
    "timeout-minutes",
    "permissions",
    "outputs",
    "env",
    "strategy",
    "steps",
    "uses",
    "with",
}
_OF_A_STEP = {"name", "id", "if", "env", "run", "shell", "uses", "with", "continue-on-error"}
_OF_A_STRATEGY = {"fail-fast", "max-parallel", "matrix"}
_OF_AN_INPUT = {"description", "type", "default", "required", "options"}


@dataclass(frozen=True)
class Input:
    """An input of a workflow. ``options`` are the values that it may have, where its type is a choice."""

    default: str
    required: bool
    options: tuple[str, ...]


@dataclass(frozen=True)
class StepOf:
    """A step: a script, or an action with its inputs. ``where`` names the step in messages."""

    where: str
    name: str
    id: str | None
    condition: str | None
    env: Mapping[str, str]
    run: str | None
    shell: str | None
    uses: str | None
    inputs: Mapping[str, str]
    continue_on_error: bool


@dataclass(frozen=True)
class JobOf:
    """A job: steps, or a call of another workflow. ``matrix`` is a list of values by name, or what an expression gives."""

    name: str
    title: str
    needs: tuple[str, ...]
    condition: str | None
    timeout_minutes: float
    permissions: Mapping[str, str] | None
    outputs: Mapping[str, str]
    env: Mapping[str, str]
    matrix: Mapping[str, Any] | None
    steps: tuple[StepOf, ...]
    uses: str | None
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Workflow:
    """A workflow file: what starts it, the inputs of each of these, and its jobs in the order of the file."""

    file: str
    title: str
    inputs: Mapping[str, Mapping[str, Input]]
    permissions: Mapping[str, str]
    env: Mapping[str, str]
    jobs: Mapping[str, JobOf] = field(default_factory=dict)


def read(raw: bytes, file: str) -> Workflow:
    """Return a workflow. Raises ``NotKnown`` for what the harness does not carry out."""
    document: Any = strictyaml.loads(raw, file)
    _only(document, _FOR_THE_FORGE | {"on", "permissions", "env", "jobs"}, file)
    if "permissions" not in document:
        raise NotKnown(f"{file} names no permissions: what a job gets then is a setting of the forge")
    jobs = {name: _job(facts, f"{file}, {name}", name) for name, facts in document["jobs"].items()}
    for job in jobs.values():
        missing = [need for need in job.needs if need not in jobs]
        if missing:
            raise NotKnown(f"{file}, {job.name} needs {', '.join(missing)}, which is no job")
    return Workflow(
        file=file,
        title=document.get("name", file),
        inputs={event: _inputs(facts, f"{file}, {event}") for event, facts in document["on"].items()},
        permissions=document["permissions"] or {},
        env=document.get("env", {}),
        jobs=jobs,
    )


def _inputs(facts: Any, where: str) -> dict[str, Input]:
    if not isinstance(facts, Mapping):
        return {}
    found = {}
    for name, given in facts.get("inputs", {}).items():
        _only(given, _OF_AN_INPUT, f"{where}, {name}")
        if given["type"] not in ("string", "choice"):
            raise NotKnown(f"{where}, {name}: the type {given['type']} is not known")
        options = tuple(given.get("options", ()))
        found[name] = Input(given.get("default", ""), given.get("required") == "true", options)
    return found


def _job(facts: Any, where: str, name: str) -> JobOf:
    _only(facts, _OF_A_JOB, where)
    needs = facts.get("needs", [])
    strategy = facts.get("strategy", {})
    _only(strategy, _OF_A_STRATEGY, where)
    if ("steps" in facts) == ("uses" in facts):
        raise NotKnown(f"{where} has steps and calls a workflow, or neither")
    if "steps" in facts and not str(facts["runs-on"]).startswith("ubuntu-"):
        raise NotKnown(f"{where} runs on {facts['runs-on']}")
    return JobOf(
        name=name,
        title=facts.get("name", name),
        needs=(needs,) if isinstance(needs, str) else tuple(needs),
        condition=facts.get("if"),
        # a forge stops a job after six hours where the file names no time
        timeout_minutes=float(facts.get("timeout-minutes", 360)),
        permissions=facts.get("permissions"),
        outputs=facts.get("outputs", {}),
        env=facts.get("env", {}),
        matrix=strategy.get("matrix"),
        steps=tuple(_step(step, f"{where}, step {number}") for number, step in enumerate(facts.get("steps", ()), 1)),
        uses=facts.get("uses"),
        inputs=facts.get("with", {}),
    )


def _step(facts: Any, where: str) -> StepOf:
    _only(facts, _OF_A_STEP, where)
    if ("run" in facts) == ("uses" in facts):
        raise NotKnown(f"{where} has a script and an action, or neither")
    goes_on = facts.get("continue-on-error", "false")
    if goes_on not in ("true", "false"):
        raise NotKnown(f"{where}: continue-on-error is {goes_on}")
    run, uses = facts.get("run"), facts.get("uses")
    named = facts.get("name") or (uses.partition("@")[0] if uses else run.partition("\n")[0])
    return StepOf(
        where=where,
        name=named,
        id=facts.get("id"),
        condition=facts.get("if"),
        env=facts.get("env", {}),
        run=run,
        shell=facts.get("shell"),
        uses=uses,
        inputs=facts.get("with", {}),
        continue_on_error=goes_on == "true",
    )


def _only(facts: Any, known: set[str], where: str) -> None:
    if not isinstance(facts, Mapping):
        raise NotKnown(f"{where} is no mapping")
    unknown = sorted(set(facts) - known)
    if unknown:
        raise NotKnown(f"{where}: the harness does not know {', '.join(unknown)}")


def ancestors(jobs: Mapping[str, JobOf], names: Sequence[str]) -> list[str]:
    """Return the jobs that must have ended before those that are needed by ``names``, and these themselves, each once."""
    found: list[str] = []
    for name in names:
        for each in (*ancestors(jobs, jobs[name].needs), name):
            if each not in found:
                found.append(each)
    return found
