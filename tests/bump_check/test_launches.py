"""Sides are measured in turn: the order, what fails, what is stopped, and what goes on."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import Interrupted
from runner.contract.request import Dataset
from tests.bump_check import stand_in
from tests.support import patience, samples
from tools.bump_check import launches
from tools.bump_check.launches import Measured
from tools.bump_check.sides import Side

ROOT = Path(__file__).parents[2]


def both(
    tmp_path: Path, base: Mapping[str, Any] | None = None, head: Mapping[str, Any] | None = None
) -> tuple[Side, Side]:
    log = tmp_path / "log"
    return stand_in.side(tmp_path, "base", log, **(base or {})), stand_in.side(tmp_path, "head", log, **(head or {}))


def measured(tmp_path: Path, sides: tuple[Side, ...], cases: tuple[str, ...] = ("cpu-1",), number: int = 3) -> Measured:
    shown: list[str] = []
    done = launches.measure(sides, cases, number, tmp_path / "out", shown.append)
    (tmp_path / "shown").write_text("\n".join(shown))
    return done


def names(tmp_path: Path) -> str:
    return "".join(name[0] for name, *_ in stand_in.logged(tmp_path / "log", "bench"))


def test_launches_come_in_the_order_a_b_b_a() -> None:
    assert "".join(name for name, _ in launches.order("ab", 5)) == "abbaabbaab"
    assert [number for _, number in launches.order("ab", 2)] == [1, 1, 2, 2]
    assert "".join(name for name, _ in launches.order("abc", 3)) == "abccbaabc"


def test_the_first_launch_says_that_the_time_is_told_after_it(tmp_path: Path) -> None:
    measured(tmp_path, both(tmp_path), number=1)
    first, second = (tmp_path / "shown").read_text().splitlines()
    assert first == "launch 1 of 2: cpu-1, base, 1 of 1; how long all take is told after it"
    assert second.startswith("launch 2 of 2: cpu-1, head, 1 of 1, about ") and second.endswith(" left")


def test_one_case_after_the_other_is_measured_in_turn_by_one_bench_a_launch(tmp_path: Path) -> None:
    done = measured(tmp_path, both(tmp_path), ("cpu-1", "cpu-2"))
    assert stand_in.logged(tmp_path / "log", "bench") == [
        [side, case] for case in ("cpu-1", "cpu-2") for side in ("base", "head", "head", "base", "base", "head")
    ]
    assert [(each.side, each.case, each.number) for each in done.outcomes[:3]] == [
        ("base", "cpu-1", 1),
        ("head", "cpu-1", 1),
        ("head", "cpu-1", 2),
    ]
    assert all(each.error is None and each.result and Path(each.result).is_file() for each in done.outcomes)
    for side, folder in done.results.items():
        compared = sorted(path.name for path in folder.iterdir())
        assert compared == sorted(Path(str(each.result)).name for each in done.outcomes if each.side == side)
    assert done.kinds == {"cpu-1": "cpu", "cpu-2": "cpu"}
    shown = (tmp_path / "shown").read_text()
    assert (
        "launch 1 of 12: cpu-1, base, 1 of 3; how long" in shown
        and "launch 12 of 12: cpu-2, head, 3 of 3, about" in shown
    )


def test_each_side_s_own_code_makes_its_request(tmp_path: Path) -> None:
    measured(tmp_path, both(tmp_path))
    assert stand_in.logged(tmp_path / "log", "request") == [["base", "cpu-1"], ["head", "cpu-1"]]


def test_a_failed_launch_is_said_and_the_other_side_goes_on(tmp_path: Path) -> None:
    done = measured(tmp_path, both(tmp_path, head={"launch_fails": [["cpu-1", 2]]}))
    assert names(tmp_path) == "bhhbbh"
    (failed,) = done.failed("head")
    assert failed.number == 2 and failed.exit_code == 6 and failed.result is None
    assert failed.error is not None and failed.error.startswith("[x] launch 1/1: a rank died (exit code 6; ")
    assert done.failed("base") == [] and done.left_out == ()
    assert "cpu-1, head: [x] launch 1/1: a rank died" in (tmp_path / "shown").read_text()


def test_a_side_that_always_fails_is_left_out_after_two_launches(tmp_path: Path) -> None:
    done = measured(tmp_path, both(tmp_path, head={"launch_fails": [["cpu-1", 0]]}), number=5)
    assert names(tmp_path).count("h") == launches.MOST_FAILURES and names(tmp_path).count("b") == 5
    assert done.left_out == ("head, cpu-1: 3 launches left out after 2 failures",)


def test_a_side_whose_code_makes_no_request_fails_alone(tmp_path: Path) -> None:
    done = measured(tmp_path, both(tmp_path, head={"fails": {"request": [4, "runner: torch is unresolved."]}}))
    assert names(tmp_path) == "bbb"
    assert {(each.exit_code, each.error) for each in done.failed("head")} == {
        (4, "head: runner request: runner: torch is unresolved.")
    }


def test_the_operators_are_asked_for_where_every_bench_knows_them(tmp_path: Path) -> None:
    knows = {"bench_help": "  --operators  record"}
    assert launches.operators(both(tmp_path, base=knows, head=knows)) == ["--operators"]
    assert launches.operators(both(tmp_path, head=knows)) == []
    sides = both(tmp_path)
    launches.measure(sides, ["cpu-1"], 1, tmp_path / "out", print, bench_flags=["--operators"])
    assert stand_in.logged(tmp_path / "log", "bench") == [
        ["base", "cpu-1", "--operators"],
        ["head", "cpu-1", "--operators"],
    ]


def test_a_dataset_is_measured_without_its_operators_and_that_is_said(tmp_path: Path) -> None:
    rows = Dataset("file", "a.jsonl", None, None, None, "json", "1" * 64, "text", None)
    workload = samples.workload(name="dataset", prompt=None, dataset=rows)
    requests = {
        "cpu-1": samples.request(case="cpu-1").to_json(),
        "cpu-dataset": samples.request(case="cpu-dataset", workload=workload).to_json(),
    }
    sides = both(tmp_path, base={"requests": requests}, head={"requests": requests})
    done = launches.measure(sides, ["cpu-1", "cpu-dataset"], 1, tmp_path / "out", print, bench_flags=["--operators"])
    assert stand_in.logged(tmp_path / "log", "bench") == [
        ["base", "cpu-1", "--operators"],
        ["head", "cpu-1", "--operators"],
        ["base", "cpu-dataset"],
        ["head", "cpu-dataset"],
    ]
    assert done.left_out == ("cpu-dataset: operators; a dataset has no call that another launch repeats",)


def test_what_was_measured_is_not_measured_again_and_what_failed_is(tmp_path: Path) -> None:
    first = measured(tmp_path, both(tmp_path, head={"launch_fails": [["cpu-1", 2]]}))
    (tmp_path / "log").write_text("")
    again = measured(tmp_path, both(tmp_path))
    assert stand_in.logged(tmp_path / "log", "bench") == [["head", "cpu-1"]]
    assert again.failed("head") == [] and len(again.outcomes) == 6
    assert [each.result for each in again.outcomes if each.side == "base"] == [
        each.result for each in first.outcomes if each.side == "base"
    ]
    assert again.left_out[0].startswith("measured at a later try: head, cpu-1, launch 2: [x] launch 1/1: a rank died")
    assert "5 of 6 launches were measured before, and stay" in (tmp_path / "shown").read_text()
    assert [each.error is None for each in launches.journal(tmp_path / "out")].count(False) == 1


def test_what_is_compared_are_the_results_of_these_launches_and_no_others(tmp_path: Path) -> None:
    measured(tmp_path, both(tmp_path), number=3)
    # as bench writes it after a kill: a result that no launch of the journal made
    (tmp_path / "out" / "head" / "killed.json").write_text("{}")
    fewer = measured(tmp_path, both(tmp_path), number=2)
    for folder in fewer.results.values():
        assert sorted(path.name for path in folder.iterdir()) == ["cpu-1-1.json", "cpu-1-2.json"]
    failing = measured(tmp_path, both(tmp_path, head={"launch_fails": [["cpu-2", 0]]}), ("cpu-2",), number=1)
    assert not failing.results["head"].exists(), "nothing of an earlier run stays"


def test_a_result_that_is_gone_is_measured_again_and_a_torn_line_tells_nothing(tmp_path: Path) -> None:
    done = measured(tmp_path, both(tmp_path))
    (gone, *_) = done.outcomes
    assert gone.result is not None
    Path(gone.result).unlink()
    with (tmp_path / "out" / launches.JOURNAL).open("a") as journal:
        journal.write('{"case": "cpu-1", "si')
    (tmp_path / "log").write_text("")
    measured(tmp_path, both(tmp_path))
    assert names(tmp_path) == "b"


def test_launches_of_another_environment_are_measured_again(tmp_path: Path) -> None:
    base, head = both(tmp_path)
    measured(tmp_path, (base, head))
    other = tmp_path / "python"
    other.symlink_to(head.python)
    (tmp_path / "log").write_text("")
    again = measured(tmp_path, (base, dataclasses.replace(head, python=other)))
    assert names(tmp_path) == "hhh" and len(again.outcomes) == 6


def test_begun_anew_nothing_is_taken(tmp_path: Path) -> None:
    measured(tmp_path, both(tmp_path))
    launches.forget(tmp_path / "out")
    launches.forget(tmp_path / "out")
    (tmp_path / "log").write_text("")
    measured(tmp_path, both(tmp_path))
    assert names(tmp_path) == "bhhbbh"


MEASURE = """
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from runner.contract.errors import KitError
from tools.bump_check import launches
from tools.bump_check.sides import Side
folder = Path({folder!r})
sides = [Side(name, folder / f"tree-{{name}}", Path(sys.executable)) for name in ("base", "head")]
try:
    launches.measure(sides, ["cpu-1"], 3, folder / "out", print)
except KitError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_launch_and_what_was_measured_goes_on_later(tmp_path: Path, number: signal.Signals) -> None:
    both(tmp_path, head={"waits": [["cpu-1", 2]]})
    script = MEASURE.format(folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, encoding="utf-8")
    with process:
        give_up_s = time.monotonic() + patience.HANG_S
        while not stand_in.logged(tmp_path / "log", "waiting"):
            assert time.monotonic() < give_up_s and process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == Interrupted.exit_code
    assert "Stopped. 2 of 6 launches were measured and stay in" in said and "Traceback" not in said
    journal = [json.loads(line) for line in (tmp_path / "out" / launches.JOURNAL).read_text().splitlines()]
    assert [each["side"] for each in journal] == ["base", "head"]
    (tmp_path / "log").write_text("")
    assert len(measured(tmp_path, both(tmp_path)).outcomes) == 6
    assert names(tmp_path) == "hbbh"


def test_a_launch_brings_in_no_foreign_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "sitecustomize.py").write_text("raise SystemExit('foreign code ran')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "evil"))
    assert measured(tmp_path, both(tmp_path)).failed("head") == []


def test_a_launch_finds_the_code_of_its_own_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert measured(tmp_path, both(tmp_path), number=1).failed("head") == []
