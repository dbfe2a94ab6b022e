"""The planted slips: what is said of one that no check notices, and of one that lost its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slips import __main__ as slips
from tests.slips.planted import KINDS, SLIPS, Slip

HARMLESS = Slip("a value of another type", "tests/slips/__init__.py", "planted one at a time", "planted two at a time")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Plant in a folder of the test's own: tests run beside each other."""
    monkeypatch.setattr(slips, "FOLDER", tmp_path / "slips")


def test_every_kind_of_slip_is_planted() -> None:
    assert {slip.kind for slip in SLIPS} == set(KINDS)
    assert len(SLIPS) == len({(slip.file, slip.before, slip.after) for slip in SLIPS})


def test_the_text_of_every_slip_stands_once_in_its_file() -> None:
    """A slip that lost its place would be noticed only by `make slips`, which is slow."""
    assert [
        slip for slip in SLIPS if (slips.ROOT / slip.file).read_text(encoding="utf-8").count(slip.before) != 1
    ] == []


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("tests/slips/__init__.py", "The text 'no such text' stands 0 times in tests/slips/__init__.py."),
        ("tests/slips/gone.py", "The text 'no such text' has no file tests/slips/gone.py any more."),
    ],
)
def test_a_slip_that_lost_its_place_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: str, told: str
) -> None:
    monkeypatch.setattr(slips, "SLIPS", [Slip(KINDS[0], file, "no such text", "")])
    assert slips.main([]) == 2
    assert f"{told} Give the slip another place" in capsys.readouterr().err


def test_an_unknown_kind_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert slips.main(["a comma"]) == 2
    assert "No kind of slips is called so. The kinds are: " in capsys.readouterr().err


@pytest.mark.slow
def test_a_slip_that_no_check_notices_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slips, "SLIPS", [HARMLESS])
    assert slips.main([]) == 1
    said = capsys.readouterr()
    assert "UNNOTICED" in said.out and "1 slips of 1 kinds, 0 noticed" in said.out
    assert "slips: 1 of 1 went unnoticed." in said.err


def test_a_slip_that_is_no_python_proves_nothing() -> None:
    path = slips.FOLDER / "a.py"
    path.parent.mkdir()
    path.write_text("left = right\n")
    slip = Slip(KINDS[0], "a.py", "= right", "= right)")
    with pytest.raises(slips.Unusable, match="no Python in a.py.* Any tool notices that"):
        slips._try(slip, iter([1]))
    assert path.read_text() == "left = right\n"
