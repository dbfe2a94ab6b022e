"""The map of the modules names what there is: every package and module of ``runner`` once, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path, PurePosixPath

import pytest

from docs import module_map

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(path.parent for path in (ROOT / "runner").rglob("__init__.py"))
# A name, two blanks deeper for each package around it; words that go on in their column are much deeper.
NAME = re.compile(r"^(?P<indent>(?:  ){0,5})(?P<name>[a-z0-9_]+/?) ")
# The rooms whose tests stand in the folder of the room around them.
WITHOUT_A_FOLDER = {"bench/parent/checks", "host/manifests/rules", "host/pins/origins", "host/report/sections"}


def named(text: str) -> list[str]:
    """Return the path of each package and module that a map names, a package with a slash at its end."""
    paths, around = [], []
    for line in text.splitlines():
        entry = NAME.match(line)
        if entry is None:
            continue
        around = around[: len(entry["indent"]) // 2]
        paths.append("".join([*around, entry["name"]]))
        if entry["name"].endswith("/"):
            around.append(entry["name"])
    return paths


def of_the_tree() -> list[str]:
    """Return the path of each package and module of ``runner``, as ``named`` returns them."""
    packages = [f"{package.relative_to(ROOT).as_posix()}/" for package in PACKAGES]
    modules = [path for path in (ROOT / "runner").rglob("*.py") if path.name != "__init__.py"]
    return sorted([*packages, *(path.relative_to(ROOT).with_suffix("").as_posix() for path in modules)])


def test_the_map_names_every_package_and_module_once() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = page.partition("<!-- begin modules -->")[2].partition("<!-- end modules -->")[0]
    assert sorted(named(text)) == of_the_tree(), "run `python -m docs.generate`"


def test_a_map_of_another_tree_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_map, "ROOT", tmp_path)
    (tmp_path / "kit" / "room").mkdir(parents=True)
    for name, docstring in (("", "A kit. No more."), ("room/", "A room: small. Nothing here sleeps. More.")):
        (tmp_path / "kit" / name / "__init__.py").write_text(f'"""{docstring}"""\n')
    (tmp_path / "kit" / "room" / "bed.py").write_text('"""The bed: with a blanket; and more. Another sentence."""\n')
    text = module_map.text(tmp_path / "kit")
    assert named(text) == ["kit/", "kit/room/", "kit/room/bed"]
    assert "A room: small. Nothing here sleeps.\n" in text and "The bed: with a blanket; and more.\n" in text
    (tmp_path / "kit" / "room" / "bed.py").write_text("")
    with pytest.raises(ValueError, match=r"bed\.py has no docstring"):
        module_map.text(tmp_path / "kit")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_says_what_may_not_be_in_it(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    _, may_not, *_ = re.split(r"(?<=\.)\s+", docstring)
    assert re.search(r"\b(no|nothing|never|none|only)\b", may_not, re.IGNORECASE), may_not


def test_every_room_has_a_folder_of_tests() -> None:
    rooms = {PurePosixPath(path).relative_to("runner").as_posix() for path in of_the_tree() if path.endswith("/")}
    lacking = {room for room in rooms if not (ROOT / "tests" / room).is_dir()}
    assert lacking == WITHOUT_A_FOLDER
