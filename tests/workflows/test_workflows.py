"""What every workflow keeps to: pinned actions, the least rights, no foreign text in a script, no new code beside a right to write."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.contract.records import JsonObject
from runner.host.readers import lockfile, strictyaml
from tools.workflow import artefacts

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.y*ml"))
PIPELINE = ROOT / ".gitlab" / "bloomz-bench.yml"
LOCK = lockfile.read()
CALLED = "./.github/workflows/"

# The inputs of each action, as its action.yml at the pinned commit has them, as far as the workflows use them.
INPUTS = {
    "actions/checkout": {"ref", "path", "fetch-depth", "persist-credentials"},
    "actions/setup-python": {"python-version"},
    "actions/upload-artifact": {"name", "path", "if-no-files-found"},
    "actions/download-artifact": {"name", "path"},
    "actions/upload-pages-artifact": {"path"},
    "actions/deploy-pages": set(),
}
# What a step may call: the front door, and what makes an output folder for it.
FRONT_DOOR = {"make", "python3", ".venv/bin/python", "mkdir"}
PYTHON_MODULES = {"runner", "tools.workflow", "tools.forge"}


@dataclass(frozen=True)
class Job:
    """A job of a workflow."""

    file: Path
    name: str
    facts: JsonObject

    def __str__(self) -> str:
        return f"{self.file.stem}-{self.name}"

    @property
    def steps(self) -> list[JsonObject]:
        """Return the steps; none for a job that calls another workflow."""
        steps: list[JsonObject] = self.facts.get("steps", [])
        return steps

    @property
    def scripts(self) -> list[str]:
        """Return the text of every step that runs a script."""
        return [step["run"] for step in self.steps if "run" in step]

    @property
    def writes(self) -> set[str]:
        """Return the permissions that the job may write with."""
        return {name for name, right in self.facts["permissions"].items() if right == "write"}


def document(path: Path) -> JsonObject:
    loaded: Any = strictyaml.loads(path.read_bytes(), path.name)
    return loaded


def jobs() -> Iterator[Job]:
    for path in FILES:
        for name, facts in document(path)["jobs"].items():
            yield Job(path, name, facts)


JOBS = list(jobs())
OF_STEPS = [job for job in JOBS if job.steps]


def uses() -> Iterator[tuple[Path, str, str, str]]:
    """Yield file, action, commit and the comment behind it for every `uses:`, from the lines, since comments count."""
    for path in FILES:
        for line in path.read_text().splitlines():
            match = re.fullmatch(r"\s*(?:- )?uses: (\S+?)(?:@(\S+))?(?: # (.*))?", line)
            if match and not match[1].startswith(CALLED):
                yield path, match[1], match[2] or "", match[3] or ""
            else:
                assert "uses:" not in line or CALLED in line or line.lstrip().startswith("#"), f"{path.name}: {line}"


def test_the_workflows_are_those_that_the_documentation_names() -> None:
    assert [path.name for path in FILES] == [
        "bench.yml",
        "bump-row.yml",
        "bump.yml",
        "images.yml",
        "pages.yml",
        "test.yml",
    ]
    page = (ROOT / "docs" / "workflows.md").read_text()
    for path in FILES:
        assert f"`{path.name}`" in page, path.name


def test_nothing_stands_in_for_an_input_whose_emptiness_means_something() -> None:
    """`inputs.x || 'y'` makes y of an empty text that a person chose."""
    found = 0
    for path in FILES:
        dispatch = document(path)["on"].get("workflow_dispatch") or {}
        for name, facts in dispatch.get("inputs", {}).items():
            if "(empty =" in facts["description"]:
                found += 1
                assert not re.search(rf"\binputs\.{name} \|\| '[^']", path.read_text()), f"{path.name}: {name}"
    assert found >= 2


def test_every_action_is_the_lock_s_commit_with_its_version_behind_it() -> None:
    found = list(uses())
    assert len(found) > 20
    for path, action, commit, comment in found:
        pin = LOCK.actions[action]
        assert (commit, comment) == (pin.commit, pin.version), f"{path.name}: {action}"


def test_every_action_of_the_lock_is_used_and_says_where_its_commit_was_read() -> None:
    assert {action for _, action, _, _ in uses()} == set(LOCK.actions) == set(INPUTS)
    notes = dict(
        re.findall(r"^  (actions/\S+):\n.*\n.*\n    note: (.*)$", (ROOT / "versions.lock").read_text(), re.MULTILINE)
    )
    for action in LOCK.actions:
        assert re.search(r"[0-9]+ workflow files of ([2-9]|[1-9][0-9]+) projects", notes[action]), action


def test_an_action_is_given_inputs_that_it_has() -> None:
    for job in OF_STEPS:
        for step in job.steps:
            if "uses" in step:
                assert set(step.get("with", {})) <= INPUTS[step["uses"].partition("@")[0]], f"{job}: {step['uses']}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_has_no_rights_but_those_of_its_jobs(path: Path) -> None:
    facts = document(path)
    assert facts["permissions"] == {}
    assert "concurrency" in facts or "workflow_call" in facts["on"]
    assert "pull_request_target" not in facts["on"] and "workflow_run" not in facts["on"]


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_states_its_rights_and_its_time(job: Job) -> None:
    assert job.facts["permissions"], "rights are stated, the least that the job needs"
    if job.steps:
        assert 5 <= int(job.facts["timeout-minutes"]) <= 720
        assert job.facts["runs-on"] == "ubuntu-24.04" or job.file.stem == "bench"


@pytest.mark.parametrize("job", OF_STEPS, ids=str)
def test_no_credentials_stay_in_a_checkout(job: Job) -> None:
    for step in job.steps:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


@pytest.mark.parametrize("job", OF_STEPS, ids=str)
def test_no_expression_stands_in_a_script(job: Job) -> None:
    """What a person or a package wrote reaches a script as a variable, which no shell reads as a part of the script."""
    for script in job.scripts:
        assert "${{" not in script, script
        assert "eval" not in script and "`" not in script and "$(" not in script, script


@pytest.mark.parametrize("job", OF_STEPS, ids=str)
def test_a_step_calls_the_front_door_and_nothing_else(job: Job) -> None:
    for script in job.scripts:
        assert "|" not in script and ";" not in script, f"logic in a workflow: {script}"
        commands: list[list[str]] = [[]]
        for word in shlex.split(script):
            if word in ("&&", "--"):
                commands.append([])
            else:
                commands[-1].append(word)
        for command in commands:
            assert command[0] in FRONT_DOOR, script
            if "python" in command[0]:
                assert command[1] == "-m" and command[2] in PYTHON_MODULES, script


def test_every_target_that_a_step_makes_exists() -> None:
    """make bump and make bump-check are made beside this: they are looked for by name once they are there."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = set()
    for job in OF_STEPS:
        for script in job.scripts:
            made |= {
                word
                for part in re.findall(r"make ([^&>]*)", script)
                for word in part.split()
                if re.fullmatch(r"[a-z][a-z0-9-]*", word)
            }
    assert {"test", "bench", "lock-check", "docs", "images", "images-scan", "images-sign"} <= made
    assert made - targets <= {"bump", "bump-check"} - targets


