"""The whole of a bump check: from two trees of a repository to the comment, the verdict and the exit code.

The fast tests walk over stand-in trees, in this process and with its own Python. The slow ones walk over a clone of the kit, for real.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import InputError, KitError, Unreachable, UsageError
from runner.host import paths
from tests.bump_check import stand_in
from tests.bump_check.stand_in import LOCK, change
from tests.support import patience, samples
from tools.bump_check import __main__ as bump_check
from tools.bump_check import comment, environments


class Check:
    """A repository whose branch main is the base and whose working tree is the head, and a bump check of the two."""

    def __init__(self, folder: Path) -> None:
        self.root, self.out, self.log = stand_in.repository(folder / "kit"), folder / "out", folder / "log"

    def base(self, lock: str = LOCK, **changes: Any) -> None:
        stand_in.write(self.root, "base", self.log, lock, **changes)
        stand_in.commit(self.root, "The base")
        self.head(lock)

    def head(self, lock: str = LOCK, **changes: Any) -> None:
        stand_in.write(self.root, "head", self.log, lock, **changes)

    def run(self, *arguments: str) -> int:
        words = ["--base", "main", "--out", str(self.out), "--launches", "2", *arguments]
        options, request_flags = bump_check.parser().parse_known_args(words)
        return bump_check.run(options, request_flags, self.root)

    @property
    def verdict(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.out / "verdict.json").read_text())
        return told

    @property
    def comment(self) -> str:
        return (self.out / "comment.md").read_text()

    def launches(self) -> list[str]:
        return [" ".join(words[:2]) for words in stand_in.logged(self.log, "bench")]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    monkeypatch.setattr(environments, "make", lambda tree, show: Path(sys.executable))
    return Check(tmp_path)


def test_both_sides_are_measured_in_turn_and_judged_by_the_head_s_code(
    check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    check.base()
    assert check.run() == 0
    in_turn = ["base", "head", "head", "base"]
    assert check.launches() == [f"{side} {case}" for case in ("cpu-1", "cpu-2") for side in in_turn]
    assert stand_in.logged(check.log, "compare") == [["head", "counts,inconclusive"]]
    assert check.verdict["word"] == "PASS" and check.verdict["cases"] == ["cpu-1", "cpu-2"]
    assert check.comment.startswith(f"{comment.MARKER}\n**PASS**: ")
    told = capsys.readouterr()
    first, *paths_told = told.out.splitlines()
    assert first == "PASS: nothing that is judged changed in cpu-1, cpu-2"
    assert paths_told == [str(check.out / "comment.md"), str(check.out / "verdict.json")]
    assert "head is the working tree" in told.err and "with 1 uncommitted file" in told.err


def test_operators_that_nobody_recorded_are_said(check: Check) -> None:
    check.base()
    check.head(bench_help="--operators")
    assert check.run("--cases", "cpu-1") == 0
    assert "- `operators: the bench of a side does not know --operators, so neither side" in check.comment


def test_what_a_killed_export_left_is_removed(check: Check) -> None:
    check.base()
    (check.out / "trees" / ".exporting-abc" / "files").mkdir(parents=True)
    assert check.run("--cases", "cpu-1") == 0
    assert not list((check.out / "trees").glob(".exporting-*"))


def test_a_secret_is_not_printed(
    check: Check, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuv")
    check.base()
    check.head(fails={"request": [3, "runner: no hf_abcdefghijklmnopqrstuv"]})
    assert check.run("--cases", "cpu-1") == 17
    told = capsys.readouterr()
    assert "head cannot be measured: " in told.out and "hf_abc" not in told.out + told.err


def test_moved_pins_stand_in_the_comment(check: Check) -> None:
    check.base()
    check.head(LOCK.replace("2.13.0", "2.14.0"))
    assert check.run() == 0
    assert check.verdict["moved"] == [
        {"where": "stacks.cpu.packages.torch.version", "before": "2.13.0", "after": "2.14.0"}
    ]
    assert "| `stacks.cpu.packages.torch.version` | `2.13.0` | `2.14.0` |" in check.comment


def test_counts_that_differ_fail(check: Check) -> None:
    check.base()
    found = change("cpu-1", ("counts",), reasons=["output ids: 1 before, 2 after"])
    check.head(compared={"changes": [found, change("cpu-2")]}, compare_code=17)
    assert check.run() == 17
    assert check.verdict["word"] == "FAIL" and "output ids" in check.comment.splitlines()[1]


def test_a_change_that_fail_on_does_not_name_stands_in_the_first_line(
    check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    check.base()
    found = change("cpu-1", ("counts",), reasons=["output ids: 1 before, 2 after"], times={})
    check.head(compared={"changes": [found]})
    assert check.run("--cases", "cpu-1", "--fail-on", "slower") == 0
    said = "by --fail-on slower, though cpu-1 CHANGED: counts (output ids: 1 before, 2 after)"
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == f"PASS: {said}"
    assert check.comment.splitlines()[1] == f"**PASS**: `{said}`"
    assert (check.verdict["word"], check.verdict["reasons"]) == ("PASS", [said])
    assert told.err.count("no change can fail here") == 1
    assert told.err.index("no change can fail here") < told.err.index("launch 1 of")
    assert "not judged, so that no change fails by --fail-on slower" in check.comment
    check.run("--cases", "cpu-1")
    check.run("--cases", "cpu-1", "--fail-on", "slower", "--judge-cpu")
    assert "no change can fail here" not in capsys.readouterr().err


def test_requests_that_differ_though_no_pin_moved_and_changed_files_are_said(
    check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    check.base()
    before = samples.request(case="cpu-1")
    stack = replace(before.stack, packages={"torch": "9.9"})
    after = replace(before, weights=replace(before.weights, seed=30), stack=stack)
    wanted = {**stand_in.requests(), "cpu-1": after.to_json()}
    check.head(requests=wanted, compared={"changes": [change("cpu-1", ("counts",))]}, compare_code=17)
    assert check.run("--cases", "cpu-1") == 17
    assert "the two sides ask for something else: cpu-1 weights.seed 29 -> 30\n" in capsys.readouterr().err
    assert "- `cpu-1` asks for another `weights.seed`: `29` before, `30` after" in check.comment
    assert "- 1 changed file beside those that a bump writes: `plan.json`" in check.comment
    field = {"case": "cpu-1", "field": "weights.seed", "before": "29", "after": "30"}
    assert (check.verdict["differing"], check.verdict["changed_files"]) == ([field], ["plan.json"])
    assert "lack 1 file of the head that is not committed: `plan.json`." in check.comment


def test_a_tree_against_itself_is_told_before_the_first_launch(
    check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    check.base()
    stand_in.git(check.root, "checkout", "--quiet", "--", ".")
    assert check.run("--cases", "cpu-1") == 0
    told = capsys.readouterr().err
    assert told.index("base and head are the same tree: ") < told.index("launch 1 of 4")
    assert "Base and head are the same tree: " in check.comment and "These commands lack" not in check.comment


def test_launches_that_cannot_tell_are_inconclusive_and_fail_on_is_handed_on(check: Check) -> None:
    check.base()
    check.head(compared={"changes": [change("cpu-1", ("inconclusive",), reasons=["contended"])]}, compare_code=18)
    assert check.run() == 18
    assert check.run("--fail-on", "slower") == 0
    assert check.verdict["word"] == "INCONCLUSIVE"
    assert [words[1] for words in stand_in.logged(check.log, "compare")] == ["counts,inconclusive", "slower"]


def test_a_head_that_fails_alone_fails(check: Check) -> None:
    check.base()
    check.head(launch_fails=[["cpu-1", 0]])
    assert check.run() == 17
    assert check.launches().count("base cpu-1") == 2
    assert "a rank died" in check.verdict["reasons"][0] and "- failed: `head, cpu-1, launch 1" in check.comment


def test_a_base_that_fails_leaves_it_open(check: Check) -> None:
    check.base(launch_fails=[["cpu-1", 0]])
    assert check.run() == 18
    assert check.verdict["word"] == "INCONCLUSIVE"


def test_cases_that_one_side_alone_knows_are_left_out_and_said(check: Check) -> None:
    check.base(fitting=["cpu-1", "old"], cases=["cpu-1", "old"])
    check.head(fitting=["cpu-1", "new"], cases=["cpu-1", "new"])
    assert check.run() == 0
    assert check.verdict["cases"] == ["cpu-1"]
    assert "- `new: base does not know it" in check.comment and "- `old: head does not know it" in check.comment
    assert check.run("--cases", "cpu-1", "new") == 0
    assert check.verdict["cases"] == ["cpu-1"]
    with pytest.raises(UsageError, match="No case is left that both sides measure here. new: base does not know it"):
        check.run("--cases", "new")
    assert not (check.out / "verdict.json").exists(), "what an earlier run said is no word on this one"


def test_a_named_case_that_no_side_knows_is_a_slip_and_is_not_left_out(check: Check) -> None:
    check.base()
    with pytest.raises(
        UsageError, match=r"cpu1: no side knows such a case. Did you mean cpu-1\? `python -m runner request --list`"
    ):
        check.run("--cases", "cpu1")
    with pytest.raises(UsageError, match="xyzzy: no side knows such a case. `python -m runner request --list` names"):
        check.run("--cases", "cpu-1", "xyzzy")
    assert check.launches() == []


def test_cases_that_run_in_an_image_alone_are_said(check: Check) -> None:
    check.base(in_images=["gaudi2-8"])
    check.head(in_images=["gaudi2-8"])
    assert check.run() == 0
    assert "`gaudi2-8: run in an image alone, beside cases that do not" in check.comment


def test_where_nothing_runs_without_an_image_both_sides_are_measured_in_the_images_of_their_own_locks(
    check: Check,
) -> None:
    check.base(fitting=[], in_images=["cpu-1"])
    check.head(fitting=[], in_images=["cpu-1"], bench_help="--operators")
    assert check.run() == 0
    assert stand_in.logged(check.log, "image") == [["base", "cpu-1"], ["head", "cpu-1"]]
    in_turn = ["base", "head", "head", "base"]
    assert stand_in.logged(check.log, "run") == [[side, "cpu-1"] for side in in_turn]
    assert stand_in.logged(check.log, "collect") == [[side, "cpu-1.log"] for side in in_turn]
    assert check.launches() == []
    check.head(fitting=[], in_images=["cpu-1"], launch_fails=[["cpu-1", 0]])
    assert check.run() == 17 and "the container ended without its result (exit code 13; " in check.verdict["reasons"][0]


def test_a_rerun_of_the_same_trees_measures_nothing_again_unless_asked_to(check: Check) -> None:
    check.base()
    check.run()
    check.log.write_text("")
    assert check.run() == 0 and check.launches() == [] and check.verdict["word"] == "PASS"
    assert check.run("--fresh") == 0 and len(check.launches()) == 8
    check.log.write_text("")
    (check.root / "runner" / "new.py").write_text("")
    assert check.run() == 0 and len(check.launches()) == 8, "another tree is measured"


def test_a_named_head_is_a_commit_and_what_is_not_committed_stays_out(
    check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    check.base()
    stand_in.commit(check.root, "The head")
    stand_in.git(check.root, "branch", "next")
    stand_in.git(check.root, "reset", "--quiet", "--hard", "HEAD~1")
    (check.root / "more").touch()
    assert check.run("--head", "next") == 0
    assert "files that are not committed are left out" in capsys.readouterr().err
    assert check.verdict["head"]["ref"] == "next" and check.verdict["head"]["subject"] == "The head"
    assert set(check.launches()) == {"base cpu-1", "base cpu-2", "head cpu-1", "head cpu-2"}


@pytest.mark.parametrize(
    "side, error, expected",
    [
        ("head", InputError("it could not be installed"), ("FAIL", 17)),
        ("head", Unreachable("it did not answer"), ("INCONCLUSIVE", 18)),
        ("base", InputError("it could not be installed"), ("INCONCLUSIVE", 18)),
    ],
)
def test_a_side_whose_environment_cannot_be_made_has_a_comment_too(
    check: Check, monkeypatch: pytest.MonkeyPatch, side: str, error: KitError, expected: tuple[str, int]
) -> None:
    def make(tree: Path, _show: object) -> Path:
        if json.loads((tree / "plan.json").read_text())["name"] == side:
            raise error
        return Path(sys.executable)

    monkeypatch.setattr(environments, "make", make)
    check.base()
    check.head(LOCK.replace("2.13.0", "2.14.0"))
    assert (check.run(), check.verdict["word"]) == (expected[1], expected[0])
    assert f"{side} cannot be measured: {error}" in check.comment and "2.14.0" in check.comment
    assert check.verdict["fail_on"] == ["counts", "inconclusive"]
    check.run("--fail-on", "slower")
    assert check.verdict["fail_on"] == ["slower"]
    assert check.launches() == []


def test_a_head_whose_own_code_makes_no_request_fails(check: Check) -> None:
    check.base()
    check.head(fails={"request": [3, "runner: versions.lock:3: not YAML."]})
    assert check.run() == 17 and "versions.lock:3: not YAML" in check.comment


def test_a_head_whose_bench_does_not_even_start_fails(check: Check) -> None:
    check.base(bench_help="--operators")
    check.head(fails={"bench": [1, "ImportError: no such module"]})
    assert check.run() == 17 and "ImportError: no such module" in check.comment


def test_a_folder_that_takes_no_file_is_said(check: Check, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert bump_check.main(["--base", "HEAD", "--out", str(tmp_path / "file" / "x")]) == InputError.exit_code
    assert "Not a directory" in capsys.readouterr().err


def test_the_error_of_a_side_is_its_message_without_the_event_around_it(
    check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    error = json.dumps({"event": "error", "error": "InputError", "exit_code": 3, "message": "It broke. Mend it."})
    check.base()
    check.head(fails={"request": [3, error]})
    assert check.run("--cases", "cpu-1", "--output-tokens", "3") == 17
    said = "head cannot be measured: head: runner request: It broke. Mend it."
    assert capsys.readouterr().out.startswith(f"FAIL: {said}\n") and f"**FAIL**: `{said}`" in check.comment
    check.base(fails={"request": [3, error]})
    with pytest.raises(InputError, match=r"^base: runner request: It broke\. Mend it\.$"):
        check.run("--cases", "cpu-1")


def test_an_error_of_the_command_line_is_no_verdict(check: Check) -> None:
    check.base()
    for words, said in (
        (("--modle", "bloom-560m"), "bump-check and request know no --modle. Did you mean --model?"),
        (("--launchs", "2"), "bump-check and request know no --launchs. Did you mean --launches?"),
        (("--fail_on=counts",), "bump-check and request know no --fail_on. Did you mean --fail-on?"),
        (("--xyzzy",), "bump-check and request know no --xyzzy. See `make bump-check ARGS=--help`."),
        (("--output-tokens", "x"), "request takes no such flags: argument --output-tokens: 'x' is no whole number"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            check.run(*words)
    assert not check.out.exists(), "nothing was exported"
    with pytest.raises(UsageError, match="'slow' is none of: counts"):
        check.run("--fail-on", "slow")
    with pytest.raises(UsageError, match="'' is none of: counts"):
        check.run("--fail-on", "")
    with pytest.raises(UsageError, match="'2x' is no margin"):
        check.run("--margin", "2x")
    with pytest.raises(UsageError, match="cpu-1 belongs to no flag"):
        check.run("cpu-1")
    assert not (check.out / "comment.md").exists()


def test_flags_of_request_reach_both_sides_and_are_measured_apart(check: Check) -> None:
    check.base()
    assert check.run("--cases", "cpu-1", "--model", "bloom-560m") == 0
    assert check.run("--cases", "cpu-1") == 0
    assert check.launches() == ["base cpu-1", "head cpu-1", "head cpu-1", "base cpu-1"] * 2
    assert "--model bloom-560m" not in check.comment
    check.run("--cases", "cpu-1", "--model", "bloom-560m")
    assert "--model bloom-560m" in check.verdict["repeat"][0]
    assert "Each case with `--model bloom-560m`" in check.comment


def test_a_gaudi_stack_that_moved_is_run_under_the_emulated_chip(check: Check) -> None:
    told = {"tokens": {"sha256": "a"}, "forward_calls": 100, "graph_builds": 0, "operators": {}}
    told.update(first_generate=[], generate=[])
    check.base(emulated={"gaudi-1.10": told})
    moved = LOCK.replace("1.6.1", "1.7.0")
    check.head(moved, emulated={"gaudi-1.10": {**told, "tokens": {"sha256": "b"}}})
    assert check.run() == 17 and "gaudi-1.10 under the emulated chip: OTHER TOKENS" in check.comment
    check.head(moved, emulated={"gaudi-1.10": told})
    assert check.run() == 0 and check.verdict["emulated"][0]["tokens"] == "equal"
    check.head(moved, emulated={"gaudi-1.10": {"exit": 9, "said": "it cannot be built"}})
    assert check.run() == 18
    assert check.run("--no-emulation") == 0 and "--no-emulation leaves them out" in check.comment


def test_two_checks_in_one_folder_are_refused(check: Check) -> None:
    check.base()
    with bump_check._alone(check.out), pytest.raises(UsageError, match="Another bump check runs in"):
        check.run()


CHECK = """
import sys
from pathlib import Path
from tools.bump_check import __main__ as bump_check
from tools.bump_check import environments

