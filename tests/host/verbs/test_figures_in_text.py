"""The figures that ``compare`` and ``claims`` print, on a terminal and to a pipe, read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.contract import result as contract
from runner.contract import strictjson
from runner.host.judging.text_figures import ASCII, UNICODE
from tests.support import samples, terminal
from tests.support.groups import of_launches
from tests.support.patience import HANG_S

LATENCIES_S = (3.01, 3.10, 3.12, 3.20, 3.33)


def write(path: Path, *latencies_s: float, attempt: str = "20261122T100000Z-0123abcd") -> Path:
    """Write a whole result of the published 176B cell on Gaudi2 with one launch for each latency."""
    body, request = of_launches(*latencies_s)
    body["request"] = replace(request, launches=len(latencies_s)).to_json()
    body["attempt"].update(id=attempt)
    for launch in body["launches"]:
        latency_s = launch["estimate"]["latency_s"]
        launch["timed"] = {**launch["timed"], "iterations_s": [latency_s] * 5, "span_s": latency_s * 5}
    path.write_text(strictjson.pretty(contract.seal(body)))
    return path


def environment(**more: str) -> Mapping[str, str]:
    return {**{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}, **more}


def piped(*arguments: str | Path, **more: str) -> list[str]:
    """Return what a verb prints into a pipe."""
    command = [sys.executable, "-m", "runner", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environment(**more), timeout=HANG_S, check=True
    )
    return done.stdout.splitlines()


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    """Return what a verb prints in this process, where no terminal is."""
    assert main([*map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


def on_a_terminal(columns: int, *arguments: str | Path, **more: str) -> tuple[bytes, list[str]]:
    """Return what a verb writes to a terminal, and what the terminal's screen shows."""
    with terminal.opened(columns) as opened:
        process = terminal.start([sys.executable, "-m", "runner", *map(str, arguments)], opened, environment(**more))
        assert process.wait(HANG_S) == 0
    written = opened.read()
    return written, terminal.screen(written, columns)


def figure(lines: list[str], label: str) -> list[str]:
    """Return the rows of a figure of one line: launches, interval, axis, numbers, what the marks mean."""
    start = lines.index(next(line for line in lines if line.startswith(f"  {label}")))
    return lines[start : start + 5]


