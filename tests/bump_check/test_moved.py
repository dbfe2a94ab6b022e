"""Which pins differ between two locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.bump import rows
from runner.host.readers import lockfile
from tests.bump_check.stand_in import LOCK
from tools.bump_check import moved
from tools.bump_check.moved import MovedPin

HASH, OTHER = "a" * 64, "b" * 64


def requirement(name: str, version: str, digest: str = HASH, marker: str = "") -> str:
    return f"{name}=={version}{marker} \\\n    --hash=sha256:{digest}\n"


def test_every_leaf_that_differs_is_told_and_notes_are_no_pins() -> None:
    after = LOCK.replace("1.6.1", "1.7.0").replace("a note", "another note").replace("schema: 1", "schema: 2")
    after += "  new:\n    device: cpu\n"
    assert moved.between(LOCK, after) == [
        MovedPin("schema", "1", "2"),
        MovedPin("stacks.gaudi-1.10.packages.optimum-habana.version", "1.6.1", "1.7.0"),
        MovedPin("stacks.new.device", None, "cpu"),
    ]
    assert MovedPin("stacks.new.device", "cpu", None) in moved.between(after, LOCK)
    assert moved.between(LOCK, LOCK) == []


def test_a_lock_of_another_schema_is_told_as_far_as_it_is_yaml() -> None:
    older = "schema: 0\npins:\n  - torch: 2.0.1\n  - a\n"
    pins = moved.between(older, LOCK)
    assert MovedPin("pins.0.torch", "2.0.1", None) in pins and MovedPin("pins.1", "a", None) in pins
    with pytest.raises(InputError, match="the lock before:1"):
        moved.between("a: [", LOCK)


def test_the_kit_s_own_lock_is_the_same_as_itself() -> None:
    text = paths.LOCK.read_text(encoding="utf-8")
    assert moved.between(text, text) == []
    assert moved.leaves(text)[moved_torch()]


def moved_torch() -> str:
    return "stacks.cpu.packages.torch.version"


def test_packages_of_the_compiled_files_are_told_by_their_versions(tmp_path: Path) -> None:
    texts = {
        "before": requirement("numpy", "2.2.6")
        + requirement("anyio", "4.0", marker=" ; python_version < '3.11'")
        + requirement("anyio", "4.1", marker=" ; python_version >= '3.11'")
        + requirement("gone", "1")
        + requirement("rebuilt", "3"),
        "after": requirement("numpy", "2.3.0")
        + requirement("anyio", "4.2")
        + requirement("came", "1")
        + requirement("rebuilt", "3", OTHER),
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "versions.lock").write_text("requirements:\n  host:\n    file: host.txt\n")
        (tmp_path / name / "host.txt").write_text(text)
    assert moved.between_trees(tmp_path / "before", tmp_path / "after") == [
        MovedPin("host.txt: numpy", "2.2.6", "2.3.0"),
        MovedPin("host.txt: anyio", "4.0 (python_version < '3.11') and 4.1 (python_version >= '3.11')", "4.2"),
        MovedPin("host.txt: gone", "1", None),
        MovedPin("host.txt: rebuilt", "3", "3 (other hashes)"),
        MovedPin("host.txt: came", None, "1"),
    ]


@pytest.mark.parametrize(
    "where, is_read",
    [
        ("stacks.cpu.packages.torch.version", True),
        ("stacks.cpu.image.tag", True),
        ("images/cpu/requirements-cpu.txt: numpy", True),
        ("stacks.cpu.image.digest", False),
        ("requirements.host.sha256", False),
        ("models.bloom.files.model_00001.safetensors", False),
        ("sources.post.commit", True),
    ],
)
def test_hashes_move_with_what_people_read(where: str, is_read: bool) -> None:
    assert MovedPin(where, "a", "b").is_version is is_read


def test_a_summary_names_the_rows_and_counts_what_moved_with_them() -> None:
    datasets = MovedPin("stacks.cpu.packages.datasets.version", "5.2.0", "5.1.0")
    image = MovedPin("stacks.gaudi-1.10.image.tag", "1", "2")
    moved_too = [
        MovedPin("stacks.cpu.packages.datasets.sha256", "1", "2"),
        MovedPin("stacks.cpu.requirements.sha256", "1", "2"),
        MovedPin("images/cpu/requirements-cpu.txt: xxhash", None, "3.0"),
    ]
    said = "1 row moved: cpu/datasets 5.2.0 -> 5.1.0; 1 package and 2 hashes with it"
    assert moved.summary([datasets, *moved_too]) == said
    assert moved.summary([datasets, image]) == "2 rows moved: cpu/datasets 5.2.0 -> 5.1.0, gaudi-1.10/image 1 -> 2"
    assert moved.summary([MovedPin("schema", "1", "2")]) == "no row moved; 1 other value did"
    assert moved.summary([]) == "no pin moved"
    many = [MovedPin(f"tools.t{number}.version", "1", "2") for number in range(7)]
    assert moved.summary(many).startswith("7 rows moved: tools/t0 1 -> 2, ") and "2 more" in moved.summary(many)


def test_every_row_of_the_lock_that_moves_is_named_as_bump_names_it() -> None:
    lock = lockfile.read()
    leaves = moved.leaves(moved.lock_text(paths.ROOT))
    for row in rows.of_lock(lock):
        pins = [MovedPin(".".join(row.where) + rest, "1", "2") for rest in ROW_VALUES]
        assert any(pin.where in leaves and moved._row_of(pin) == row.name for pin in pins), row


# What stands behind a row's entry in the lock where its value stands.
ROW_VALUES = ("", ".version", ".tag", ".exclude_newer", ".revision", ".short", ".commit")
