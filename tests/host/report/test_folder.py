from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.contract import strictjson
from runner.contract.errors import InputError
from runner.host.figures import svg
from runner.host.report import folder, page
from runner.host.report.page import FilledSection
from tests.examples.made_up import MadeUp
from tests.support.materials import made_up_material, material


@dataclass(frozen=True)
class Inner:
    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Record:
    inner: list[Inner]
    by_name: dict[str, float | None] = field(default_factory=dict)


def write(out: Path, *names: str, page: str = "a page") -> int:
    facts = folder.data(material(), [])
    return folder.write(out, facts, {f"figures/{name}.svg": name.encode() for name in names}, page.encode())


def files(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}


def test_every_file_is_listed_with_its_sha256(tmp_path: Path) -> None:
    size = write(tmp_path / "out", "a", "b")
    found = files(tmp_path / "out")
    listed = json.loads(found["report.json"])["files"]
    assert {*listed, "report.json"} == set(found)
    assert size == sum(len(text.encode()) for text in found.values())
    for name, sha256 in listed.items():
        assert folder.files.sha256_of_file(tmp_path / "out" / name) == sha256


def test_what_an_earlier_report_wrote_and_this_one_has_not_is_removed(tmp_path: Path) -> None:
    write(tmp_path, "old", "both")
    write(tmp_path, "both", "new")
    assert set(files(tmp_path)) == {"index.html", "report.json", "figures/both.svg", "figures/new.svg"}


def test_files_of_others_stay_and_so_do_changed_ones(tmp_path: Path) -> None:
    write(tmp_path, "old")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "figures" / "mine.svg").write_text("mine")
    (tmp_path / "figures" / "old.svg").write_text("changed by hand")
    write(tmp_path, "new")
    found = files(tmp_path)
    assert (found["notes.txt"], found["figures/mine.svg"]) == ("mine", "mine")
    assert found["figures/old.svg"] == "changed by hand"


@pytest.mark.parametrize("name", ["../outside", "notes.txt", "figures/../notes.txt", "figures/x.py", "/etc/hostname"])
def test_a_foreign_list_of_files_removes_nothing_else(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "outside").write_text("x")
    (out / "notes.txt").write_text("x")
    (out / "figures").mkdir()
    (out / "figures" / "x.py").write_text("x")
    sha256 = folder.hashlib.sha256(b"x").hexdigest()
    (out / "report.json").write_text(json.dumps({"kind": "report", "files": {name: sha256}}))
    folder.check(out)
    write(out)
    assert (tmp_path / "outside").exists() and (out / "notes.txt").exists() and (out / "figures" / "x.py").exists()


@pytest.mark.parametrize("told", ["{", "[]", '{"kind": "result"}', '{"kind": ["report"]}', "\ud800"])
def test_a_folder_of_others_is_refused_and_nothing_in_it_is_changed(tmp_path: Path, told: str) -> None:
    (tmp_path / "index.html").write_text("somebody's page")
    (tmp_path / "report.json").write_bytes(told.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match="holds files, and no report.json of an earlier report"):
        folder.check(tmp_path)
    assert (tmp_path / "index.html").read_text() == "somebody's page"


def test_a_list_that_is_none_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"kind": "report", "files": ["index.html"]}')
    (tmp_path / "launches.csv").write_text("x")
    folder.check(tmp_path)
    write(tmp_path)
    assert files(tmp_path)["launches.csv"] == "x"


def test_a_folder_that_is_none_empty_or_missing(tmp_path: Path) -> None:
    folder.check(tmp_path)
    folder.check(tmp_path / "missing" / "deep")
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        with pytest.raises(InputError, match=r"file is no folder\. Name another folder with --out"):
            folder.check(tmp_path / place)
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "file" / "below")


def test_a_folder_that_may_not_be_written_to_is_said_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # root, which runs tests in containers, may write everywhere
    monkeypatch.setattr(folder.os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"may not be written to by user [0-9]+\. Name another folder with --out"):
        folder.check(tmp_path / "missing" / "deep")


def test_an_interruption_leaves_the_earlier_page_and_the_next_report_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a", page="the first")
    real = folder.writing.write_bytes

    def interrupted(path: Path, content: bytes, advice: str, lasts: bool) -> None:
        if path.suffix == ".svg":
            raise KeyboardInterrupt
        real(path, content, advice, lasts)

    with monkeypatch.context() as patched:
        patched.setattr(folder.writing, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, "b", page="the second")
    assert (tmp_path / "index.html").read_text() == "the first"
    folder.check(tmp_path)
    write(tmp_path, "c", page="the third")
    found = files(tmp_path)
    assert found["index.html"] == "the third" and "figures/c.svg" in found


def test_records_become_strict_json() -> None:
    record = Record([Inner("x", (1.5, 2.0))], {"a": None})
    facts = folder.data(material(), [FilledSection("cells", None, record, {})])
    told = strictjson.loads(strictjson.pretty(facts).encode(), "a test")
    assert told["sections"] == {
        "cells": {"inner": [{"name": "x", "values": [1.5, 2.0]}], "by_name": {"a": None}},
    }
    assert (told["kind"], told["schema"]) == ("report", 1)


def test_a_path_that_is_no_text_becomes_visible_in_json() -> None:
    record = Inner("r\udcffsult", ())
    facts = folder.data(material(), [FilledSection("cells", None, record, {})])
    assert strictjson.loads(strictjson.pretty(facts).encode(), "a test")["sections"]["cells"]["name"] == "r\\udcffsult"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_a_defect(value: float) -> None:
    facts = folder.data(material(), [FilledSection("cells", None, Inner("x", (value,)), {})])
    with pytest.raises(ValueError, match="JSON compliant"):
        strictjson.pretty(facts)


def test_what_json_cannot_hold_is_a_defect() -> None:
    with pytest.raises(TypeError, match="a section holds a set"):
        folder.data(material(), [FilledSection("cells", None, Record([], {"a": {1}}), {})])  # type: ignore[dict-item]


def test_each_figure_is_a_file_of_its_name() -> None:
    figure = svg.Figure("a-figure", 100, 50, "a title", "described", (svg.circle(1, 2, 3, "launch"),))
    parts = [FilledSection("cells", None, None, {"a-figure": figure})]
    assert dict(folder.pictures(parts, False)) == {"figures/a-figure.svg": svg.document(figure).encode()}
    both = dict(folder.pictures(parts, True))
    assert both["figures/a-figure.png"].startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("name", ["../x", "", "a b", "a/b", "ü"])
def test_a_figure_whose_name_is_no_file_is_a_defect(name: str) -> None:
    parts = [FilledSection("cells", None, None, {name: svg.Figure(name, 1, 1, "t", "d", ())})]
    with pytest.raises(ValueError, match="can be no file's name"):
        list(folder.pictures(parts, False))


def test_the_figures_of_a_case_whose_name_has_a_dot_are_files(tmp_path: Path) -> None:
    many = [MadeUp("gaudi2-8-bloomz-1.24"), MadeUp("gaudi2-8-bloomz-1.24", packages={"torch": "0.0.1"})]
    of = made_up_material(tmp_path, *many)
    names = [name for name, _ in folder.pictures(page.filled(of), False)]
    assert "figures/history-1-gaudi2-8-bloomz-1.24.svg" in names
    assert len(names) == len(set(names))
