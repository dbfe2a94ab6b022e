"""The report of a job that ran new code: steps, comment and verdict, and what a job with write rights makes of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from runner.contract.errors import Changed, DamagedResult, InputError, UsageError
from tools.workflow import __main__ as command_line
from tools.workflow import report, rows, steps
from tools.workflow.markdown import harmless
from tools.workflow.report import COMMENT, VERDICT, Word

PRINTS = [
    sys.executable,
    "-c",
    "import sys; print('first'); print('last words', file=sys.stderr); sys.exit(int(sys.argv[1]))",
]


def bump_check(folder: Path, word: str, reasons: list[str] | None = None, comment: str = "| a | b |\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / VERDICT).write_text(
        json.dumps({"word": word, "reasons": reasons or [], "pins": [{"where": "cpu/datasets"}]})
    )
    (folder / COMMENT).write_text(comment)
    return folder


# --- steps ---


def test_a_step_ends_with_the_code_of_its_command_and_is_noted(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert steps.run(tmp_path, "lint", [*PRINTS, "0"]) == 0
    assert steps.run(tmp_path, "test", [*PRINTS, "3"]) == 3
    first, second = steps.read(tmp_path)
    assert (first.name, first.exit_code, second.name, second.exit_code) == ("lint", 0, "test", 3)
    assert sorted(second.tail) == ["first", "last words"]
    assert capfdbinary.readouterr().out.count(b"last words") == 2, "a step prints what its command prints"


def test_a_step_that_a_signal_ended_says_so_as_a_shell_does(tmp_path: Path) -> None:
    assert steps.run(tmp_path, "test", [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) == 137


def test_a_tail_is_bounded_printable_and_without_secrets(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    secret = "ghp_aTokenThatNobodyMaySee0000000000"
    log.write_bytes(
        b"\xff\x1b[31m" + b"x" * 5000 + b"\n" + b"a bar 1%\ra bar 100%\n" + f"TOKEN={secret}\n".encode() * 100
    )
    tail = steps.tail(log)
    assert len(tail) == steps.TAIL_LINES and all(len(line) <= 4 * steps.MAX_LINE for line in tail)
    assert secret not in str(tail) and "\x1b" not in str(tail)


@pytest.mark.parametrize("name", ["../x", "", "A B"])
def test_a_step_has_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        steps.run(tmp_path, name, [*PRINTS, "0"])


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be run"):
        steps.run(tmp_path, "x", ["no-such-program"])


# --- the report ---


@pytest.mark.parametrize("word", report.WORDS)
def test_the_verdict_is_bump_check_s_where_all_steps_passed(tmp_path: Path, word: Word) -> None:
    steps.run(tmp_path / "notes", "lint-and-test", [*PRINTS, "0"])
    steps.run(tmp_path / "notes", "bump-check", [*PRINTS, "0" if word == "PASS" else "17"])
    checked = bump_check(tmp_path / "checked", word, ["tokens are equal"])
    assert report.write(tmp_path / "out", tmp_path / "notes", checked, "cpu/datasets").word == word
    comment = (tmp_path / "out" / COMMENT).read_text()
    assert comment.startswith(f"## cpu/datasets: {word}\n\n| step |") and "| a | b |" in comment
    assert "The last lines" not in comment
    assert "tokens are equal" not in comment, "the comparison's own text tells the reasons"


def test_reasons_that_no_comparison_tells_stand_in_the_comment(tmp_path: Path) -> None:
    steps.run(tmp_path / "notes", "lint-and-test", [*PRINTS, "2"])
    checked = bump_check(tmp_path / "checked", "FAIL", ["tokens differ"])
    report.write(tmp_path / "out", tmp_path / "notes", checked, "cpu/datasets")
    comment = (tmp_path / "out" / COMMENT).read_text()
    assert "ended with code 2\n\n| step |" in comment and "- tokens differ" not in comment
    (checked / COMMENT).unlink()
    report.write(tmp_path / "out", tmp_path / "notes", checked, "cpu/datasets")
    assert "ended with code 2\n- tokens differ\n\n| step |" in (tmp_path / "out" / COMMENT).read_text()


def test_a_failed_step_makes_the_verdict_fail_and_shows_its_last_lines(tmp_path: Path) -> None:
    steps.run(tmp_path / "notes", "lint-and-test", [*PRINTS, "2"])
    checked = bump_check(tmp_path / "checked", "PASS")
    verdict = report.write(tmp_path / "out", tmp_path / "notes", checked, "cpu/datasets")
    comment = (tmp_path / "out" / COMMENT).read_text()
    assert verdict.word == "FAIL" and "ended with code 2" in verdict.reasons[0]
    assert "last words" in comment and "| a | b |" in comment, "the comparison is shown all the same"


def test_a_bump_that_cannot_be_built_ends_in_a_comment(tmp_path: Path) -> None:
    steps.run(tmp_path / "notes", "bump-check", [*PRINTS, "9"])
    verdict = report.write(tmp_path / "out", tmp_path / "notes", tmp_path / "missing", "cpu/datasets")
    comment = (tmp_path / "out" / COMMENT).read_text()
    assert verdict.word == "FAIL" and "ended with code 9" in comment and "last words" in comment


def test_a_job_without_steps_and_verdict_fails(tmp_path: Path) -> None:
    assert report.write(tmp_path / "out", tmp_path / "notes", tmp_path / "missing", "x").word == "FAIL"


def test_last_lines_cannot_close_their_block(tmp_path: Path) -> None:
    steps.run(tmp_path / "notes", "x", [sys.executable, "-c", "print('````\\n@team'); raise SystemExit(1)"])
    report.write(tmp_path / "out", tmp_path / "notes", tmp_path / "missing", "x")
    assert "`````text\n" in (tmp_path / "out" / COMMENT).read_text()


# --- a report is taken ---


def test_an_honest_report_is_taken_as_it_is(tmp_path: Path) -> None:
    comment = "## cpu/datasets: PASS\n\n| a | b |\n| --- | --- |\n\n<details><summary>more</summary>\n\nx@sha256:12 user@host\n</details>\n"
    given = bump_check(tmp_path / "given", "PASS", ["tokens are equal"], comment)
    verdict = report.take(given, tmp_path / "out", "cpu/datasets")
    assert (tmp_path / "out" / COMMENT).read_text() == comment
    assert verdict == report.read(tmp_path / "out") and verdict.word == "PASS"


def test_a_missing_report_is_a_fail(tmp_path: Path) -> None:
    assert report.take(tmp_path / "missing", tmp_path / "out", "cpu/datasets").word == "FAIL"
    assert "was stopped" in (tmp_path / "out" / COMMENT).read_text()


@pytest.mark.parametrize(
    "verdict",
    [
        "{", "[]", "{}", '{"word": "PASS"}', '{"word": "SUCCESS", "reasons": []}', '{"word": "PASS", "reasons": [1]}',
        '{"word": "PASS", "word": "FAIL", "reasons": []}', '{"word": "PASS\\nx", "reasons": []}', "[" * 100_000, "NaN",
        " " * (report.MAX_VERDICT_BYTES + 1),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_verdict_of_another_form_is_refused(tmp_path: Path, verdict: str) -> None:
    bump_check(tmp_path / "given", "PASS")
    (tmp_path / "given" / VERDICT).write_text(verdict)
    with pytest.raises(DamagedResult):
        report.take(tmp_path / "given", tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "comment", [b"\xff\xfe", b"x" * (report.MAX_COMMENT_BYTES + 1), b"x" * 100_000_000], ids=["bytes", "long", "100MB"]
)
def test_a_comment_of_another_form_is_refused(tmp_path: Path, comment: bytes) -> None:
    bump_check(tmp_path / "given", "PASS")
    (tmp_path / "given" / COMMENT).write_bytes(comment)
    with pytest.raises(DamagedResult):
        report.take(tmp_path / "given", tmp_path / "out", "x")


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    bump_check(tmp_path / "given", "PASS")
    (tmp_path / "given" / COMMENT).unlink()
    os.mkfifo(tmp_path / "given" / COMMENT)
    with pytest.raises(DamagedResult, match="FIFO"):
        report.take(tmp_path / "given", tmp_path / "out", "x")


@pytest.mark.parametrize("name", [COMMENT, VERDICT])
def test_a_link_is_refused_whatever_it_leads_to(tmp_path: Path, name: str) -> None:
    bump_check(tmp_path / "given", "PASS")
    (tmp_path / "given" / name).rename(tmp_path / "elsewhere")
    (tmp_path / "given" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedResult, match="is a link"):
        report.take(tmp_path / "given", tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "@everybody", "thanks @team/all", "fixes #12", "team/kit#12", "GH-12", "![x](https://a.example/x.png)", "<img src=https://a.example>",
        "<IMG SRC=x>", "< a href='https://a.example'>all is well</a>", "<!-- bloomz-bench: bump -->", "<!-- never closed",
        "a\x1b[2Jb", "a\u202eb", "ghp_aTokenThatNobodyMaySee0000000000",
        # a forge reads entities before it looks for names, and HTML 5 reads <image> as <img>
        "&#64;everybody", "&#x40;team/all", "&commat;everybody", "&#64everybody", "fixes &num;12", "@_everybody",
        "https://forge.example/team/kit/issues/12", "fixes https://forge.example/team/kit/pull/12", "team/kit!12", "&12", "GL-12",
        "<image src=https://a.example>", "<svg onload=x>", "<details open>", "<!-<!-- x -->- hidden -->",
        '[//]: # "hidden"', '[a\nb]: https://a.example "hidden"',
        # GitLab carries these out
        "/merge", "  /close", "> /assign me",
    ],
    ids=range(34),
)  # fmt: skip
def test_a_comment_calls_nobody_fetches_nothing_and_hides_nothing(text: str) -> None:
    taken = harmless(f"before\n{text}\nafter\n")
    assert text not in taken and taken.startswith("before\n")
    assert harmless(taken) == taken


def test_what_a_report_says_stays_readable() -> None:
    text = (
        "## cpu/datasets: PASS\n\n| pin | before |\n| --- | --- |\n| `image` | `docker.io/library/python:3.12@sha256:0a` |\n\n"
        "<details><summary>The last lines</summary>\n\n```text\n/ 3 of 4: a < 5, b && c\n```\n\n</details>\n[a link](https://a.example/b)\n"
    )
    assert harmless(text) == text
    # of bump-check, for a comment that a person finds again
    assert harmless(f"<!-- bloomz-bench: bump-check -->\n{text}") == text


def test_reasons_are_bounded_and_harmless(tmp_path: Path) -> None:
    given = bump_check(tmp_path / "given", "FAIL", ["@team " + "x" * 1000] * 100)
    verdict = report.take(given, tmp_path / "out", "x")
    assert len(verdict.reasons) == report.MAX_REASONS + 1 and all(len(reason) < 500 for reason in verdict.reasons)
    assert "@team" not in str(verdict.reasons)


def test_the_verdict_fails_its_job_where_it_is_fail(tmp_path: Path) -> None:
    for word in ("PASS", "INCONCLUSIVE"):
        assert command_line.run(["verdict", "--report", str(bump_check(tmp_path / word, word))], {}) == 0
    with pytest.raises(Changed, match="tokens differ"):
        command_line.run(["verdict", "--report", str(bump_check(tmp_path / "FAIL", "FAIL", ["tokens differ"]))], {})


def test_a_conclusion_is_put_out_for_later_steps(tmp_path: Path) -> None:
    bump_check(tmp_path / "given", "INCONCLUSIVE")
    output = tmp_path / "output"
    arguments = ["take", "--title", "x", "--report", str(tmp_path / "given"), "--out", str(tmp_path / "out")]
    assert command_line.run(arguments, {"GITHUB_OUTPUT": str(output)}) == 0
    assert output.read_text() == "word=INCONCLUSIVE\nconclusion=neutral\n"


# --- rows ---


def listing(path: Path, *names: str) -> Path:
    lines = [{"event": "newer", "name": name, "version": "9.9"} for name in names] + [
        {"event": "silent", "origin": "index"}
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_every_newer_row_is_chosen_once_but_those_that_move_workflows(tmp_path: Path) -> None:
    path = listing(tmp_path / "newer", "cpu/datasets", "actions/actions/checkout", "tools/uv", "cpu/datasets")
    output = tmp_path / "output"
    assert command_line.run(["rows", "--from", str(path)], {"GITHUB_OUTPUT": str(output)}) == 0
    chosen = json.loads(output.read_text().removeprefix("rows="))
    assert chosen == [{"row": "cpu/datasets", "artefact": "cpu+datasets"}, {"row": "tools/uv", "artefact": "tools+uv"}]
    assert "make bump NAME=actions/actions/checkout" in rows.choose(rows.newer(path), "").left_out[0]


def test_a_named_row_is_bumped_whether_it_is_newer_or_not(tmp_path: Path) -> None:
    assert command_line.run(["rows", "--from", str(tmp_path / "missing"), "--row", "cuda/torch"], {}) == 0
    assert rows.choose([], "cuda/torch").rows == ["cuda/torch"]


@pytest.mark.parametrize("row", ["$(id)", "a b", "x\nrows=[]", "actions/actions/checkout", "../x", "-x"])
def test_a_name_that_no_workflow_bumps_is_refused(row: str) -> None:
    with pytest.raises(UsageError):
        rows.choose([], row)


@pytest.mark.parametrize("text", ["{", "[]\n", '{"event": "newer"}\n', '{"event": "newer", "name": "a b"}\n'])
def test_a_listing_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "newer").write_text(text)
    with pytest.raises(InputError):
        rows.newer(tmp_path / "newer")


def test_more_rows_than_a_person_reads_wait_until_others_are_merged() -> None:
    """The next run finds the same rows first: it takes none that this run left out, unless somebody merges."""
    names = [f"cpu/p{number}" for number in range(rows.MAX_ROWS + 3)]
    chosen = rows.choose(names, "")
    assert len(chosen.rows) == rows.MAX_ROWS and len(chosen.left_out) == 3
    assert rows.choose(names, "") == chosen and all("merge the bumps" in line for line in chosen.left_out)
    assert rows.choose(names[3:], "").left_out == []


def test_an_output_of_several_lines_is_refused() -> None:
    with pytest.raises(UsageError, match="line break"):
        command_line._put_out({"row": "a\nb"}, {})