environments.make = lambda tree, show: Path(sys.executable)
options, flags = bump_check.parser().parse_known_args(["--base", "main", "--cases", "cpu-1", "--out", sys.argv[2]])
bump_check.run(options, flags, Path(sys.argv[1]))
"""


def test_the_launch_of_a_killed_check_keeps_others_out_until_it_ends(check: Check) -> None:
    check.base()
    check.head(waits=[["cpu-1", 1]])
    process = subprocess.Popen([sys.executable, "-c", CHECK, str(check.root), str(check.out)], cwd=paths.ROOT)
    give_up_s = time.monotonic() + patience.HANG_S
    with process:
        while not stand_in.logged(check.log, "waiting"):
            assert time.monotonic() < give_up_s and process.poll() is None
            time.sleep(0.05)
        process.kill()
    ((launch,),) = stand_in.logged(check.log, "waiting")
    try:
        with pytest.raises(UsageError, match="or a launch of one that was killed"):
            check.run("--cases", "cpu-1")
    finally:
        os.kill(int(launch), signal.SIGKILL)
    while True:
        try:
            with bump_check._alone(check.out):
                break
        except UsageError:
            assert time.monotonic() < give_up_s
            time.sleep(0.05)


def test_errors_are_sentences_with_the_kit_s_exit_codes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert bump_check.main(["--base", "no such ref", "--out", str(tmp_path)]) == InputError.exit_code
    assert capsys.readouterr().err.startswith("bump-check: no such ref is no branch, tag or commit here.")
    for words in (["--base", "main", "--launches", "0"], []):
        with pytest.raises(SystemExit) as ended:
            bump_check.main(words)
        assert ended.value.code == UsageError.exit_code


# Dummy weights of another seed: other tokens, by a change of the code alone.
PLANTED = 'f"{seed}:{name}"', 'f"{seed + 1}:{name}"'


def clone(folder: Path) -> Path:
    """Return a clone of the kit with what is not committed here, as one commit on its branch main."""
    root = stand_in.repository(folder / "kit")
    listed = ["git", "-C", str(paths.ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, encoding="utf-8", check=True).stdout.split("\0"):
        if name and (paths.ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes((paths.ROOT / name).read_bytes())
    stand_in.commit(root, "The kit")
    return root


def for_real(root: Path) -> tuple[subprocess.CompletedProcess[str], dict[str, Any], str]:
    """Check one case with one launch a side, with the kit's own Python; return what was said, the verdict and the comment."""
    command = [sys.executable, "-m", "tools.bump_check", "--base", "main", "--cases", "cpu-1", "--launches", "1"]
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8")
    out = root / "build" / "bump-check"
    assert (out / "verdict.json").exists(), done.stderr
    return done, json.loads((out / "verdict.json").read_text()), (out / "comment.md").read_text()


@pytest.mark.bumps
@pytest.mark.torch
def test_this_tree_against_itself_passes_for_real(tmp_path: Path) -> None:
    done, verdict, text = for_real(clone(tmp_path))
    assert (done.returncode, verdict["word"], verdict["moved"]) == (0, "PASS", []), done.stderr
    (row,) = verdict["changes"]
    assert row["word"] == "UNCHANGED" and row["launches"] == [1, 1] and not row["differences"]
    assert "None: the two locks hold the same pins." in text
    assert text.startswith(f"{comment.MARKER}\n**PASS**: ")


@pytest.mark.bumps
@pytest.mark.torch
def test_other_tokens_of_head_fail_for_real(tmp_path: Path) -> None:
    root = clone(tmp_path)
    weights = root / "runner" / "bench" / "inputs" / "dummy_weights.py"
    text = weights.read_text()
    assert PLANTED[0] in text
    weights.write_text(text.replace(*PLANTED))
    done, verdict, told = for_real(root)
    assert (done.returncode, verdict["word"]) == (17, "FAIL"), done.stderr
    (row,) = verdict["changes"]
    assert "counts" in row["found"] and any(count["word"] == "differs" for count in row["counts"])
    assert "output ids" in told.splitlines()[1]
