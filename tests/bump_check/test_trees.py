"""The trees of the sides, exported from real git repositories."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from runner.contract.errors import InputError, UsageError
from tests.bump_check import stand_in
from tests.bump_check.stand_in import git
from tools.bump_check import trees


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = stand_in.repository(tmp_path / "a 'repo':x \\ \"y\"")
    (folder / "sub").mkdir()
    (folder / "sub" / "run.sh").write_text("one\n")
    (folder / "sub" / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("sub/run.sh")
    (folder / ".gitignore").write_text("__pycache__/\n/ignored\n")
    stand_in.commit(folder, "First\n\nwith more")
    return folder


def state(root: Path) -> tuple[str, str, str]:
    return git(root, "status", "--porcelain=v2"), git(root, "worktree", "list"), git(root, "for-each-ref")


def test_a_commit_s_files_come_out_as_they_are_and_the_repository_stays_as_it_is(root: Path, tmp_path: Path) -> None:
    before = state(root)
    tree = trees.of_commit("main", tmp_path / "out", root)
    assert tree.name == git(root, "rev-parse", "main^{tree}").strip()
    assert (tree / "sub" / "run.sh").read_text() == "one\n"
    assert os.access(tree / "sub" / "run.sh", os.X_OK)
    assert (tree / "link").readlink() == Path("sub/run.sh")
    assert not (tree / ".git").exists()
    assert state(root) == before


def test_the_working_tree_comes_with_its_uncommitted_and_new_files_and_without_what_git_ignores(
    root: Path, tmp_path: Path
) -> None:
    (root / "sub" / "run.sh").write_text("two\n")
    (root / "new").write_text("new\n")
    (root / "ignored").write_text("large\n")
    (root / "link").unlink()
    before, objects = state(root), sorted((root / ".git" / "objects").rglob("*"))
    tree = trees.of_working_tree(tmp_path / "out", root)
    assert (tree / "sub" / "run.sh").read_text() == "two\n" and (tree / "new").read_text() == "new\n"
    assert not (tree / "ignored").exists() and not (tree / "link").is_symlink()
    assert state(root) == before and sorted((root / ".git" / "objects").rglob("*")) == objects
    assert sorted(trees.uncommitted(root)) == ["link", "new", "sub/run.sh"]
    (root / "sub" / "run.sh").write_text("three\n")
    assert (tree / "sub" / "run.sh").read_text() == "two\n", "a later change is not measured"


def test_the_environment_of_this_process_is_no_part_of_the_tree(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "env [1]" / "bin").mkdir(parents=True)
    (root / "env [1]" / "bin" / "python").touch()
    monkeypatch.setattr(sys, "prefix", str(root / "env [1]"))
    assert trees.uncommitted(root) == []
    assert trees.of_working_tree(tmp_path / "out", root) == trees.of_commit("HEAD", tmp_path / "out", root)


def test_a_tree_is_exported_once_and_again_if_somebody_changed_it(root: Path, tmp_path: Path) -> None:
    tree = trees.of_commit("main", tmp_path / "out", root)
    first = (tree / "sub" / "run.sh").stat().st_ino
    (tree / "__pycache__").mkdir()
    assert trees.of_commit("main", tmp_path / "out", root) == tree
    assert (tree / "sub" / "run.sh").stat().st_ino == first, "compiled bytecode is no change"
    for change in ("edited", "added", "lost"):
        if change == "edited":
            (tree / "sub" / "run.sh").write_text("other\n")
        elif change == "added":
            (tree / "sub" / "more.py").touch()
        else:
            (tree / "link").unlink()
        trees.of_commit("main", tmp_path / "out", root)
        assert (tree / "sub" / "run.sh").read_text() == "one\n", change
        assert not (tree / "sub" / "more.py").exists() and (tree / "link").is_symlink(), change


def test_a_ref_that_is_not_here_is_said_with_the_way_to_it(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone is no branch, tag or commit here. Run `git fetch origin`"):
        trees.of_commit("gone", tmp_path / "out", root)
    with pytest.raises(UsageError, match="'--all' is no name"):
        trees.of_commit("--all", tmp_path / "out", root)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(root), str(clone))
    git(root, "branch", "later")
    git(clone, "fetch", "--quiet")
    with pytest.raises(InputError, match="origin has it: name origin/later"):
        trees.of_commit("later", tmp_path / "out", clone)


def test_a_shallow_clone_says_how_to_get_the_rest(root: Path, tmp_path: Path) -> None:
    first = git(root, "rev-parse", "HEAD").strip()
    stand_in.commit(root, "Second")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{root}", str(clone))
    assert trees.of_commit("main", tmp_path / "out", clone).is_dir()
    with pytest.raises(InputError, match="This clone is shallow: run `git fetch --unshallow origin`"):
        trees.of_commit(first, tmp_path / "out", clone)


def test_a_folder_that_is_no_repository_of_its_own_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no git repository"):
        trees.commit("main", tmp_path)
    with pytest.raises(UsageError, match="lies inside another git repository"):
        trees.commit("main", root / "sub")


def test_a_hook_s_own_index_is_not_touched(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "of-the-hook"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert (trees.of_working_tree(tmp_path / "out", root) / "link").is_symlink()
    assert not (tmp_path / "of-the-hook").exists()


def test_only_exported_trees_are_removed(tmp_path: Path) -> None:
    kept = tmp_path / "results"
    kept.mkdir()
    with pytest.raises(InputError, match="is no exported tree"):
        trees.remove(kept)
    link = tmp_path / ("a" * 40)
    link.symlink_to(kept)
    with pytest.raises(InputError, match="is no exported tree"):
        trees.remove(link)
    assert kept.is_dir()
