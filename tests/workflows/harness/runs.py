"""Run a workflow: its jobs in the order of ``needs``, each in a clean folder with a fresh clone and the rights of its own permissions."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tests.support import forge as forges
from tests.support.forge import Forge
from tests.workflows.harness import definition, expressions, machines
from tests.workflows.harness.artefacts import ActionFailed, Artefacts
from tests.workflows.harness.definition import JobOf, StepOf, Workflow
from tests.workflows.harness.expressions import NotKnown, Scope, Value
from tests.workflows.harness.machines import Machine
from tests.workflows.harness.remotes import Remote, git

Result = Literal["success", "failure", "skipped"]
CALLED = "./"
_RIGHTS = {"none": 0, "read": 1, "write": 2}

# The inputs of each action that the harness carries out; another one is an error.
_INPUTS = {
    "actions/checkout": {"ref", "fetch-depth", "persist-credentials"},
    "actions/setup-python": {"python-version"},
    "actions/upload-artifact": {"name", "path", "if-no-files-found"},
    "actions/download-artifact": {"name", "path"},
}


@dataclass(frozen=True)
class Event:
    """What starts a run: its name, and the inputs that a person gives by hand."""

    name: str = "workflow_dispatch"
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StepEnded:
    """A step that ran or was skipped. ``outcome`` is how it ended, ``conclusion`` how it counts; ``log`` is what it printed."""

    name: str
    outcome: Result
    conclusion: Result
    exit_code: int | None
    log: str
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Ended:
    """A job that ended: its result, its outputs, its steps, and what its steps wrote as the summary of the run."""

    result: Result
    outputs: Mapping[str, str] = field(default_factory=dict)
    steps: Sequence[StepEnded] = ()
    summary: str = ""

    def step(self, name: str) -> StepEnded:
        """Return the step of a name."""
        return next(step for step in self.steps if step.name == name)


class _Lenient(dict[str, Value]):
    """Outputs of a step that set none, or not all: a forge takes an empty text for any name."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Value:
        return ""


@dataclass(frozen=True)
class _Place:
    """Where a job stands: the workflow, its path among called workflows, its inputs, the most rights, and the results above it."""

    workflow: Workflow
    path: str
    inputs: Mapping[str, Value]
    most: Mapping[str, str] | None
    above: tuple[Result, ...]


