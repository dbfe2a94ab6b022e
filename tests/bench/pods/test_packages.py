"""The verb in a process of its own, as a pod runs it: pip's settings are read when pip starts."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.bench.pods import git_tree, package_folder, packages
from runner.bench.pods.package_folder import PackageFolder
from runner.contract.errors import DoesNotFit, InputError, PublishFailed, Unreachable, UnresolvedPin, Unsupported
from tests.support import git_repository
from tests.support.json_output import events
from tests.support.package_index import Kit, serve, source_distribution, variables, wheel
from tests.support.patience import HANG_S

ROOT = Path(__file__).parents[3]
SMALL = wheel("small", "1.0", {"small.py": b"VALUE = 1\n"})
OTHER = wheel("other", "2.1", {"other.py": b"VALUE = 2\n" * 1000})
# pip's own command would run this setup.py while it downloads, and fail.
BUILT = source_distribution("from-source", "0.3", "raise SystemExit('setup.py ran')\n")
ALL = [SMALL, OTHER, BUILT]


def run(kit: Kit, volume: Path, address: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "runner",
        "packages",
        "--recipe",
        str(kit.recipe_folder),
        "--packages",
        str(volume),
    ]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**variables(address), **more},
        timeout=HANG_S,
    )


def fetched(log: list[str]) -> list[str]:
    return sorted(line.rpartition("/")[2] for line in log if line.startswith("/files/"))


def test_everything_comes_whole_compared_and_marked_and_only_once(tmp_path: Path) -> None:
    kit, volume = Kit(tmp_path / "kit", ALL), tmp_path / "volume"
    with serve([*kit.tools, *ALL]) as (address, log):
        done = run(kit, volume, address, "--json")
        assert done.returncode == 0, done.stderr
        assert fetched(log) == sorted(one.name for one in [*kit.tools, *ALL])
        del log[:]
        again = run(kit, volume, address)
        assert (again.returncode, log) == (0, []), again.stderr
    folder = PackageFolder(str(volume), kit.recipe)
    assert {name: (Path(folder.wheels) / name).read_bytes() for name in os.listdir(folder.wheels)} == {
        one.name: one.content for one in ALL
    }
    assert sorted(os.listdir(folder.tools)) == sorted(one.name for one in kit.tools)
    assert sorted(os.listdir(folder.path)) == ["commits", "complete.json", "sources", "tools", "wheels"]
    (event,) = events(done.stdout, "packages")
    assert (event["stack"], event["folder"], event["files"]) == ("small", folder.path, 3)
    assert event["bytes"] == sum(len(one.content) for one in ALL)
    assert re.search(r"\[small\] 2/3 other-2.1-py3-none-any.whl is whole, 0.0 MB", done.stderr)


def test_an_attempt_keeps_the_whole_files_of_the_one_before(tmp_path: Path) -> None:
    kit, volume = Kit(tmp_path / "kit", ALL), tmp_path / "volume"

    def cut(name: str, content: bytes) -> bytes:
        return content[:100] if name == OTHER.name else content

    with serve([*kit.tools, *ALL], cut) as (address, log):
        done = run(kit, volume, address)
        assert done.returncode == Unreachable.exit_code, done.stderr
        assert f"{OTHER.name} of the index {address} did not come whole: " in done.stderr
        assert not PackageFolder(str(volume), kit.recipe).is_complete()
        assert os.listdir(PackageFolder(str(volume), kit.recipe).wheels) == [SMALL.name]
    with serve([*kit.tools, *ALL]) as (address, log):
        assert run(kit, volume, address).returncode == 0
        assert fetched(log) == sorted([OTHER.name, BUILT.name])


def test_a_file_of_another_hash_is_refused_and_not_kept(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "kit", [SMALL])
    with serve([*kit.tools, SMALL], lambda name, content: content[::-1] if name == SMALL.name else content) as (
        address,
        _,
    ):
        done = run(kit, tmp_path / "volume", address)
    assert done.returncode == Unreachable.exit_code
    assert f"{SMALL.name} of the index {address} has the sha256 " in done.stderr
    assert "which is not a locked one" in done.stderr
    assert os.listdir(PackageFolder(str(tmp_path / "volume"), kit.recipe).wheels) == []


def test_a_pip_of_another_hash_is_never_run(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "kit", [SMALL])
    other = wheel("pip", kit.tools[0].version, {"pip/__init__.py": b"raise SystemExit('another pip ran')"})
    with serve([other, kit.tools[1], SMALL]) as (address, _):
        done = run(kit, tmp_path / "volume", address)
    assert done.returncode == Unreachable.exit_code
    assert "The base's pip could not fetch the pinned pip: " in done.stderr
    assert "another pip ran" not in done.stderr
    assert os.listdir(PackageFolder(str(tmp_path / "volume"), kit.recipe).tools) == []


def test_an_index_that_lacks_a_file_is_named_with_what_its_answer_was(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "kit", [SMALL, OTHER])
    with serve([*kit.tools, SMALL]) as (address, _):
        done = run(kit, tmp_path / "volume", address)
    assert done.returncode == Unreachable.exit_code
    assert f"The index {address} gave no file of other 2.1 that serves Python " in done.stderr
    assert "404" in done.stderr


def test_an_index_that_does_not_answer_is_told_in_one_sentence(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "kit", [SMALL])
    done = run(kit, tmp_path / "volume", "http://127.0.0.1:9/simple")
    assert done.returncode == Unreachable.exit_code
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("runner: The base's pip could not fetch the pinned pip: ")


def test_torch_comes_from_its_own_index(tmp_path: Path) -> None:
    torch = wheel("torch", "9.0", {"torch.py": b""})
    with serve([torch]) as (own, own_log):
        kit = Kit(tmp_path / "kit", [SMALL], torch=torch, torch_index=own)
        with serve([*kit.tools, SMALL]) as (address, log):
            done = run(kit, tmp_path / "volume", address)
    assert done.returncode == 0, done.stderr
    assert fetched(own_log) == [torch.name]
    assert SMALL.name in fetched(log)


def test_a_requirement_of_another_python_is_left_out(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "kit", [SMALL], lines=OTHER.requirement(" ; python_full_version < '3.0'"))
    with serve([*kit.tools, SMALL]) as (address, log):
        done = run(kit, tmp_path / "volume", address)
    assert done.returncode == 0, done.stderr
    assert "/simple/other/" not in log


def test_files_that_are_locked_no_more_do_not_stay(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "kit", [SMALL])
    folder = PackageFolder(str(tmp_path / "volume"), kit.recipe)
    os.makedirs(folder.wheels)
    (Path(folder.wheels) / "small-0.9-py3-none-any.whl").write_bytes(b"half")
    with serve([*kit.tools, SMALL]) as (address, _):
        assert run(kit, tmp_path / "volume", address).returncode == 0
    assert os.listdir(folder.wheels) == [SMALL.name]


@pytest.mark.parametrize(
    "more, error, words",
    [
        (
            {"unresolved": ["the commit of a-fork, which it is built from,", "the version of b in stack small"]},
            UnresolvedPin,
            "the commit of a-fork, which it is built from, and the version of b in stack small are unresolved in versions.lock,"
            " so the stack small cannot be installed. Run `python -m runner lock`",
        ),
        ({"python": "3.99"}, Unsupported, "small is locked for 3.99. Render with another base."),
        ({"tools_sha256": "1a" * 32}, InputError, "tools.txt is not the file that the recipe names by its sha256"),
    ],
    ids=["unresolved", "python", "tools"],
)
def test_what_cannot_be_fetched_is_refused_before_anything_is_asked(
    tmp_path: Path, more: dict[str, object], error: type[Exception], words: str
) -> None:
    kit = Kit(tmp_path / "kit", [SMALL], **more)
    with pytest.raises(error, match=re.escape(words)):
        packages.main(["--recipe", str(kit.recipe_folder), "--packages", str(tmp_path / "volume")])
    assert not (tmp_path / "volume").exists()


def test_a_changed_requirements_file_and_a_foreign_marker_are_refused(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "kit", [SMALL])
    folder = PackageFolder(str(tmp_path / "volume"), kit.recipe)
    os.makedirs(folder.path)
    Path(folder.marker).write_text('{"stack": "another"}')
    with pytest.raises(InputError, match="is not of this recipe. Remove the folder"):
        packages.main(["--recipe", str(kit.recipe_folder), "--packages", str(tmp_path / "volume")])
    (kit.folder / "images/cpu/requirements-cpu.txt").write_text(OTHER.requirement())
    with pytest.raises(InputError, match="requirements-cpu.txt is not the file that the recipe names"):
        package_folder.locked(kit.recipe, str(kit.recipe_folder))


def test_a_volume_that_takes_nothing_is_told(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "kit", [SMALL])
    (tmp_path / "volume").write_text("a file")
    with pytest.raises(PublishFailed, match="cannot be written: Not a directory"):
        packages.main(["--recipe", str(kit.recipe_folder), "--packages", str(tmp_path / "volume")])


@pytest.mark.parametrize("part", ["wheel", "missing", "more", "tool", "source", "commit"])
def test_what_was_damaged_after_the_marker_comes_again(tmp_path: Path, part: str) -> None:
    source = git_repository.make(tmp_path / "repository")
    kit, volume = Kit(tmp_path / "kit", [SMALL, OTHER], {"program": source}, programs=["program"]), tmp_path / "volume"
    folder = PackageFolder(str(volume), kit.recipe)
    damaged = {
        "wheel": Path(folder.wheels) / SMALL.name,
        "missing": Path(folder.wheels) / SMALL.name,
        "more": Path(folder.wheels) / "more-1.0-py3-none-any.whl",
        "tool": Path(folder.tools) / kit.tools[1].name,
        "source": Path(folder.source("program")) / "a0",
        "commit": Path(folder.commit("program")),
    }[part]
    with serve([*kit.tools, SMALL, OTHER]) as (address, log):
        assert run(kit, volume, address).returncode == 0
        del log[:]
        if part == "missing":
            damaged.unlink()
        else:
            damaged.write_bytes(b"other")
        done = run(kit, volume, address)
        assert done.returncode == 0, done.stderr
        again = {"wheel": [SMALL], "missing": [SMALL], "tool": kit.tools}.get(part, [])
        assert fetched(log) == sorted(one.name for one in again)
        assert f"what lies in {folder.path} is not all that is locked" in done.stderr
        assert "is not all that is locked" not in run(kit, volume, address).stderr
    whole = {file.name: file.read_bytes() for file in Path(folder.wheels).iterdir()}
    assert whole == {one.name: one.content for one in (SMALL, OTHER)}
    assert git_tree.tree_of(folder.source("program")) == source.tree


def test_a_folder_that_is_found_damaged_is_not_marked_until_it_is_whole(tmp_path: Path) -> None:
    kit, volume = Kit(tmp_path / "kit", [SMALL]), tmp_path / "volume"
    folder = PackageFolder(str(volume), kit.recipe)
    with serve([*kit.tools, SMALL]) as (address, _):
        assert run(kit, volume, address).returncode == 0
    (Path(folder.wheels) / SMALL.name).write_bytes(b"other")
    assert run(kit, volume, "http://127.0.0.1:9/simple").returncode == Unreachable.exit_code
    assert not folder.is_complete()


def test_a_file_that_does_not_fit_is_refused_before_it_comes(tmp_path: Path) -> None:
    kit, volume = Kit(tmp_path / "kit", [SMALL]), tmp_path / "volume"
    folder = PackageFolder(str(volume), kit.recipe)
    size = len(SMALL.content)
    # a process of its own, as pip is imported there; its disk has one byte less than the wheel needs
    program = (
        "import os, sys; from runner.bench.pods import packages; from runner.contract.errors import DoesNotFit\n"
        f"os.statvfs = lambda path: os.statvfs_result((1, 1, 1, {size - 1}, {size - 1}, 0, 0, 0, 0, 255))\n"
        "try:\n    packages.main(sys.argv[1:])\nexcept DoesNotFit as problem:\n    print(problem)"
    )
    with serve([*kit.tools, SMALL]) as (address, _):
        done = subprocess.run(
            [sys.executable, "-c", program, "--recipe", str(kit.recipe_folder), "--packages", str(volume)],
            capture_output=True,
            encoding="utf-8",
            cwd=ROOT,
            env=variables(address),
            timeout=HANG_S,
        )
    assert done.stdout == (
        f"{SMALL.name} needs {size:,} bytes in {folder.wheels}, where {size - 1:,} are free. Make the volume larger, and run the same"
        " command again.\n"
    ), done.stderr
    assert os.listdir(folder.wheels) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_reason_for_another_attempt(code: int) -> None:
    problem = package_folder.disk_problem(OSError(code, os.strerror(code), "/packages/x"), "/packages")
    assert type(problem) is DoesNotFit
    assert str(problem) == (
        f"/packages/x cannot be written: {os.strerror(code)}. Make the volume larger, and run the same command again."
    )
    assert type(package_folder.disk_problem(OSError(errno.EIO, "input/output error"), "/packages")) is PublishFailed
