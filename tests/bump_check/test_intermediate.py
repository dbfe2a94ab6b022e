"""Trees between base and head: which pins can be taken separately, and that each tree is whole and locked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import Lock
from runner.host.stacks import agreement, requirements
from tests.support import bumped_trees, planted_packages
from tests.support.planted_packages import Planted
from tools import pinned
from tools.bump_check.intermediate import REST, Between


def silent(text: str) -> None:
    pass


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bumped_trees.copy(tmp_path_factory.mktemp("trees") / "base")


def locked(package: str) -> str:
    text = (bumped_trees.ROOT / "images/cpu/requirements-cpu.txt").read_text()
    [version] = {pin.version for pin in requirements.read(text) if pin.name == package}
    return version


def harmless(package: str, demands: Sequence[str] = ()) -> Planted:
    version = pinned.version("cpu", package) if package in ("datasets", "transformers") else locked(package)
    return planted_packages.release(package, version, f"{version}.post1", demands=demands)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[dict[str, Planted]]:
    planted: dict[str, Planted] = {}
    for package, demanded in request.param.items():
        demands = [f"{other}=={locked(other)}.post1" for other in demanded]
        planted[package] = harmless(package, demands)
    with planted_packages.serve([*planted.values()]) as served:
        for name, value in served.variables().items():
            monkeypatch.setenv(name, value)
        yield planted


def head(base: Path, folder: Path, planted: dict[str, Planted]) -> Path:
    versions = {package: release.package.version for package, release in planted.items()}
    rows = {package: release for package, release in planted.items() if package in ("datasets", "transformers")}
    return bumped_trees.bump(base, folder, rows, {name: versions[name] for name in versions.keys() - rows.keys()})


def versions(tree: Path) -> dict[str, set[str]]:
    text = agreement.locked_text(lock_of(tree).stacks["cpu"].requirements, tree)
    found: dict[str, set[str]] = {}
    for pin in requirements.read(text):
        assert pin.hashes
        found.setdefault(pin.name, set()).add(pin.version)
    return found


def lock_of(tree: Path) -> Lock:
    return lockfile.read(tree / "versions.lock")


@pytest.mark.slow
@pytest.mark.parametrize("index", [{"datasets": (), "tqdm": (), "mpmath": ()}], indirect=True)
def test_each_package_that_moved_is_a_part_and_any_of_them_make_a_whole_tree(
    base: Path, tmp_path: Path, index: dict[str, Planted]
) -> None:
    moved = head(base, tmp_path / "head", index)
    between = Between(base, moved, ["cpu"], silent)
    assert set(between.space.order) == {"cpu/datasets", "tqdm", "mpmath"}
    assert all(between.space.needs[name] == {name} for name in between.space.order)
    tree = between.make(["cpu/datasets", "tqdm"], tmp_path)
    expected = {**versions(base), **{name: versions(moved)[name] for name in ("datasets", "tqdm")}}
    assert versions(tree) == expected
    pin = lock_of(tree).stacks["cpu"].packages["datasets"]
    assert (pin.version, pin.sha256) == ("5.2.0.post1", index["datasets"].package.sha256)
    assert lock_of(tree).stacks["cpu"].packages["transformers"] == lock_of(base).stacks["cpu"].packages["transformers"]
    assert not list(agreement.problems(lock_of(tree), tree))


@pytest.mark.slow
@pytest.mark.parametrize("index", [{"tqdm": ("mpmath",), "mpmath": (), "dill": ()}], indirect=True)
def test_a_package_takes_with_it_what_it_demands_and_not_the_other_way_round(
    base: Path, tmp_path: Path, index: dict[str, Planted]
) -> None:
    moved = head(base, tmp_path / "head", index)
    between = Between(base, moved, ["cpu"], silent)
    assert between.space.needs["tqdm"] == {"tqdm", "mpmath"}
    assert between.space.needs["mpmath"] == {"mpmath"}
    assert between.space.order.index("mpmath") < between.space.order.index("tqdm")
    assert versions(between.make(["mpmath"], tmp_path)) == {**versions(base), "mpmath": versions(moved)["mpmath"]}
    with pytest.raises(InputError, match="these versions do not go together"):
        between.make(["tqdm"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("index", [{"tqdm": ("mpmath",), "mpmath": ("tqdm",), "dill": ()}], indirect=True)
def test_packages_that_demand_each_other_are_one_part(base: Path, tmp_path: Path, index: dict[str, Planted]) -> None:
    between = Between(base, head(base, tmp_path / "head", index), ["cpu"], silent)
    assert set(between.space.order) == {"dill", "mpmath with tqdm"}
    assert between.parts["mpmath with tqdm"].packages == {"tqdm", "mpmath"}


@pytest.mark.slow
@pytest.mark.parametrize("index", [{"datasets": (), "tqdm": ()}], indirect=True)
def test_the_kit_s_own_code_is_a_part_beside_the_pins(base: Path, tmp_path: Path, index: dict[str, Planted]) -> None:
    moved = head(base, tmp_path / "head", index)
    with (moved / "runner" / "__init__.py").open("a") as file:
        file.write("# planted\n")
    between = Between(base, moved, ["cpu"], silent)
    assert between.space.order[-1] == REST and between.space.needs[REST] == {REST}
    trees = {name: between.make([name], tmp_path) for name in (REST, "tqdm")}
    planted = {name: "# planted" in (tree / "runner" / "__init__.py").read_text() for name, tree in trees.items()}
    assert planted == {REST: True, "tqdm": False}
    # a pin with the code and without it are two trees, though their locks are one
    both = between.make(["tqdm", REST], tmp_path)
    assert both != trees["tqdm"] and "# planted" in (both / "runner" / "__init__.py").read_text()
    assert versions(trees[REST]) == versions(base)
    assert lock_of(trees[REST]) == lock_of(base)


def test_trees_with_other_rows_are_refused(base: Path, tmp_path: Path) -> None:
    other = bumped_trees.copy(tmp_path / "other")
    path = other / "versions.lock"
    text = path.read_text()
    before, cpu = text.split("\n  cpu:\n")
    path.write_text(before + "\n  cpu:\n" + cpu.replace("      datasets:\n", "      dill:\n", 1))
    with pytest.raises(InputError, match="The stack cpu has a row for datasets, dill in one of the two locks only"):
        Between(base, other, ["cpu"], silent)


def test_trees_that_differ_in_nothing_have_no_part(base: Path) -> None:
    assert Between(base, base, ["cpu"], silent).space.order == ()


def test_a_file_of_torch_that_differs_where_torch_does_not_acts_in_images(base: Path, tmp_path: Path) -> None:
    other = bumped_trees.copy(tmp_path / "other")
    entry = lock_of(base).stacks["cpu"].torch
    assert entry is not None
    text = re.sub("--hash=sha256:[0-9a-f]{4}", "--hash=sha256:ffff", (other / entry.file).read_text(), count=1)
    (other / entry.file).write_text(text)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    lock_editor.edit(other / "versions.lock", {("stacks", "cpu", "torch", "sha256"): sha256})
    between = Between(base, other, ["cpu"], silent, in_images=True)
    assert between.space.order == (REST,)
    assert (between.make([REST], tmp_path) / entry.file).read_text() == text
    # an environment outside of images takes torch by version alone
    assert Between(base, other, ["cpu"], silent).space.order == ()


def test_the_recipe_of_an_image_acts_where_images_run(base: Path, tmp_path: Path) -> None:
    other = bumped_trees.copy(tmp_path / "other")
    with (other / "images" / "cpu" / "Dockerfile").open("a") as file:
        file.write("# planted\n")
    assert Between(base, other, ["cpu"], silent, in_images=True).space.order == (REST,)
    assert Between(base, other, ["cpu"], silent).space.order == ()
