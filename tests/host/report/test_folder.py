from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


def stop_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Have Ctrl-C come once so many files were written."""
    real, left = folder.writing.write_bytes, iter(range(writes))

    def write_bytes(*arguments: Any, **named: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(*arguments, **named)

    monkeypatch.setattr(folder.writing, "write_bytes", write_bytes)


def listed_files(out: Path) -> dict[str, str]:
    """Return the files that the data describes: none where the folder holds no data."""
    listed: dict[str, str] = json.loads((out / "report.json").read_text()).get("files", {})
    return listed


# The list, two figures, the page, the data: after the fifth the report is whole.
@pytest.mark.parametrize("writes", range(5))
@pytest.mark.parametrize("times", [1, 2])
def test_wherever_a_report_is_cut_off_the_next_removes_what_only_that_and_earlier_ones_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, times: int
) -> None:
    facts = folder.data(material(), [])
    folder.write(tmp_path, facts, {"figures/old.svg": b"old", "figures/both.svg": b"old"}, b"the first")
    (tmp_path / "notes.txt").write_text("mine")
    for time in range(times):
        new = f"cut off {time}".encode()
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            stop_after(patched, writes)
            folder.write(tmp_path, facts, {"figures/both.svg": new, f"figures/new-{time}.svg": new}, new)
        found = files(tmp_path)
        # the page is whole, and so are the files that it names
        if writes < 4:
            assert found["index.html"] == "the first" and "figures/old.svg" in found
        else:
            assert found["index.html"] == f"cut off {time}" and f"figures/new-{time}.svg" in found
        for name, sha256 in listed_files(tmp_path).items():
            assert folder.files.sha256_of_file(tmp_path / name) == sha256
    folder.check(tmp_path)
    write(tmp_path, "last", page="the last")
    assert set(files(tmp_path)) == {"index.html", "report.json", "figures/last.svg", "notes.txt"}
    assert set(listed_files(tmp_path)) == {"index.html", "figures/last.svg"}


@pytest.mark.parametrize(
    "listed", [5, ["a"], {"launches.csv": 5}, {"launches.csv": [5, None, {}]}, {"a name of others": 5}]
)
def test_a_foreign_list_of_an_unfinished_report_removes_nothing(tmp_path: Path, listed: object) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"kind": "report", "unfinished": listed}))
    (tmp_path / "launches.csv").write_text("x")
    folder.check(tmp_path)
    write(tmp_path)
    assert files(tmp_path)["launches.csv"] == "x"


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