def secret_names(job: Job) -> set[str]:
    return set(re.findall(r"secrets\.(\w+)", str(job.facts)))


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_no_workflow_needs_a_secret(job: Job) -> None:
    """The token of the job is all: a fork, or code that a job runs, finds nothing to take."""
    assert secret_names(job) == set() and "secrets" not in job.facts


@pytest.mark.parametrize("job", OF_STEPS, ids=str)
def test_the_token_is_given_to_single_steps_that_speak_to_the_forge(job: Job) -> None:
    assert "github.token" not in str(job.facts.get("env", {}))
    assert "github.token" not in str(document(job.file).get("env", {}))
    for step in job.steps:
        if "github.token" in str(step):
            verbs = ("tools.forge", "tools.workflow push", "tools.workflow login")
            assert any(f"python3 -m {verb}" in step["run"] for verb in verbs), step["run"]


# The job that may write and runs code of packages at once: it builds what the lock of main pins by hash, once a reviewer let it begin.
PINNED_CODE = {"images-push"}


@pytest.mark.parametrize("job", [job for job in OF_STEPS if job.writes], ids=str)
def test_a_job_that_may_write_runs_no_code_but_the_base_s_own(job: Job) -> None:
    if str(job) in PINNED_CODE:
        return
    for step in job.steps:
        assert not step.get("uses", "").startswith("actions/setup-python@"), "it installs nothing"
        assert "make" not in shlex.split(step.get("run", "")) and ".venv" not in step.get("run", "")
        assert not re.search(r"tools\.workflow (apply|step)", step.get("run", "")), "no file of a change is checked out"
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"].get("ref", "") in ("", "${{ github.event.pull_request.base.sha || github.sha }}")


