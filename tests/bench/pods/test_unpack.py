from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runner.bench.pods import unpack
from tests.support.patience import HANG_S

SCRIPT = unpack.__file__


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the file alone, in a folder from which nothing of the runner can be imported."""
    command = [sys.executable, "-S", "-E", SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=cwd, timeout=HANG_S)


def test_keys_become_paths_and_the_kubelets_own_folders_are_left(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "kit"
    (source / "..2026_01_01").mkdir(parents=True)
    (source / "..data").symlink_to("..2026_01_01")
    for key in ("LICENSE", "runner--__init__.py", "recipe--programs--a-b.sh"):
        (source / "..2026_01_01" / key).write_text(key)
        (source / key).symlink_to(f"..data/{key}")
    done = run(source, target, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"unpack: 3 files in {target}\n"
    found = {str(path.relative_to(target)): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert found == {
        "LICENSE": "LICENSE",
        "runner/__init__.py": "runner--__init__.py",
        "recipe/programs/a-b.sh": "recipe--programs--a-b.sh",
    }
    assert not any(path.is_symlink() for path in target.rglob("*"))


def test_a_second_start_writes_the_same(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "kit"
    source.mkdir()
    (source / "a--b").write_text("new")
    (target / "a").mkdir(parents=True)
    (target / "a" / "b").write_text("half of an old one")
    assert run(source, target, cwd=tmp_path).returncode == 0
    assert (target / "a" / "b").read_text() == "new"
    assert os.listdir(target) == ["a"]


def test_a_volume_that_takes_nothing_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a--b").write_text("")
    (tmp_path / "kit").write_text("a file")
    done = run(tmp_path / "source", tmp_path / "kit", cwd=tmp_path)
    assert done.returncode == 7
    assert done.stderr.startswith(f"unpack: {tmp_path / 'kit'}") and "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1