class Run:
    """One run of a workflow of the remote's main. ``ended`` holds every job by its path, such as ``row (cpu/datasets) / check``.

    ``lines`` is the log: which job and step ran, and how each ended. ``chosen`` says which combinations of a matrix run; all others are
    named in the log.
    """

    def __init__(
        self,
        folder: Path,
        remote: Remote,
        forge: Forge,
        machine: Machine,
        file: str,
        event: Event,
        chosen: Callable[[Mapping[str, str]], bool] = lambda combination: True,
        show: Callable[[str], None] = print,
    ) -> None:
        self.folder, self.remote, self.forge, self.machine = folder, remote, forge, machine
        self.event, self.chosen, self.show = event, chosen, show
        self.sha = remote.main
        self.workflow = self._read(file)
        self.artefacts = Artefacts(folder / "artefacts")
        self.ended: dict[str, Ended] = {}
        self.lines: list[str] = []
        self._numbers = itertools.count(1)
        folder.mkdir(parents=True)

    def go(self, given: Mapping[str, Ended] | None = None) -> Result:
        """Run all jobs, and return the result of the run. Jobs of ``given`` do not run: they ended so before, as in a rerun of one job."""
        self.ended.update(given or {})
        if self.event.name not in self.workflow.inputs:
            raise NotKnown(f"{self.workflow.file} is not started by {self.event.name}")
        inputs = _inputs_of_event(self.workflow, self.event)
        results = self._jobs(_Place(self.workflow, "", inputs, None, ()))
        return _together(results.values())

    def called(
        self, file: str, inputs: Mapping[str, str], rights: Mapping[str, str], given: Mapping[str, Ended]
    ) -> Result:
        """Run the jobs of a workflow as a job with ``rights`` that calls it does, but for those of ``given``."""
        self.ended.update(given)
        workflow = self._read(file)
        place = _Place(workflow, "", _inputs_of_call(workflow, inputs), rights, ())
        return _together(self._jobs(place).values())

    def _read(self, file: str) -> Workflow:
        return definition.read(self.remote.file(self.sha, file).encode(), file)

    def _say(self, line: str) -> None:
        self.lines.append(line)
        self.show(line)

    # --- jobs ---

    def _jobs(self, place: _Place) -> dict[str, Result]:
        results: dict[str, Result] = {}
        outputs: dict[str, Mapping[str, str]] = {}
        waiting = dict(place.workflow.jobs)
        while waiting:
            name = next((each for each, job in waiting.items() if all(need in results for need in job.needs)), None)
            if name is None:
                raise NotKnown(f"{place.workflow.file}: {', '.join(waiting)} wait for each other")
            job = waiting.pop(name)
            ended = self._job(place, job, results, outputs)
            results[name] = ended.result
            outputs[name] = {output: ended.outputs.get(output, "") for output in job.outputs}
        return results

    def _job(
        self, place: _Place, job: JobOf, results: Mapping[str, Result], outputs: Mapping[str, Mapping[str, str]]
    ) -> Ended:
        """Run a job once for each combination of its matrix, and return how all of them ended."""
        path = f"{place.path}{job.name}"
        if path in self.ended:
            return self.ended[path]
        earlier = [results[each] for each in definition.ancestors(place.workflow.jobs, job.needs)] + [*place.above]
        contexts: dict[str, Value] = {
            "github": self._github(place),
            "inputs": place.inputs,
            "needs": {need: {"result": results[need], "outputs": outputs[need]} for need in job.needs},
        }
        scope = Scope(contexts, _status("success" if all(each == "success" for each in earlier) else "failure",
                                        any(each == "failure" for each in earlier)))  # fmt: skip
        if not expressions.condition(job.condition, scope):
            self._say(f"{path}: skipped")
            ended = Ended("skipped")
        elif job.matrix is None:
            ended = self._one(place, job, path, contexts, tuple(earlier))
        else:
            all_ended = []
            for combination in _combinations(job.matrix, scope):
                words = ", ".join(combination.values())
                if not self.chosen(combination):
                    self._say(f"{path} ({words}): left out by the test")
                    continue
                all_ended.append(
                    self._one(place, job, f"{path} ({words})", {**contexts, "matrix": combination}, tuple(earlier))
                )
            ended = Ended(_together(each.result for each in all_ended))
        self.ended[path] = ended
        return ended

    def _one(
        self, place: _Place, job: JobOf, path: str, contexts: Mapping[str, Value], earlier: tuple[Result, ...]
    ) -> Ended:
        rights = job.permissions if job.permissions is not None else place.workflow.permissions
        _within(rights, place.most, path)
        if job.uses is None:
            ended = self._steps(place, job, path, contexts, rights)
            self.ended[path] = ended
            return ended
        if not job.uses.startswith(CALLED):
            raise NotKnown(f"{path} calls {job.uses}")
        workflow = self._read(job.uses.removeprefix(CALLED))
        scope = Scope(contexts, {})
        given = {name: expressions.text(written, scope) for name, written in job.inputs.items()}
        self._say(f"{path}: calls {workflow.file} with {json.dumps(given)}")
        results = self._jobs(_Place(workflow, f"{path} / ", _inputs_of_call(workflow, given), rights, earlier))
        ended = Ended(_together(results.values()))
        self.ended[path] = ended
        return ended

    def _github(self, place: _Place) -> dict[str, Value]:
        return {
            "actor": "somebody",
            "event_name": self.event.name,
            "job": "",
            "ref": "refs/heads/main",
            "ref_name": "main",
            "repository": forges.PROJECT,
            "run_id": "1",
            "sha": self.sha,
            "workflow": self.workflow.title,
        }

    # --- steps ---

    def _steps(
        self, place: _Place, job: JobOf, path: str, contexts: Mapping[str, Value], rights: Mapping[str, str]
    ) -> Ended:
        folder = self.folder / f"{next(self._numbers):02}-{job.name}"
        token = (
            f"ghs_ofTheJob{folder.name.replace('-', '')}NobodyMaySee"
            if any(right != "none" for right in rights.values())
            else None
        )
        self._say(f"{path}: {' '.join(f'{name}={right}' for name, right in rights.items()) or 'no rights'}")
        worker = _Worker(self, place, job, folder, contexts, token)
        self.forge.permissions = dict(rights)
        self.forge.tokens = {token} if token else set()
        self.remote.allow(rights.get("contents") == "write")
        try:
            ended = worker.run()
        finally:
            self.forge.tokens, self.forge.permissions = set(), {}
            self.remote.allow(False)
            # tens of thousands of linked files, which tell nothing
            shutil.rmtree(worker.workspace / ".venv", ignore_errors=True)
        self._say(f"{path}: {ended.result}")
        return ended


