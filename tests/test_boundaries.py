"""The walls of the house: contract knows nobody, bench and host never meet, an image works without host."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import HANG_S

ROOT = Path(__file__).parents[1]

BLOCK = """
import importlib, pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if any(name == blocked or name.startswith(blocked + ".") for blocked in {blocked!r}):
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Block())
package = importlib.import_module({room!r})
for module in pkgutil.walk_packages(package.__path__, {room!r} + "."):
    importlib.import_module(module.name)
print(" ".join(sorted(sys.modules)))
"""


def import_all(room: str, blocked: list[str]) -> subprocess.CompletedProcess[str]:
    script = BLOCK.format(room=room, blocked=blocked)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", cwd=ROOT, timeout=HANG_S
    )


HEAVY = ["torch", "transformers", "deepspeed", "datasets", "tokenizers", "safetensors", "huggingface_hub"]
HOSTLY = ["yaml", "rich", "jsonschema", "scipy"]


@pytest.mark.parametrize(
    "room, blocked",
    [
        ("runner.contract", ["runner.bench", "runner.host", *HEAVY, *HOSTLY, "numpy"]),
        ("runner.bench", ["runner.host", *HEAVY, *HOSTLY, "numpy"]),
        ("runner.host", ["runner.bench", *HEAVY]),
    ],
)
def test_a_room_can_be_imported_without_the_others(room: str, blocked: list[str]) -> None:
    done = import_all(room, blocked)
    assert done.returncode == 0, done.stderr
    assert f"{room}." in done.stdout


@pytest.mark.parametrize("room, blocked", [("runner.bench", ["runner.contract"]), ("runner.host", ["yaml"])])
def test_the_block_blocks(room: str, blocked: list[str]) -> None:
    done = import_all(room, blocked)
    assert done.returncode != 0
    assert f"blocked: {blocked[0]}" in done.stderr


def test_contract_uses_the_standard_library_alone() -> None:
    allowed = {*sys.stdlib_module_names, "runner"}
    for path in (ROOT / "runner" / "contract").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path


def test_an_image_without_host_measures_and_says_what_it_has_not(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "runner", tmp_path / "runner", ignore=shutil.ignore_patterns("host", "catalog", "__pycache__")
    )

    def runner(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "runner", *arguments]
        return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=HANG_S)

    assert runner("bench", "--help").returncode == 0
    refused = runner("compare")
    assert refused.returncode == 2
    assert "The verb compare runs outside the container; this image holds only bench" in refused.stderr


def test_the_seed_of_every_heavy_import_is_inside_a_function() -> None:
    """The parent process must start at once and hold no memory of the device's libraries."""
    for path in (ROOT / "runner" / "bench").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & set(HEAVY), path


def test_no_test_imports_a_test() -> None:
    """What two tests need lies in tests/support, or beside both in a module of their folder."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests"):
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                assert not [name for name in names if name.startswith("test_")], f"{path}:{node.lineno}"
