"""A release: what forbids it, what it changes, and the way back."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import runner
from runner.host.readers import strictyaml
from tests.support.patience import HANG_S
from tools import release, tested

ROOT = Path(__file__).parents[1]
DATE = datetime.date(2031, 2, 3)

INIT = '"""The kit."""\n\n__version__ = "0.4.0"\n'
CHANGELOG = "# Changelog\n\nWhose numbers change.\n\n## Unreleased\n\n- Nobody's.\n\n## 0.3.0, 2030-01-01\n\n- All.\n"
CITATION = 'cff-version: 1.2.0\nversion: "0.4.0"\ndate-released: "2030-06-07"\nlicense: Apache-2.0\n'
README = "kubectl logs job/bench-cpu-1-v0-4-0 and bench-cpu-1-v0-4-01\n"


def git(folder: Path, *arguments: str) -> str:
    return tested.git(folder, *arguments).strip()


def commit_all(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A change")


def repository(folder: Path) -> Path:
    """Make a folder a git repository on the branch main with all files committed, and its tests passed."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.name", "A maintainer")
    git(folder, "config", "user.email", "maintainer@example.invalid")
    commit_all(folder)
    tested.record(folder, folder / "no environment")
    return folder


@pytest.fixture(autouse=True)
def no_git_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git neither reads the settings of who runs the tests, nor takes a repository around the folder of a test."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with the files that a release edits, at version 0.4.0, after release 0.3.0."""
    for name, text in {
        ".gitignore": "build/\n",
        "runner/__init__.py": INIT,
        "CHANGELOG.md": CHANGELOG,
        "CITATION.cff": CITATION,
        "README.md": README,
        "docs/how/page.md": README,
    }.items():
        path = tmp_path / "kit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder = repository(tmp_path / "kit")
    git(folder, "tag", "--annotate", "--message", "Release 0.3.0", "v0.3.0")
    return folder


def files(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in git(folder, "ls-files").split()}


def only_git(folder: Path, command: Sequence[str]) -> None:
    """Run git's steps; the kit's own programs do nothing."""
    if command[0] == "git":
        subprocess.run(command, cwd=folder, check=True)


def make(folder: Path, version: str = "0.5.0", dry_run: bool = False, program: release.Runner = only_git) -> int:
    return release.run(folder, version, DATE, dry_run, program)


def test_a_release_sets_the_version_everywhere_and_tags_one_commit(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = git(root, "rev-parse", "HEAD")
    assert make(root) == 0
    assert files(root) == {
        ".gitignore": "build/\n",
        "runner/__init__.py": INIT.replace("0.4.0", "0.5.0"),
        "CHANGELOG.md": CHANGELOG.replace("## Unreleased\n", "## Unreleased\n\n## 0.5.0, 2031-02-03\n"),
        "CITATION.cff": CITATION.replace("0.4.0", "0.5.0").replace("2030-06-07", "2031-02-03"),
        "README.md": README.replace("v0-4-0 ", "v0-5-0 "),
        "docs/how/page.md": README.replace("v0-4-0 ", "v0-5-0 "),
    }
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "rev-parse", "HEAD~1") == before
    assert git(root, "rev-parse", "v0.5.0^{commit}") == git(root, "rev-parse", "HEAD")
    assert git(root, "cat-file", "-t", "v0.5.0") == "tag"
    assert git(root, "log", "-1", "--format=%s") == "Release 0.5.0"
    assert "nothing was pushed" in capsys.readouterr().out


