"""The publishing job refuses what a job that ran new code may hand on, and pushes nothing then: by the steps of the YAML themselves."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.contract.errors import DamagedResult
from tests.support.forge import Forge
from tests.workflows.harness import definition, machines
from tests.workflows.harness.machines import Machine
from tests.workflows.harness.remotes import Remote, git
from tests.workflows.harness.runs import Ended, Event, Run
from tools.workflow import change, report

ROW, ARTEFACT = "cpu/datasets", "cpu+datasets"
CALLER, CALLED = (f".github/workflows/{name}.yml" for name in ("bump", "bump-row"))
HUNDRED_MB = 100_000_000


def rights() -> Mapping[str, str]:
    """Return the rights that bump.yml gives to the workflow of a row."""
    read = definition.read((machines.ROOT / CALLER).read_bytes(), CALLER)
    given = read.jobs["row"].permissions
    assert given is not None
    return given


@dataclass(frozen=True)
class Handed:
    """The two folders that the jobs before handed on, and the sha256 that the first of them put out."""

    change: Path
    report: Path
    sha256: str


class Publishing:
    """A remote with the kit, and what its job ``publish`` makes of artefacts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.remote = folder, Remote(folder)
        self.base = self.remote.main
        self.numbers = itertools.count(1)

    def patch(self, write: Callable[[Path], None]) -> bytes:
        """Return what ``write`` does to the scratch clone as a patch, and take it back."""
        scratch = self.remote.scratch
        write(scratch)
        git(scratch, "add", "--all", "--force")
        made = git(scratch, "diff", "--cached", "--binary", "--full-index", self.base).encode()
        git(scratch, "reset", "--quiet", "--hard", self.base)
        return made

    def run(self, patch: bytes, spoil: Callable[[Handed], Handed] | None = None) -> tuple[Run, Forge]:
        """Hand a patch and a report on, spoil them, and run the job publish."""
        folder = self.folder / f"run-{next(self.numbers)}"
        with Forge() as forge:
            run = Run(folder, self.remote, forge, Machine({}), CALLER, Event(), show=_quiet)
            handed = self._handed(run, patch)
            if spoil is not None:
                handed = spoil(handed)
            given = {"carry-out": Ended("success", {"sha256": handed.sha256}), "check": Ended("failure")}
            run.called(CALLED, {"row": ROW, "artefact": ARTEFACT}, rights(), given)
        return run, forge

    def _handed(self, run: Run, patch: bytes) -> Handed:
        handed = Handed(run.artefacts.folder / f"change-{ARTEFACT}", run.artefacts.folder / f"report-{ARTEFACT}", "")
        for each in (handed.change, handed.report):
            each.mkdir(parents=True)
        facts = {
            "row": ROW, "base": self.base, "title": "Bump cpu/datasets", "body": "- A line.",
            "patch_sha256": hashlib.sha256(patch).hexdigest(),
        }  # fmt: skip
        raw = json.dumps(facts).encode()
        (handed.change / change.PATCH).write_bytes(patch)
        (handed.change / change.FACTS).write_bytes(raw)
        (handed.report / report.COMMENT).write_text("It is as it was. Ask @somebody about #12.\n")
        (handed.report / report.VERDICT).write_text(json.dumps({"word": "PASS", "reasons": ["nothing changed"]}))
        return Handed(handed.change, handed.report, hashlib.sha256(raw).hexdigest())


def _quiet(line: str) -> None:
    """Print nothing."""


@pytest.fixture(scope="module")
def publishing(tmp_path_factory: pytest.TempPathFactory) -> Publishing:
    return Publishing(tmp_path_factory.mktemp("publishing"))


@pytest.fixture
def good(publishing: Publishing) -> Iterator[bytes]:
    """A patch that a bump could have made; what is pushed is removed again."""
    yield publishing.patch(_add_a_line)
    for branch in publishing.remote.branches():
        if branch != "main":
            git(publishing.remote.bare, "branch", "--quiet", "-D", branch)


def _add_a_line(tree: Path) -> None:
    lock = tree / "versions.lock"
    lock.write_text(lock.read_text() + "\n")


def refused(publishing: Publishing, run: Run, forge: Forge, step: str, word: str) -> None:
    """Assert that a step refused what was handed on, that nothing was pushed, and that the forge was asked to change nothing."""
    publish = run.ended["publish"]
    assert publish.result == "failure"
    assert (publish.step(step).exit_code, word in publish.step(step).log) == (DamagedResult.exit_code, True), (
        publish.step(step).log
    )
    assert set(publishing.remote.branches()) == {"main"}
    assert forge.changes() == []


