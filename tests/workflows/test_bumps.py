"""A bump goes from "something newer exists" to the text of its pull request, by the workflow's own steps, real packages and the real index.

A remote on this machine stands for the forge's, and ``tests/support/forge.py`` for its API. Checks are `make lock-check` and one launch
a side of the case cpu-1: both are inputs of the workflow.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.host.readers import lockfile, strictyaml
from tests.support import planted_packages
from tests.support.forge import Forge
from tests.support.planted_packages import Change, Planted
from tests.workflows.harness import comments, machines
from tests.workflows.harness.machines import Machine
from tests.workflows.harness.remotes import Remote
from tests.workflows.harness.runs import Event, Run

pytestmark = [pytest.mark.slow, pytest.mark.torch]

WORKFLOW = ".github/workflows/bump.yml"
INPUTS = {"checks": "lock-check", "bump_check": "--launches 1 --cases cpu-1"}
PACKAGES = lockfile.read().stacks["cpu"].packages

# The planted sentence of a release that compiles nothing here.
NO_COMPILER = "this release needs a compiler that nobody has"


def cannot_be_built(text: str) -> str:
    """Return a setup.py that tells its metadata and builds no wheel."""
    guard = f'import sys\nif "bdist_wheel" in sys.argv:\n    raise SystemExit("{NO_COMPILER}")\n'
    return text.replace("import os\n", f"{guard}import os\n", 1)


@dataclass
class Bumps:
    """What the tests of this file share: environments that were made, and the port of the planted index, by which these are known."""

    cache: Path
    port: int = 0

    @contextmanager
    def planted(self, *releases: Planted) -> Iterator[Machine]:
        """Serve planted releases beside the real ones; yield a machine whose jobs find them."""
        with planted_packages.serve(releases, self.port) as index:
            self.port = index.port
            yield machines.of_here(self.cache, index.variables())


@pytest.fixture(scope="module")
def bumps(tmp_path_factory: pytest.TempPathFactory) -> Bumps:
    return Bumps(tmp_path_factory.mktemp("cache"))


def planted(package: str, changes: Mapping[str, Change]) -> Planted:
    """Return the locked release of a package as a newer one, with changes."""
    version = PACKAGES[package].version
    assert version is not None
    return planted_packages.release(package, version, f"{version}.post1", changes)


def run(folder: Path, remote: Remote, forge: Forge, machine: Machine, row: str, listed: bool = False) -> Run:
    """Run the workflow for a row, named by hand or found among all that is newer; what it printed stands in the test's output."""
    event = Event(inputs=INPUTS if listed else {**INPUTS, "row": row})
    made = Run(folder, remote, forge, machine, WORKFLOW, event, chosen=lambda combination: combination["row"] == row)
    made.go()
    for path, ended in made.ended.items():
        for step in ended.steps:
            if step.outcome == "failure":
                print(f"--- {path}, {step.name}:\n{step.log[-3000:]}")
    return made


def job(made: Run, row: str, name: str) -> str:
    """Return the result of a job of a row's workflow."""
    return made.ended[f"row ({row}, {row.replace('/', '+')}) / {name}"].result


def words(folder: Path, row: str, before: str, after: str) -> dict[str, str]:
    """Return what stands in a file of a test for folders and versions of this run."""
    package = row.rpartition("/")[2]
    return {str(folder): "<folder>", after: f"<newer {package}>", before: f"<locked {package}>"}


def said(forge: Forge) -> tuple[str, str]:
    """Return title and text of the one pull request, and the text of its one comment, as Markdown; print both."""
    (pull,) = forge.pulls
    ((comment,),) = forge.comments.values()
    text, body = f"# {pull['title']}\n\n{pull['body']}", str(comment["body"])
    print(text, body, sep="\n\n")
    return text, body


def version_of(remote: Remote, commit: str, row: str) -> str:
    """Return the version of a row in the lock of a commit."""
    stack, _, package = row.partition("/")
    text = remote.file(commit, "versions.lock")
    lock = lockfile.parse(strictyaml.loads(text.encode(), "versions.lock"), Path("versions.lock"))
    version = lock.stacks[stack].packages[package].version
    assert version is not None
    return version