class _Worker:
    """A job's machine: its folders, its variables, and the steps that ran."""

    def __init__(
        self, run: Run, place: _Place, job: JobOf, folder: Path, contexts: Mapping[str, Value], token: str | None
    ) -> None:
        self.harness, self.job, self.folder = run, job, folder
        self.workspace, self.home, self.temp = folder / "work", folder / "home", folder / "temp"
        for each in (self.workspace, self.home, self.temp):
            each.mkdir(parents=True)
        github = dict(run._github(place), job=job.name, workspace=str(self.workspace))
        if token is not None:
            github["token"] = token
        self.token = token
        self.contexts: dict[str, Value] = {**contexts, "github": github}
        self.steps: list[StepEnded] = []
        self.by_id: dict[str, Value] = {
            step.id: {"outputs": _Lenient(), "outcome": "", "conclusion": ""}
            for step in job.steps
            if step.id is not None
        }
        self.status: Result = "success"
        self.more: dict[str, str] = {}
        self.path: list[str] = []
        self.summary = ""
        self.python = machines.python(machines.OWN_PYTHON)[0]
        self.env = {**self._written(place.workflow.env, {}), **self._written(job.env, {})}

    def run(self) -> Ended:
        """Run the steps, and return how the job ended."""
        for step in self.job.steps:
            self._step(step)
        scope = self._scope(self.env)
        outputs = {name: expressions.text(written, scope) for name, written in self.job.outputs.items()}
        return Ended(self.status, outputs, tuple(self.steps), self.summary)

    def _scope(self, env: Mapping[str, str]) -> Scope:
        return Scope(
            {**self.contexts, "steps": self.by_id, "env": env, "job": {"status": self.status}},
            _status(self.status, self.status == "failure"),
        )

    def _written(self, written: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
        """Return variables of the YAML; a value that this machine needs another one for is replaced by that one, and the log says so."""
        scope = Scope({**self.contexts, "env": env, "steps": self.by_id}, {})
        found = {name: expressions.text(value, scope) for name, value in written.items()}
        for name, value in found.items():
            if value in self.harness.machine.stand_ins:
                self.harness._say(f"  {name}: this machine's own indexes stand for {value}")
                found[name] = self.harness.machine.stand_ins[value]
        return found

    def _step(self, step: StepOf) -> None:
        env = {**self.env, **self.more}
        if not expressions.condition(step.condition, self._scope(env)):
            ended = StepEnded(step.name, "skipped", "skipped", None, "", {})
        else:
            env.update(self._written(step.env, env))
            ended = self._script(step, env) if step.run is not None else self._action(step, env)
            if step.continue_on_error:
                ended = replace(ended, conclusion="success")
        if self.token is not None and self.token in ended.log:
            raise AssertionError(f"{step.where} prints the token")
        code = "" if ended.exit_code in (None, 0) else f" (exit {ended.exit_code})"
        self.harness._say(
            f"  {step.name}: {ended.outcome}{code}{', and goes on' if ended.outcome != ended.conclusion else ''}"
        )
        self.steps.append(ended)
        if ended.conclusion == "failure":
            self.status = "failure"
        if step.id is not None:
            # a step that ended well sets what is asked of it; where it did not, a name that is not there is a slip
            outputs = dict(ended.outputs) if ended.outcome == "success" else _Lenient(ended.outputs)
            self.by_id[step.id] = {"outputs": outputs, "outcome": ended.outcome, "conclusion": ended.conclusion}

    def _script(self, step: StepOf, env: Mapping[str, str]) -> StepEnded:
        assert step.run is not None
        number = len(self.steps)
        script = self.temp / f"{number}.sh"
        script.write_text(expressions.text(step.run, self._scope(env)) + "\n")
        shells = {None: ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}
        if step.shell not in shells:
            raise NotKnown(f"{step.where} has the shell {step.shell}")
        files = {
            name: self.temp / f"{number}-{name.lower()}"
            for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
        }
        for file in files.values():
            file.touch()
        variables = {**self._runner(), **env, **{name: str(file) for name, file in files.items()}}
        log = self.temp / f"{number}.log"
        code = _ran([*shells[step.shell], str(script)], self.workspace, variables, log, self.job.timeout_minutes * 60)
        outputs = _read_pairs(files["GITHUB_OUTPUT"])
        self.more.update(_read_pairs(files["GITHUB_ENV"]))
        self.path = [*reversed(files["GITHUB_PATH"].read_text().split("\n")), *self.path]
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        result: Result = "success" if code == 0 else "failure"
        return StepEnded(step.name, result, result, code, log.read_text(errors="replace"), outputs)

    def _runner(self) -> dict[str, str]:
        """Return the variables that a forge's runner gives to every step, and those of this machine."""
        github = self.contexts["github"]
        assert isinstance(github, Mapping)
        programs = self.temp / "programs"
        programs.mkdir(exist_ok=True)
        for name in ("python3", "python"):
            if not (programs / name).exists():
                (programs / name).symlink_to(self.python)
        event = self.temp / "event.json"
        event.write_text(json.dumps({"inputs": dict(self.harness.event.inputs), "ref": github["ref"]}))
        names = {
            name: str(github[name])
            for name in (
                "actor",
                "event_name",
                "job",
                "ref",
                "ref_name",
                "repository",
                "run_id",
                "sha",
                "workflow",
                "workspace",
            )
        }
        return {
            **self.harness.machine.variables,
            **{f"GITHUB_{name.upper()}": value for name, value in names.items()},
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.harness.forge.address,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REF_TYPE": "branch",
            "GITHUB_REPOSITORY_OWNER": str(github["repository"]).partition("/")[0],
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_SERVER_URL": "https://github.com",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": os.pathsep.join([*filter(None, self.path), str(programs), "/usr/local/bin", "/usr/bin", "/bin"]),
            "RUNNER_ARCH": "X64",
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(self.temp),
        }

    def _action(self, step: StepOf, env: Mapping[str, str]) -> StepEnded:
        assert step.uses is not None
        name = step.uses.partition("@")[0]
        if name not in _INPUTS:
            raise NotKnown(f"{step.where} uses {name}, for which nothing stands here")
        unknown = set(step.inputs) - _INPUTS[name]
        if unknown:
            raise NotKnown(f"{step.where}: {name} with {', '.join(sorted(unknown))}")
        scope = self._scope(env)
        inputs = {key: expressions.text(written, scope) for key, written in step.inputs.items()}
        try:
            log = self._done(name, inputs)
        except ActionFailed as problem:
            return StepEnded(step.name, "failure", "failure", 1, str(problem), {})
        return StepEnded(step.name, "success", "success", None, log, {})

    def _done(self, action: str, inputs: Mapping[str, str]) -> str:
        if action == "actions/checkout":
            return self._checkout(inputs)
        if action == "actions/setup-python":
            self.python, log = machines.python(inputs["python-version"])
            shutil.rmtree(self.temp / "programs", ignore_errors=True)
            return log
        artefacts = self.harness.artefacts
        if action == "actions/upload-artifact":
            return artefacts.upload(
                self.workspace, inputs["name"], inputs["path"], inputs.get("if-no-files-found", "warn")
            )
        return artefacts.download(self.workspace, inputs["name"], inputs.get("path", "."))

    def _checkout(self, inputs: Mapping[str, str]) -> str:
        if inputs.get("persist-credentials") != "false":
            raise NotKnown("a checkout that keeps the token")
        depth = inputs.get("fetch-depth", "1")
        github = self.contexts["github"]
        assert isinstance(github, Mapping)
        ref = inputs.get("ref") or str(github["sha"])
        for each in self.workspace.iterdir():
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
        git(self.workspace, "init", "--quiet", "--initial-branch=main")
        git(self.workspace, "remote", "add", "origin", self.harness.remote.address)
        how = [] if depth == "0" else [f"--depth={depth}"]
        try:
            git(self.workspace, "fetch", "--quiet", "--no-tags", *how, "origin", f"{ref}:refs/remotes/origin/fetched")
        except subprocess.CalledProcessError as problem:
            raise ActionFailed(problem.stderr) from None
        git(self.workspace, "checkout", "--quiet", "--force", "-B", "main", "refs/remotes/origin/fetched")
        if any("make" in shlex.split(step.run, comments=True) for step in self.job.steps if step.run):
            return self.harness.machine.lend_environment(self.workspace)
        return f"{ref} is checked out"


def _ran(command: Sequence[str], folder: Path, variables: Mapping[str, str], log: Path, limit_s: float) -> int:
    """Run a command in a session of its own, and return its exit code; the session's processes end with it, or at its limit."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(variables), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(limit_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _read_pairs(file: Path) -> dict[str, str]:
    """Return what a step wrote into a file of outputs or variables: NAME=VALUE, or NAME<<END, lines and END."""
    found: dict[str, str] = {}
    lines = iter(file.read_text(encoding="utf-8").split("\n"))
    for line in lines:
        if not line:
            continue
        name, sign, value = line.partition("=")
        start, long_sign, end = line.partition("<<")
        if long_sign and (not sign or len(start) < len(name)):
            found[start] = "\n".join(_until(lines, end))
        elif sign:
            found[name] = value
        else:
            raise NotKnown(f"{file.name} holds {line!r}, which sets nothing")
    return found


def _until(lines: Iterator[str], end: str) -> Iterator[str]:
    for line in lines:
        if line == end:
            return
        yield line
    raise NotKnown(f"no line {end} ends the value")


def _status(result: Result, is_failed: bool) -> dict[str, expressions.Function]:
    return {
        "success": lambda: result == "success",
        "failure": lambda: is_failed,
        "always": lambda: True,
        # nobody stops a run of the harness
        "cancelled": lambda: False,
    }


def _together(results: Any) -> Result:
    """Return the result of several jobs: a failure of one is one of all; all skipped is skipped."""
    found = set(results)
    return "failure" if "failure" in found else "success" if "success" in found else "skipped"


def _within(rights: Mapping[str, str], most: Mapping[str, str] | None, path: str) -> None:
    """Raise ``NotKnown`` where a called job asks for more than the job that calls it has: a forge does not start such a run."""
    for name, right in rights.items():
        if right not in _RIGHTS:
            raise NotKnown(f"{path}: the right {name}: {right} is not known")
        if most is not None and _RIGHTS[right] > _RIGHTS[most.get(name, "none")]:
            raise NotKnown(f"{path} asks for {name}: {right}, which the job that calls it does not have")


def _combinations(matrix: Mapping[str, Any], scope: Scope) -> list[dict[str, str]]:
    """Return the combinations of a matrix: those of ``include`` alone, or every one of its lists."""
    read = {
        name: expressions.value(given, scope) if isinstance(given, str) else given for name, given in matrix.items()
    }
    if set(read) == {"include"}:
        included: Any = read["include"]
        return [{name: str(value) for name, value in each.items()} for each in included]
    if {"include", "exclude"} & set(read):
        raise NotKnown("a matrix with include or exclude beside lists")
    lists: dict[str, Any] = read
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def _inputs_of_event(workflow: Workflow, event: Event) -> dict[str, Value]:
    declared = {name: "" for inputs in workflow.inputs.values() for name in inputs}
    own = workflow.inputs[event.name]
    for name, given in event.inputs.items():
        if name not in own or (own[name].options and given not in own[name].options):
            raise NotKnown(f"{workflow.file}: {event.name} takes no {name}={given}")
    return {**declared, **{name: event.inputs.get(name, one.default) for name, one in own.items()}}


def _inputs_of_call(workflow: Workflow, given: Mapping[str, str]) -> dict[str, Value]:
    own = workflow.inputs.get("workflow_call")
    if own is None or set(given) - set(own):
        raise NotKnown(f"{workflow.file} is not called with {', '.join(given)}")
    missing = [name for name, one in own.items() if one.required and name not in given]
    if missing:
        raise NotKnown(f"{workflow.file} needs {', '.join(missing)}")
    return {name: given.get(name, one.default) for name, one in own.items()}