def test_a_good_change_is_pushed_and_its_comment_calls_nobody(publishing: Publishing, good: bytes) -> None:
    run, forge = publishing.run(good)
    assert run.ended["publish"].result == "success"
    made = publishing.remote.branches()["bump/cpu/datasets"]
    assert publishing.remote.changed(publishing.base, made) == ["versions.lock"]
    ((comment,),) = forge.comments.values()
    assert "\uff20somebody about \uff0312" in str(comment["body"])
    (check_run,) = forge.check_runs
    assert (check_run["head_sha"], check_run["conclusion"]) == (made, "success")


def _workflow(tree: Path) -> None:
    (tree / ".github/workflows/test.yml").write_text("name: mine\n")


def _link(tree: Path) -> None:
    (tree / "docs/bumps-2.md").symlink_to("/etc/passwd")


def _program(tree: Path) -> None:
    (tree / "docs/bumps-2.md").write_text("a")
    (tree / "docs/bumps-2.md").chmod(0o755)


def _code(tree: Path) -> None:
    path = tree / "tools/workflow/branch.py"
    path.write_text(path.read_text() + "\n")


@pytest.mark.parametrize("write", [_workflow, _link, _program, _code])
def test_a_patch_that_writes_what_no_bump_writes_is_refused(
    publishing: Publishing, write: Callable[[Path], None]
) -> None:
    run, forge = publishing.run(publishing.patch(write))
    refused(publishing, run, forge, "Check the change, and push its branch", "no bump writes")


@pytest.mark.parametrize(
    ("patch", "word"),
    [
        (
            b"diff --git a/../../outside b/../../outside\nnew file mode 100644\n--- /dev/null\n+++ b/../../outside\n@@ -0,0 +1 @@\n+a\n",
            "does not apply",
        ),
        (b"no patch at all\n", "does not apply"),
        (bytes(HUNDRED_MB), "bytes"),
    ],
    ids=["a path outside", "no patch", "100 MB"],
)
def test_what_is_no_patch_of_the_tree_is_refused(publishing: Publishing, patch: bytes, word: str) -> None:
    run, forge = publishing.run(patch)
    refused(publishing, run, forge, "Check the change, and push its branch", word)


def test_another_change_than_the_one_that_was_carried_out_is_refused(publishing: Publishing, good: bytes) -> None:
    def other_patch(handed: Handed) -> Handed:
        with (handed.change / change.PATCH).open("ab") as file:
            file.write(b"\n")
        return handed

    def other_facts(handed: Handed) -> Handed:
        facts = json.loads((handed.change / change.FACTS).read_text())
        (handed.change / change.FACTS).write_text(json.dumps({**facts, "title": "Trust me"}))
        return handed

    def linked(handed: Handed) -> Handed:
        (handed.change / change.PATCH).unlink()
        (handed.change / change.PATCH).symlink_to("/etc/passwd")
        return handed

    for spoil, word in ((other_patch, "sha256 differs"), (other_facts, "sha256 differs"), (linked, change.PATCH)):
        run, forge = publishing.run(good, spoil)
        refused(publishing, run, forge, "Check the change, and push its branch", word)


def test_a_report_that_is_none_is_refused(publishing: Publishing, good: bytes) -> None:
    def bad_json(handed: Handed) -> Handed:
        (handed.report / report.VERDICT).write_text('{"word": "PASS", "reasons": [')
        return handed

    def another_word(handed: Handed) -> Handed:
        (handed.report / report.VERDICT).write_text('{"word": "FINE", "reasons": []}')
        return handed

    def link(handed: Handed) -> Handed:
        (handed.report / report.COMMENT).unlink()
        (handed.report / report.COMMENT).symlink_to("/etc/passwd")
        return handed

    def huge(handed: Handed) -> Handed:
        with (handed.report / report.COMMENT).open("wb") as file:
            file.truncate(HUNDRED_MB)
        return handed

    spoils = ((bad_json, report.VERDICT), (another_word, "FINE"), (link, "is a link"), (huge, report.COMMENT))
    for spoil, word in spoils:
        run, forge = publishing.run(good, spoil)
        refused(publishing, run, forge, "Check the report", word)


def test_a_job_that_was_stopped_before_its_report_is_a_fail_that_is_told(publishing: Publishing, good: bytes) -> None:
    def stopped(handed: Handed) -> Handed:
        for each in handed.report.iterdir():
            each.unlink()
        handed.report.rmdir()
        return handed

    run, forge = publishing.run(good, stopped)
    assert run.ended["publish"].result == "success"
    assert [one["conclusion"] for one in forge.check_runs] == ["failure"]
    ((comment,),) = forge.comments.values()
    assert "the job was stopped" in str(comment["body"])