def test_a_real_release_becomes_a_pull_request_with_what_it_changed(bumps: Bumps, tmp_path: Path) -> None:
    row = "cpu/datasets"
    remote = Remote(tmp_path)

    def older(tree: Path) -> None:
        command = [sys.executable, "-m", "runner", "bump", "datasets", "--to", "5.1.0"]
        subprocess.run(command, cwd=tree, check=True)

    remote.commit("datasets is 5.1.0", older)
    with Forge() as forge:
        made = run(tmp_path / "run", remote, forge, machines.of_here(bumps.cache), row, listed=True)
    # an origin that does not answer here ends the list with an error; what was found is bumped all the same
    assert "cpu/datasets" in made.ended["newer"].outputs["rows"]
    assert [job(made, row, name) for name in ("carry-out", "not-carried-out", "check", "publish")] == [
        "success",
        "skipped",
        "success",
        "success",
    ]
    head = remote.branches()["bump/cpu/datasets"]
    assert version_of(remote, remote.main, row) == "5.1.0"
    newer = version_of(remote, head, row)
    assert {"versions.lock", "CHANGELOG.md", "images/cpu/requirements-cpu.txt"} <= set(
        remote.changed(remote.main, head)
    )
    text, comment = said(forge)
    assert forge.pulls[0]["title"] == f"Bump cpu/datasets from 5.1.0 to {newer}"
    (check_run,) = forge.check_runs
    assert (check_run["head_sha"], check_run["conclusion"]) == (head, "success")
    named = words(tmp_path, row, "5.1.0", newer)
    comments.as_in("real-pull-request.md", comments.same_each_time(text, named))
    comments.as_in("real.md", comments.same_each_time(comment, named))


# The two take eight minutes of a busy host.
@pytest.mark.bumps
@pytest.mark.parametrize(
    ("name", "changes"),
    [("slower", planted_packages.EXTRA_FORWARD_PASS), ("wrong-token", planted_packages.OTHER_TOKENS)],
)
def test_a_planted_change_fails_with_the_counts_that_differ(
    bumps: Bumps, tmp_path: Path, name: str, changes: Mapping[str, Change]
) -> None:
    row = "cpu/transformers"
    remote, release = Remote(tmp_path), planted("transformers", changes)
    with bumps.planted(release) as machine, Forge() as forge:
        made = run(tmp_path / "run", remote, forge, machine, row)
    assert [job(made, row, name) for name in ("carry-out", "check", "publish")] == ["success", "failure", "success"]
    _, comment = said(forge)
    assert [(one["conclusion"], one["head_sha"]) for one in forge.check_runs] == [
        ("failure", remote.branches()["bump/cpu/transformers"])
    ]
    named = words(tmp_path, row, str(PACKAGES["transformers"].version), release.package.version)
    comments.as_in(f"{name}.md", comments.same_each_time(comment, named))


def test_a_release_that_cannot_be_built_is_told_in_one_comment_however_often_the_workflow_runs(
    bumps: Bumps, tmp_path: Path
) -> None:
    row = "cpu/deepspeed"
    remote, release = Remote(tmp_path), planted("deepspeed", {"setup.py": cannot_be_built})
    with bumps.planted(release) as machine, Forge() as forge:
        first = run(tmp_path / "first", remote, forge, machine, row)
        before = (*said(forge), remote.branches())
        second = run(tmp_path / "second", remote, forge, machine, row)
        after = (*said(forge), remote.branches())
    for made in (first, second):
        assert [job(made, row, name) for name in ("carry-out", "check", "publish")] == ["success", "failure", "success"]
    # one pull request, one comment and one check run, which the second run updated
    assert after[2] == before[2]
    assert [len(forge.pulls), len(forge.issues), len(forge.check_runs)] == [1, 0, 1]
    assert sum(change.startswith("POST") for change in forge.changes()) == 3
    assert sum(change.startswith("PATCH") for change in forge.changes()) >= 1
    named = words(tmp_path, row, str(PACKAGES["deepspeed"].version), release.package.version)
    comments.as_in("unbuildable.md", comments.same_each_time(after[1], named, kept=NO_COMPILER))


def test_a_release_that_contradicts_the_others_becomes_an_issue_that_says_why(bumps: Bumps, tmp_path: Path) -> None:
    row = "cpu/datasets"
    version = str(PACKAGES["datasets"].version)
    # pip's resolver and uv's agree that nothing serves both demands
    release = planted_packages.release("datasets", version, f"{version}.post1", demands=["transformers<1"])
    remote = Remote(tmp_path)
    with bumps.planted(release) as machine, Forge() as forge:
        made = run(tmp_path / "run", remote, forge, machine, row)
    assert [job(made, row, name) for name in ("carry-out", "not-carried-out", "check", "publish")] == [
        "failure",
        "success",
        "skipped",
        "skipped",
    ]
    assert (forge.pulls, set(remote.branches())) == ([], {"main"})
    (issue,) = forge.issues
    print(issue["title"], issue["body"], sep="\n\n")
    named = words(tmp_path, row, version, release.package.version)
    text = comments.same_each_time(
        f"# {issue['title']}\n\n{issue['body']}", named, kept=r"datasets\S+ depends on transformers<1"
    )
    comments.as_in("contradiction.md", text)
