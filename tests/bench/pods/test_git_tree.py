from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.bench.pods import git_tree
from runner.contract.errors import DoesNotFit, InputError, PublishFailed, Unreachable, Unsupported
from runner.contract.recipe import GitSource
from tests.support import git_repository


@pytest.fixture
def source(tmp_path: Path) -> GitSource:
    return git_repository.make(tmp_path / "repository")


def test_a_commit_comes_whole_with_its_tree_and_time(source: GitSource, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    raw = git_tree.fetch(source, str(target))
    assert git_tree.commit(raw, source, "it") == git_tree.Commit(source.tree, git_repository.EPOCH)
    git_tree.refuse_other_files(str(target), source)
    assert (target / "link").is_symlink() and (target / "sub/sub/run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("change", ["content", "mode", "name", "link", "more"])
def test_files_that_are_not_those_of_the_tree_are_refused(source: GitSource, tmp_path: Path, change: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    git_tree.fetch(source, str(target))
    if change == "content":
        (target / "a0").write_text("other")
    elif change == "mode":
        (target / "a0").chmod(0o755)
    elif change == "name":
        (target / "a0").rename(target / "a1")
    elif change == "link":
        (target / "link").unlink()
        (target / "link").symlink_to("a0")
    else:
        (target / "more").touch()
    with pytest.raises(InputError, match=f"are not those of commit {source.commit}"):
        git_tree.refuse_other_files(str(target), source)


def test_a_folder_without_files_has_no_tree(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    assert git_tree.tree_of(str(tmp_path)) is None


def test_another_commit_and_another_tree_are_refused(source: GitSource, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    raw = git_tree.fetch(source, str(tmp_path / "target"))
    with pytest.raises(InputError, match="it is not the commit"):
        git_tree.commit(raw + b"\n", source, "it")
    with pytest.raises(InputError, match="it is not the commit"):
        git_tree.commit(b"", source, "it")
    with pytest.raises(InputError, match=f"has the tree {source.tree}; versions.lock says {'2' * 40}"):
        git_tree.commit(raw, GitSource(source.repository, source.commit, "2" * 40, None), "it")


def test_a_repository_that_lacks_the_commit_is_named(source: GitSource, tmp_path: Path) -> None:
    missing = GitSource(source.repository, "3" * 40, source.tree, None)
    (tmp_path / "target").mkdir()
    with pytest.raises(Unreachable, match=f"did not give commit {'3' * 40}: .*Run the same command again"):
        git_tree.fetch(missing, str(tmp_path / "target"))


def test_a_base_without_git_is_told_what_to_do(
    source: GitSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="git cannot be run in this base .* Build the stack's image instead"):
        git_tree.fetch(source, str(tmp_path))


def test_attributes_of_a_commit_change_nothing(tmp_path: Path) -> None:
    source = git_repository.make(tmp_path / "repository", git_repository.ATTRIBUTES)
    target = tmp_path / "target"
    target.mkdir()
    git_tree.fetch(source, str(target))
    git_tree.refuse_other_files(str(target), source)


def test_files_that_cannot_be_written_are_told_with_the_reason_of_tar(source: GitSource, tmp_path: Path) -> None:
    with pytest.raises(
        PublishFailed, match="cannot be written below .*/nowhere: tar: .*: Cannot open: No such file.*Mend"
    ):
        git_tree.fetch(source, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "script, error, words",
    [
        (
            "echo 'tar: a: Cannot write: No space left on device' >&2\necho 'tar: Exiting with failure status due to x' >&2\nexit 2",
            DoesNotFit,
            "tar: a: Cannot write: No space left on device. Make the volume larger",
        ),
        ("exit 2", PublishFailed, "status 2. Mend the volume"),
        (None, Unsupported, r"tar cannot be run in this base \(No such file or directory\)"),
    ],
    ids=["full", "silent", "absent"],
)
def test_a_tar_that_fails_is_told_in_one_sentence(
    source: GitSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str | None,
    error: type[Exception],
    words: str,
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    git = shutil.which("git")
    assert git is not None
    (programs / "git").symlink_to(git)
    if script is not None:
        (programs / "tar").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(error, match=words):
        git_tree.fetch(source, str(tmp_path))