@pytest.mark.parametrize("job", OF_STEPS, ids=str)
def test_a_job_that_runs_new_code_only_reads(job: Job) -> None:
    runs_new = any("tools.workflow apply" in script or "bump-check" in script for script in job.scripts)
    if runs_new:
        assert job.facts["permissions"] == {"contents": "read"}
        assert "github.token" not in str(job.facts)


def test_an_artefact_of_another_job_is_checked_before_it_is_used() -> None:
    """`take` and `push` check; what they wrote is what later steps read."""
    for job in OF_STEPS:
        if not job.writes:
            continue
        for script in job.scripts:
            if "tools.forge" in script:
                assert "build/untrusted" not in script and "build/change" not in script, script
            if "build/untrusted" in script:
                assert "tools.workflow take" in script, script


def test_a_fork_never_reaches_a_runner_of_one_s_own() -> None:
    own = [job for job in OF_STEPS if "self-hosted" in str(job.facts["runs-on"])]
    assert {str(job) for job in own} == {"bench-host", "bench-cluster"}
    for job in own:
        condition = " ".join(job.facts["if"].split())
        assert "github.event.pull_request.head.repo.full_name == github.repository" in condition
        assert job.facts["environment"] == "bench", "its reviewers let the job begin"
    assert document(FOLDER / "bench.yml")["on"]["pull_request"] == {"types": ["labeled"]}


def test_the_order_of_a_bump() -> None:
    """Newer, carry out, check, publish; the change goes from the first job to the last by its sha256, past the job that runs new code."""
    row = document(FOLDER / "bump-row.yml")["jobs"]
    assert row["carry-out"]["outputs"] == {"sha256": "${{ steps.pack.outputs.sha256 }}"}
    for name in ("check", "publish"):
        assert row[name]["env"]["SHA256"] == "${{ needs.carry-out.outputs.sha256 }}"
    assert row["publish"]["needs"] == ["carry-out", "check"]
    text = " ".join(step.get("run", "") for step in row["check"]["steps"])
    assert (
        text.index("apply")
        < text.index('make "$CHECKS"')
        < text.index("make bump-check")
        < text.index("tools.workflow report")
    )
    text = " ".join(step.get("run", "") for step in row["publish"]["steps"])
    verbs = ["tools.workflow take", "tools.workflow push", "pull-request", "tools.forge comment", "check-run"]
    assert sorted(verbs, key=text.index) == verbs
    called = document(FOLDER / "bump.yml")["jobs"]["row"]
    assert set(called["permissions"]) == {
        right for job in row.values() for right, kind in job["permissions"].items() if kind == "write"
    }


# --- GitLab ---


def test_the_pipeline_runs_in_an_image_of_the_lock() -> None:
    image = LOCK.stacks["cuda"].image
    assert document(PIPELINE)[".bloomz-bench"]["image"] == f"{image.repository}:{image.tag}@{image.digest}"


def test_the_pipeline_calls_the_same_front_door_in_the_same_order() -> None:
    pipeline = document(PIPELINE)
    for job, others in (("check", "check"), ("carry-out", "carry-out")):
        github = " ".join(step.get("run", "") for step in document(FOLDER / "bump-row.yml")["jobs"][others]["steps"])
        gitlab = " ".join(pipeline[f"bloomz-bench:{job}"]["script"])
        called = re.compile(r"tools\.workflow (apply|pack|step|report|verdict)|make ([a-z-]+)")
        assert called.findall(gitlab) == [
            call for call in called.findall(github) if call[0] != "report" or job == "check"
        ]


def test_only_the_job_that_publishes_has_the_environment_of_the_token() -> None:
    pipeline = document(PIPELINE)
    with_environment = [name for name, facts in pipeline.items() if isinstance(facts, dict) and "environment" in facts]
    assert with_environment == ["bloomz-bench:publish"]
    script = " ".join(pipeline["bloomz-bench:publish"]["script"])
    facts = pipeline["bloomz-bench:publish"]
    # GitLab unpacks artefacts over the checkout, and variables of a job come before all others; a runner may keep a folder
    assert {(need["job"], need["artifacts"]) for need in facts["needs"]} == {
        (artefacts.CARRY_OUT, "false"),
        (artefacts.CHECK, "false"),
    }
    assert facts["variables"] == {"GIT_STRATEGY": "clone"}
    for job, folder in ((artefacts.CARRY_OUT, artefacts.CHANGE), (artefacts.CHECK, artefacts.REPORT)):
        assert pipeline[job]["artifacts"]["paths"] == [folder]
    assert "make" not in shlex.split(script) and "apply" not in script
    assert "TOKEN" not in str(pipeline)