def test_the_undo_that_is_told_undoes_all(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (git(root, "rev-parse", "HEAD"), git(root, "tag"), files(root))
    assert make(root) == 0
    (undo,) = re.findall(r"^Undo, before it is published: (.*)$", capsys.readouterr().out, re.MULTILINE)
    subprocess.run(["sh", "-ec", undo], cwd=root, check=True)
    assert (git(root, "rev-parse", "HEAD"), git(root, "tag"), files(root)) == before


def test_the_changelog_of_the_next_release_is_empty_at_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(root) == 0
    tested.record(root, root)
    assert make(root, "0.6.0") == 1
    assert "The section `## Unreleased` of CHANGELOG.md is empty." in capsys.readouterr().err


def test_a_version_that_was_set_and_never_released_can_be_released(root: Path) -> None:
    assert make(root, "0.4.0") == 0
    assert git(root, "tag").split() == ["v0.3.0", "v0.4.0"]


def change_a_file(root: Path) -> None:
    (root / "README.md").write_text("changed\n")


def add_a_file(root: Path) -> None:
    (root / "stray").touch()


def take_another_branch(root: Path) -> None:
    git(root, "switch", "--quiet", "--create", "other")


def drop_the_section(root: Path) -> None:
    (root / "CHANGELOG.md").write_text(CHANGELOG.replace("## Unreleased", "## Later"))
    commit_all(root)
    tested.record(root, root)


def empty_the_section(root: Path) -> None:
    (root / "CHANGELOG.md").write_text(CHANGELOG.replace("- Nobody's.\n", ""))
    commit_all(root)
    tested.record(root, root)


def commit_after_the_tests(root: Path) -> None:
    (root / "later").touch()
    commit_all(root)


def forget_the_tests(root: Path) -> None:
    (root / "build" / "tested").unlink()


def skip_python38(root: Path) -> None:
    (root / "build" / ".py38-skipped").touch()
    tested.record(root, root / "build")


def forget_who_commits(root: Path) -> None:
    git(root, "config", "user.useConfigOnly", "true")
    git(root, "config", "--unset", "user.email")


def forget_git(root: Path) -> None:
    shutil.rmtree(root / ".git")


REFUSALS: dict[str, tuple[str, Callable[[Path], None] | None, str]] = {
    "no version": ("", None, "release: '' is no version. Name three numbers, such as 0.5.0."),
    "two numbers": ("1.0", None, "release: '1.0' is no version."),
    "a zero before": ("0.05.0", None, "release: '0.05.0' is no version."),
    "a suffix": ("0.5.0rc1", None, "release: '0.5.0rc1' is no version."),
    "an option": ("--force", None, "release: '--force' is no version."),
    "the last one": ("0.3.0", None, "release: 0.3.0 is not newer than 0.3.0, which has the tag v0.3.0."),
    "older than the source": ("0.3.9", None, "release: 0.3.9 is older than 0.4.0, the version in runner/__init__.py."),
    "another branch": ("0.5.0", take_another_branch, "release: The branch is other; a release is made on main."),
    "a change": ("0.5.0", change_a_file, "release: 1 files are not committed, README.md among them."),
    "a new file": ("0.5.0", add_a_file, "release: 1 files are not committed, stray among them."),
    "no section": ("0.5.0", drop_the_section, "release: CHANGELOG.md has no section `## Unreleased`."),
    "an empty section": ("0.5.0", empty_the_section, "release: The section `## Unreleased` of CHANGELOG.md is empty."),
    "tests of another commit": ("0.5.0", commit_after_the_tests, "they last passed on commit"),
    "no tests": ("0.5.0", forget_the_tests, "no record of them is here. Run `make test-all` with all files committed."),
    "no Python 3.8": ("0.5.0", skip_python38, "release: The tests on Python 3.8 were skipped."),
    "nobody commits": ("0.5.0", forget_who_commits, "release: git does not know who commits."),
    "no repository": ("0.5.0", forget_git, "Run the release inside the git repository of the kit."),
}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("version", "spoil", "told"), REFUSALS.values(), ids=REFUSALS)
def test_a_release_is_refused_before_the_first_change(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    version: str,
    spoil: Callable[[Path], None] | None,
    told: str,
    dry_run: bool,
) -> None:
    if spoil is not None:
        spoil(root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert make(root, version, dry_run) == 1
    assert told in capsys.readouterr().err
    assert {
        path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git" not in path.parts
    } == before
    if spoil is not forget_git:
        assert git(root, "tag") == "v0.3.0"


def test_all_refusals_are_told_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_the_section(root)
    add_a_file(root)
    take_another_branch(root)
    assert make(root) == 1
    said = capsys.readouterr().err
    assert said.count("release: ") == 4 and said.endswith("release: nothing was changed.\n")


def test_a_dry_run_prints_the_plan_and_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (git(root, "rev-parse", "HEAD"), git(root, "tag"), files(root))
    assert make(root, dry_run=True) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert re.findall(r"^  (\d)\. ", said.out, re.MULTILINE) == list("123456789")
    assert "from 0.4.0 to 0.5.0" in said.out and "## 0.5.0, 2031-02-03" in said.out and "tag v0.5.0" in said.out
    assert (git(root, "rev-parse", "HEAD"), git(root, "tag"), files(root)) == before
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.parametrize("word", ["render", "docs.generate", "lock", "commit", "tag"])
def test_a_step_that_fails_is_named_and_can_be_undone(
    root: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    def failing(folder: Path, command: Sequence[str]) -> None:
        if word in command:
            raise subprocess.CalledProcessError(3, command)
        only_git(folder, command)

    before = (git(root, "rev-parse", "HEAD"), git(root, "tag"), files(root))
    assert make(root, program=failing) == 1
    said = capsys.readouterr().err
    assert "release: this step failed: " in said and "non-zero exit status 3" in said
    (undo,) = re.findall(r"^Undo all steps: (.*)$", said, re.MULTILINE)
    subprocess.run(["sh", "-ec", undo], cwd=root, check=True)
    assert (git(root, "rev-parse", "HEAD"), git(root, "tag"), files(root)) == before
    assert git(root, "status", "--porcelain") == ""


def test_an_interrupt_tells_the_way_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(folder: Path, command: Sequence[str]) -> None:
        raise KeyboardInterrupt

    assert make(root, program=interrupted) == release.INTERRUPTED
    assert "release: stopped in this step: render" in capsys.readouterr().err


def test_a_page_that_lost_its_line_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "CITATION.cff").write_text("cff-version: 1.2.0\n")
    commit_all(root)
    tested.record(root, root)
    assert make(root) == 1
    assert "CITATION.cff has 0 places of the form" in capsys.readouterr().err


def test_a_record_of_tests_is_of_a_commit_alone(root: Path, tmp_path: Path) -> None:
    commit = git(root, "rev-parse", "HEAD")
    assert tested.read(root) == tested.Record(commit, python38=True)
    assert tested.record(root, root) == f"All tests passed on commit {commit[:12]}."
    add_a_file(root)
    assert "some files are not committed" in tested.record(root, root)
    assert tested.read(root) is None
    (tmp_path / "tarball").mkdir()
    assert "this folder is no git repository" in tested.record(tmp_path / "tarball", root)


@pytest.mark.slow
def test_this_tree_can_be_released(tmp_path: Path) -> None:
    """A copy of the kit is released for real: rendered, checked, committed, tagged, and all that stands in it is of one version."""
    copy = tmp_path / "kit"
    copy.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    for path in ROOT.iterdir():
        if path.name not in (".git", ".venv", "build", "results", ".hypothesis") and not path.name.endswith("_cache"):
            if path.is_dir():
                shutil.copytree(path, copy / path.name, ignore=ignored)
            else:
                shutil.copy(path, copy)
    changelog = (copy / "CHANGELOG.md").read_text()
    (copy / "CHANGELOG.md").write_text(changelog.replace(release.UNRELEASED, f"{release.UNRELEASED}\n\n- A change.", 1))
    repository(copy)
    version = "{}.{}.99".format(*runner.__version__.split("."))
    command = [sys.executable, "-m", "tools.release", f"--version={version}"]
    done = subprocess.run(command, cwd=copy, capture_output=True, encoding="utf-8", timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    assert git(copy, "status", "--porcelain") == ""
    assert f"app.kubernetes.io/version: {version}" in (copy / "k8s" / "cpu" / "60-bench-cpu-1.yaml").read_text()
    before, after = (number.replace(".", "-") for number in (runner.__version__, version))
    manifests = "".join(path.read_text() for path in (copy / "k8s").rglob("*.yaml"))
    assert f"-v{after}" in manifests and f"-v{before}" not in manifests.replace(f"-v{after}", "")
    for page in release.pages(copy):
        assert not re.search(rf"-v{before}(?![0-9])", page.read_text()), page
    check = [sys.executable, "-m", "runner", "render", "--check"]
    assert subprocess.run(check, cwd=copy, capture_output=True, timeout=HANG_S).returncode == 0


def test_the_version_of_the_citation_is_the_kit_s() -> None:
    cited: Any = strictyaml.loads((ROOT / "CITATION.cff").read_bytes(), "CITATION.cff")
    assert cited["version"] == runner.__version__


def test_the_citation_has_what_its_format_requires() -> None:
    """The schema of the Citation File Format 1.2.0 requires these four keys, and of an entity its name."""
    cited: Any = strictyaml.loads((ROOT / "CITATION.cff").read_bytes(), "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "software"
    assert cited["authors"] and all(author["name"] for author in cited["authors"])


def test_names_of_jobs_in_the_pages_are_of_this_version() -> None:
    version = runner.__version__.replace(".", "-")
    for page in release.pages(ROOT):
        names = re.findall(r"\b(?:bench|prefetch|config)-[a-z0-9-]*-v([0-9]+-[0-9]+-[0-9]+)", page.read_text())
        assert set(names) <= {version}, page


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    assert len(re.findall(rf"^{release.UNRELEASED}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)) == 1