def read_back(rows: list[str], launch: str) -> list[float]:
    """Return the values of the launches by the first and the last number of the axis, to the width of a column."""
    told = rows[3].split()[-1], rows[3].split("published", 1)[1].split()[0]
    places = [rows[3].rindex(text) + len(text) // 2 for text in told]
    column = (float(told[0]) - float(told[1])) / (places[0] - places[1])
    left = len(rows[2]) - len(rows[2].lstrip())
    marked = [place for place, mark in enumerate(rows[0]) if mark == launch and place >= left]
    return [float(told[0]) + (place - places[0]) * column for place in marked]


@pytest.mark.parametrize("columns", [80, 200])
def test_a_terminal_gets_a_figure_as_wide_as_itself(tmp_path: Path, columns: int) -> None:
    path = write(tmp_path / "r.json", *LATENCIES_S)
    rows = figure(on_a_terminal(columns, "compare", path)[1], "8 x gaudi2, bloomz")
    assert len(rows[2]) == columns
    assert rows[1].startswith("  INCONCLUSIVE ")
    found = read_back(rows, UNICODE.launch)
    wanted = [latency_s / 3.103 for latency_s in LATENCIES_S]
    assert found == [pytest.approx(value, abs=1.5 * (max(wanted) - min(wanted)) / (columns - 60)) for value in wanted]


def test_a_terminal_wider_than_200_columns_gets_a_figure_of_200(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", *LATENCIES_S)
    assert len(figure(on_a_terminal(260, "compare", path)[1], "8 x gaudi2, bloomz")[2]) == 200


def test_a_terminal_too_narrow_for_a_figure_gets_the_table_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", *LATENCIES_S)
    shown = on_a_terminal(40, "compare", path)[1]
    assert any("INCONCLUSIVE" in line for line in shown)
    assert not any(UNICODE.launch in line for line in shown)


def test_a_figure_has_no_colour_and_is_the_same_in_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "r.json", *LATENCIES_S)
    written, shown = on_a_terminal(80, "compare", path)
    drawn = [line for line in written.decode().splitlines() if UNICODE.band in line]
    assert len(drawn) == 3 and not any("\x1b" in line for line in drawn)
    label = "8 x gaudi2, bloomz"
    assert figure(shown, label) == figure(printed(capsys, "compare", path), label)


def test_a_character_set_without_the_marks_gets_plain_ascii(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", *LATENCIES_S)
    lines = piped("compare", path, PYTHONIOENCODING="ascii")
    assert "\n".join(lines).isascii()
    rows = figure(lines, "8 x gaudi2, bloomz")
    assert len(read_back(rows, ASCII.launch)) == len(LATENCIES_S)
    assert rows[4] == "o launch; [-] 90% interval; | published; ~ margin"
    claims = piped("claims", PYTHONIOENCODING="ascii")
    assert any(line.startswith("8 x gaudi2, bloomz, bfloat16") and " 58% ######" in line for line in claims)


def test_a_walk_through_says_so_under_every_one_of_its_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_text(strictjson.pretty(samples.result()))
    lines = printed(capsys, "compare", tmp_path / "r.json")
    assert "1 x cpu, bloom-tiny, beside" in lines
    rows = figure(lines, "1 x gaudi2, bloomz-7b1")
    assert UNICODE.launch in rows[0] and rows[1].startswith("  walk-through, not a reproduction ")


def test_what_compares_with_no_cell_has_an_axis_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "cell.json", *LATENCIES_S, attempt="20261123T100000Z-0123abcd")
    (tmp_path / "walk.json").write_text(strictjson.pretty(samples.result()))
    lines = printed(capsys, "compare", tmp_path)
    assert sum(line.startswith("  measured / published") for line in lines) == 2
    assert read_back(figure(lines, "8 x gaudi2, bloomz"), UNICODE.launch) == [
        pytest.approx(latency_s / 3.103, abs=0.005) for latency_s in LATENCIES_S
    ]


def test_run_against_run_draws_the_ratio_with_its_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write(tmp_path / "before.json", 3.10, 3.11, 3.09)
    after = write(tmp_path / "after.json", 3.20, 3.21, 3.19, attempt="20261123T100000Z-0123abcd")
    lines = printed(capsys, "compare", after, "--against", before)
    rows = figure(lines, "gaudi2-8-bloomz ")
    assert rows[1].startswith("  CHANGED ") and rows[3].startswith("  after / before")
    assert rows[0].count(UNICODE.launch) == 1
    place = rows[0].index(UNICODE.launch)
    assert rows[1].index(UNICODE.left) < place < rows[1].index(UNICODE.right)
    assert rows[0].index(UNICODE.mark) < place
    assert rows[4] == "● ratio; ├─┤ 90% interval; │ no change; ░ margin"


def test_one_launch_a_side_has_no_interval_and_no_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write(tmp_path / "before.json", 3.10)
    after = write(tmp_path / "after.json", 3.20, attempt="20261123T100000Z-0123abcd")
    assert not any(UNICODE.launch in line for line in printed(capsys, "compare", after, "--against", before))


def test_programs_get_no_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "r.json", *LATENCIES_S)
    (row,) = json.loads("".join(printed(capsys, "compare", path, "--json")))["rows"]
    assert row["verdict"]["word"] == "INCONCLUSIVE"


@pytest.mark.parametrize("columns", [80, 200])
def test_every_share_of_the_memory_floor_is_a_bar(columns: int) -> None:
    shown = on_a_terminal(columns, "claims")[1]
    rows = [line for line in shown if UNICODE.full in line]
    assert len(rows) >= 20 and max(map(len, shown[3:11])) <= 80 + 24 * (columns > 80)
    for row in rows:
        share = float(row.partition("%")[0].split()[-1]) / 100
        bar = row.partition("% ")[2].partition("  ")[0]
        part = next((UNICODE.eighths.index(mark) + 1 for mark in bar if mark in UNICODE.eighths), 0)
        assert (bar.count(UNICODE.full) + part / 8) / len(bar) == pytest.approx(share, abs=0.005 + 0.07 / len(bar))
