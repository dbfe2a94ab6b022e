"""The environments of the sides: from which files they are made, what is taken, and what never is.

A small index on loopback serves packages that are made here; uv and this Python are real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import InputError, Unreachable, Unsupported
from runner.host.pins import pip_settings
from tests.support import package_index
from tests.support.package_index import Package
from tools.bump_check import environments

# A setuptools that makes one wheel, in which the torch that it was built beside is told.
BACKEND = """
import base64, hashlib, pathlib, zipfile
import torch

class Legacy:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def build_wheel(self, wheel_directory, config_settings=None, metadata_directory=None):
        files = {
            "deepspeed.py": f"VERSION = {torch.VERSION!r}",
            "deepspeed-0.1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: deepspeed\\nVersion: 0.1\\n",
            "deepspeed-0.1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: a\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        }
        files["deepspeed-0.1.dist-info/RECORD"] = "".join(f"{name},,\\n" for name in files)
        name = "deepspeed-0.1-py3-none-any.whl"
        with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        return name

__legacy__ = Legacy()
"""


def wheel(project: str, version: str) -> Package:
    return package_index.wheel(project, version, {f"{project}/__init__.py": f"VERSION = {version!r}\n".encode()})


PACKAGES = {
    "requirements/build.txt": [wheel("tool", "1.0")],
    "requirements/host.txt": [wheel("reader", "1.0")],
    "images/cpu/requirements-cpu.txt": [wheel("transformers", "1.0")],
}
SETUPTOOLS = package_index.wheel(
    "setuptools", "1.0", {"setuptools/__init__.py": b"", "setuptools/build_meta.py": BACKEND.encode()}
)
SOURCE = package_index.source_distribution("deepspeed", "0.1", "raise SystemExit('setup.py is not run')")
TORCHES = [wheel("torch", "2.0"), wheel("torch", "2.1")]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve the packages, and keep environments below the test's folder; yield what the index was asked."""
    served = [
        *TORCHES,
        *(package for each in PACKAGES.values() for package in each),
        wheel("reader", "2.0"),
        SETUPTOOLS,
        SOURCE,
    ]
    with package_index.serve(served) as (address, asked):
        for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        pip_settings._settings_under.cache_clear()
        yield asked
    pip_settings._settings_under.cache_clear()


def tree(folder: Path, torch: str = "2.0", packages: dict[str, list[Package]] | None = None) -> Path:
    for name, each in {**PACKAGES, **(packages or {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(package.requirement() for package in each))
    (folder / "versions.lock").write_text(f"stacks:\n  cpu:\n    packages:\n      torch:\n        version: {torch}\n")
    return folder


def version_in(python: Path, module: str) -> str:
    command = [str(python), "-c", f"import {module}; print({module}.VERSION)"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.strip()


def quiet(_text: str) -> None:
    pass


def test_an_environment_holds_what_its_tree_locks_and_nothing_of_this_one(log: list[str], tmp_path: Path) -> None:
    python = environments.make(tree(tmp_path / "a"), quiet)
    assert {name: version_in(python, name) for name in ("torch", "tool", "reader", "transformers")} == {
        "torch": "2.0",
        "tool": "1.0",
        "reader": "1.0",
        "transformers": "1.0",
    }
    listed = sorted(path.name for path in python.parents[1].glob("lib/python*/site-packages/*"))
    assert not [name for name in listed if name.endswith(".pth") or name in ("pip", "pytest")]
    assert json.loads((python.parents[1] / environments.STAMP).read_text())["torch"] == "2.0"


def test_the_same_files_give_the_same_environment_and_others_another(log: list[str], tmp_path: Path) -> None:
    first = environments.make(tree(tmp_path / "a"), quiet)
    del log[:]
    assert environments.make(tree(tmp_path / "b"), quiet) == first and log == []
    other_torch = environments.make(tree(tmp_path / "c", torch="2.1"), quiet)
    moved = environments.make(tree(tmp_path / "d", packages={"requirements/host.txt": [wheel("reader", "2.0")]}), quiet)
    assert len({first, other_torch, moved}) == 3
    assert version_in(other_torch, "torch") == "2.1" and version_in(moved, "reader") == "2.0"
    assert version_in(first, "torch") == "2.0"


def test_a_half_made_environment_is_never_taken(log: list[str], tmp_path: Path) -> None:
    broken = tree(tmp_path / "a", packages={"images/cpu/requirements-cpu.txt": [wheel("gone", "1.0")]})
    with pytest.raises(InputError, match="gone"):
        environments.make(broken, quiet)
    folder = environments.cache() / environments.key(environments.locked(broken))
    assert (folder / "bin" / "python").exists() and not (folder / environments.STAMP).exists()
    (folder / "left-over").touch()
    with pytest.raises(InputError, match="gone"):
        environments.make(broken, quiet)
    assert not (folder / "left-over").exists()


def test_a_file_that_is_not_the_locked_one_is_refused(log: list[str], tmp_path: Path) -> None:
    other = wheel("reader", "1.0")
    changed = Package(other.project, other.version, other.name, other.content + b" ")
    with pytest.raises(InputError, match="a file is not the one that was locked"):
        environments.make(tree(tmp_path / "a", packages={"requirements/host.txt": [changed]}), quiet)


def test_an_index_that_is_not_there_is_another_error(
    log: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(Unreachable, match="it did not answer"):
        environments.make(tree(tmp_path / "a"), quiet)


def test_a_source_is_built_beside_the_torch_of_its_own_environment(log: list[str], tmp_path: Path) -> None:
    packages = {
        "requirements/build.txt": [SETUPTOOLS],
        "images/cpu/requirements-cpu.txt": [*PACKAGES["images/cpu/requirements-cpu.txt"], SOURCE],
    }
    for torch in ("2.0", "2.1"):
        python = environments.make(tree(tmp_path / torch, torch=torch, packages=packages), quiet)
        assert version_in(python, "deepspeed") == torch, "uv's cache held what was built beside another torch"


def test_a_tree_without_the_layers_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="requirements/build.txt cannot be read"):
        environments.locked(tmp_path)
    whole = tree(tmp_path / "a")
    (whole / "versions.lock").write_text("stacks:\n  cpu:\n    device: cpu\n")
    with pytest.raises(InputError, match="pins no torch for the CPU"):
        environments.locked(whole)


def test_this_environment_is_taken_for_a_tree_that_locks_what_it_holds() -> None:
    root = Path(__file__).parents[2]
    wanted = environments.locked(root)
    assert environments._is_this_one(wanted)
    assert not environments._is_this_one(replace(wanted, torch="0.0.1"))
    text = wanted.layers["requirements/host.txt"]
    assert not environments._is_this_one(
        replace(wanted, layers={**wanted.layers, "requirements/host.txt": text + wheel("nothing", "1").requirement()})
    )


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        InputError, match="cannot keep an environment: Not a directory.* Name another place in XDG_CACHE_HOME"
    ):
        environments.make(tree(tmp_path / "a"), quiet)


def test_another_index_is_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = environments.locked(Path(__file__).parents[2])
    pip_settings._settings_under.cache_clear()
    first = environments.key(wanted)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://user:secret@index.invalid/simple")
    assert environments.key(wanted) != first and "secret" not in environments.key(wanted)


STACK = """
import os, pathlib, sys
stack, folder = sys.argv[1:]
if stack == "none":
    sys.exit(10)
print("installing", stack)
(pathlib.Path(folder) / "bin").mkdir(parents=True, exist_ok=True)
"""


def test_the_environment_of_another_stack_is_made_by_the_tree_s_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = tree(tmp_path / "a")
    (whole / "tools").mkdir()
    (whole / "tools" / "stack_environment.py").write_text(STACK)
    (whole / "cuda.txt").write_text("a")
    lock = "stacks:\n  cuda:\n    python: 3.12\n    requirements:\n      file: cuda.txt\n"
    (whole / "versions.lock").write_text(lock)
    first = environments.of_stack(whole, "cuda", Path(sys.executable), quiet)
    assert first.parents[1].name.startswith("cuda-") and first.parent.is_dir()
    captured = capfd.readouterr()
    assert captured.out == "" and "installing cuda" in captured.err
    (whole / "cuda.txt").write_text("b")
    assert environments.of_stack(whole, "cuda", Path(sys.executable), quiet) != first
    with pytest.raises(Unsupported, match="The environment of the stack none could not be made"):
        environments.of_stack(whole, "none", Path(sys.executable), quiet)
