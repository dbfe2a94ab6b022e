"""The one door to a forge's API, against forges on loopback that answer as the documentation says."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.contract.errors import InputError, PublishFailed, Unreachable, UsageError
from tests.support.forge import TOKEN, Fault, Forge, Kind
from tools.forge import __main__ as command_line
from tools.forge import forges, github, gitlab, transport
from tools.forge.forges import PullRequest

ROOT = Path(__file__).parents[2]
COMMIT = "5b1e651c0d8e5a4b6f7a8b9c0d1e2f3a4b5c6d7e"
BUMP = PullRequest("bump/cpu/datasets", "main", "Bump cpu/datasets", "A text.")
KINDS: tuple[Kind, ...] = ("github", "gitlab")
# where each forge makes a pull request, a comment and an issue
MADE = {
    "github": (
        "repos/team/bloomz-bench/pulls",
        "repos/team/bloomz-bench/issues/1/comments",
        "repos/team/bloomz-bench/issues",
    ),
    "gitlab": ("projects/4711/merge_requests", "projects/4711/merge_requests/1/notes", "projects/4711/issues"),
}


@pytest.fixture(params=KINDS)
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    with Forge(request.param) as running:
        yield running


def client(forge: Forge, waits: list[float] | None = None, token: str = TOKEN, dry_run: bool = False) -> forges.Forge:
    """Return the client of a forge, whose waits are noted in ``waits`` and take no time."""
    noted: list[float] = [] if waits is None else waits
    of_environment = github.of_environment if forge.kind == "github" else gitlab.of_environment
    here = of_environment(forge.environment(token), dry_run)
    return dataclasses.replace(here, api=dataclasses.replace(here.api, sleep=noted.append, now_s=lambda: 1000.0))


def test_a_second_call_updates_what_the_first_one_made(forge: Forge) -> None:
    here = client(forge)
    assert here.pull_request(BUMP) == 1
    first = here.comment(1, "bump", "before")
    issue = here.issue("bump/cpu/datasets", "a title", "before")
    changed = dataclasses.replace(BUMP, title="Bump cpu/datasets from 5.1.0 to 5.2.0")
    assert here.pull_request(changed) == 1
    assert here.comment(1, "bump", "after") == first
    assert here.issue("bump/cpu/datasets", "another title", "after") == issue
    assert [pull["title"] for pull in forge.pulls] == [changed.title]
    assert [comment["body"] for comment in forge.comments[1]] == ["<!-- bloomz-bench: bump -->\nafter"]
    assert [entry["title"] for entry in forge.issues] == ["another title"]
    assert [change for change in forge.changes() if change.startswith("POST")] == [
        f"POST {path}" for path in MADE[forge.kind]
    ]


def test_a_check_run_tells_the_verdict_of_a_commit_and_is_updated_in_place() -> None:
    with Forge() as forge:
        here = client(forge)
        first = here.check_run("bump", COMMIT, "neutral", "INCONCLUSIVE", "text")
        assert here.check_run("bump", COMMIT, "failure", "FAIL", "text") == first
        assert here.check_run("bench", COMMIT, "success", "PASS", "text") != first
        (bump, _) = forge.check_runs
        assert (bump["status"], bump["conclusion"], bump["output"]["title"]) == ("completed", "failure", "FAIL")


@pytest.mark.parametrize(("conclusion", "state"), gitlab.STATES.items())
def test_a_status_of_gitlab_has_the_word_that_is_nearest(conclusion: forges.Conclusion, state: str) -> None:
    with Forge("gitlab") as forge:
        client(forge).check_run("bump", COMMIT, conclusion, "x" * 400, "text")
        (status,) = forge.statuses
        assert (status["state"], len(status["description"])) == (state, 255)


def test_the_own_comment_is_found_behind_pages_of_others(forge: Forge) -> None:
    here = client(forge)
    here.pull_request(BUMP)
    forge.page_size = 3
    for number in range(10):
        forge.somebody_comments(1, f"comment {number}")
    own = here.comment(1, "bump", "before")
    assert here.comment(1, "bump", "after") == own
    assert len(forge.comments[1]) == 11


def test_a_comment_of_somebody_else_with_the_marker_is_left_alone(forge: Forge) -> None:
    """Whoever wrote it could change it after the bot did, and the text would still look like the bot's."""
    here = client(forge)
    here.pull_request(BUMP)
    foreign = forge.somebody_comments(1, forges.marked("bump", "all is well"))
    own = here.comment(1, "bump", "a verdict")
    assert own != foreign["id"] and "all is well" in foreign["body"]


def test_a_marker_inside_a_text_is_no_marker(forge: Forge) -> None:
    here = client(forge)
    here.pull_request(BUMP)
    bench = here.comment(1, "bench", f"what ran wrote:\n{forges.marker_line('bump')}\n")
    assert here.comment(1, "bump", "a verdict") != bench


def test_a_closed_pull_request_is_left_closed(forge: Forge) -> None:
    here = client(forge)
    here.pull_request(BUMP)
    forge.pulls[0]["state"] = "closed"
    assert here.pull_request(BUMP) == 2


def test_a_pull_request_that_a_run_beside_this_one_opened_is_updated(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(forge).pull_request(BUMP)
    here = client(forge)
    name = "_open_pull_request" if forge.kind == "github" else "_open_merge_request"
    real, answers = getattr(type(here), name), iter([None])
    monkeypatch.setattr(type(here), name, lambda self, wanted: next(answers, real(self, wanted)))
    assert here.pull_request(dataclasses.replace(BUMP, title="Bump it")) == 1
    assert [pull["title"] for pull in forge.pulls] == ["Bump it"]


@pytest.mark.parametrize(
    ("headers", "status", "wait_s"),
    [
        ({"Retry-After": "7"}, 429, 8.0),
        ({"Retry-After": "3"}, 503, 4.0),
        ({"Retry-After": "9"}, 403, 10.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1030"}, 403, 31.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "990"}, 429, 1.0),
        ({}, 429, 60.0),
        ({"Retry-After": "soon"}, 502, 1.0),
    ],
)
def test_a_server_that_asks_for_patience_gets_it(headers: dict[str, str], status: int, wait_s: float) -> None:
    with Forge() as forge:
        forge.faults.append(Fault("GET", ".*/pulls", status, headers))
        waits: list[float] = []
        assert client(forge, waits).pull_request(BUMP) == 1
        assert waits == [wait_s]


def test_a_server_that_asks_for_too_much_patience_is_given_up() -> None:
    with Forge() as forge:
        forge.faults.append(Fault("GET", ".*", 429, {"Retry-After": "3600"}))
        waits: list[float] = []
        with pytest.raises(Unreachable, match="HTTP 429, and asks to wait 3601 s"):
            client(forge, waits).pull_request(BUMP)
        assert waits == []


def test_a_server_that_stays_broken_is_given_up_after_a_few_tries(forge: Forge) -> None:
    forge.faults += [Fault("GET", ".*", 500)] * transport.TRIES
    waits: list[float] = []
    with pytest.raises(Unreachable, match="HTTP 500"):
        client(forge, waits).pull_request(BUMP)
    assert waits == [1.0, 2.0, 4.0, 8.0] and len(forge.calls) == transport.TRIES


@pytest.mark.parametrize("status", [0, 502])
@pytest.mark.parametrize("does", [False, True], ids=["not-done", "done"])
def test_a_call_that_was_cut_off_makes_no_second_thing(forge: Forge, status: int, does: bool) -> None:
    forge.faults.append(Fault("POST", ".*(pulls|merge_requests)", status, does=does))
    forge.faults.append(Fault("POST", ".*(comments|notes)", status, does=does))
    here = client(forge)
    assert here.pull_request(BUMP) == 1
    here.comment(1, "bump", "a verdict")
    assert len(forge.pulls) == len(forge.comments[1]) == 1


def test_a_missing_right_is_told_with_the_remedy() -> None:
    with Forge() as forge:
        forge.permissions = {"pull-requests": "read"}
        with pytest.raises(PublishFailed, match="HTTP 403 .*not accessible by integration.* lacks the right") as caught:
            client(forge).pull_request(BUMP)
        assert caught.value.exit_code == 7


def test_a_wrong_token_is_told_and_never_printed(forge: Forge) -> None:
    wrong = "ghp_anotherTokenThatNobodyMaySee00000"
    with pytest.raises(PublishFailed, match="HTTP 401 .Bad credentials.. The token is not accepted") as caught:
        client(forge, token=wrong).pull_request(BUMP)
    assert wrong not in str(caught.value)


def test_a_comment_on_what_is_not_there_is_refused(forge: Forge) -> None:
    with pytest.raises(PublishFailed, match="HTTP 404"):
        client(forge).comment(12, "bump", "text")


def test_a_text_that_is_too_long_is_cut_and_says_so(forge: Forge) -> None:
    here = client(forge)
    here.pull_request(dataclasses.replace(BUMP, body="b" * 100_000))
    here.comment(1, "bump", "c" * 100_000)
    (comment,) = forge.comments[1]
    assert len(comment["body"]) < 65_536 and comment["body"].endswith(forges.CUT)


def test_a_dry_run_asks_and_changes_nothing(forge: Forge, capsys: pytest.CaptureFixture[str]) -> None:
    here = client(forge, dry_run=True)
    assert (here.pull_request(BUMP), here.issue("bump", "a title", "text")) == (0, 0)
    assert forge.changes() == [] and forge.pulls == []
    assert "dry run: POST" in capsys.readouterr().out


def test_a_redirection_is_not_followed() -> None:
    with Forge() as forge, Forge() as other:
        forge.faults.append(Fault("GET", ".*", 302, {"Location": f"{other.address}/repos"}))
        with pytest.raises(PublishFailed, match="HTTP 302"):
            client(forge).pull_request(BUMP)
        assert other.calls == []


def test_a_next_page_elsewhere_is_not_asked() -> None:
    with Forge() as forge, Forge() as other:
        forge.faults.append(Fault("GET", ".*", 200, {"Link": f'<{other.address}/repos>; rel="next"'}, []))
        with pytest.raises(Unreachable, match="is not below"):
            client(forge).pull_request(BUMP)
        assert other.calls == []


@pytest.mark.parametrize(
    ("body", "words"),
    [({"message": "no list"}, "is no list"), (None, "is no list")],
)
def test_an_answer_of_another_form_is_told(forge: Forge, body: dict[str, str] | None, words: str) -> None:
    forge.faults.append(Fault("GET", ".*(pulls|merge_requests)", 200, body=body))
    with pytest.raises(Unreachable, match=words):
        client(forge).pull_request(BUMP)


@pytest.mark.parametrize("address", ["http://forge.example/api", "ftp://forge.example", "file:///etc/passwd"])
def test_an_address_that_nothing_protects_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="https"):
        github.of_environment({"GITHUB_API_URL": address, "GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": TOKEN}, False)


# --- the command line ---


def arguments(body: Path, *more: str) -> list[str]:
    return [
        *more,
        "pull-request",
        "--branch",
        BUMP.branch,
        "--base",
        "main",
        "--title",
        "Bump",
        "--body-file",
        str(body),
    ]


def test_the_command_line_prints_the_number_and_puts_it_out(forge: Forge, tmp_path: Path) -> None:
    body, output = tmp_path / "body.md", tmp_path / "output"
    body.write_text("A text.\n")
    environment = {**os.environ, **forge.environment(), "GITHUB_OUTPUT": str(output)}
    command = [sys.executable, "-m", "tools.forge", *arguments(body, "--output", "number")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout, output.read_text()) == (0, "1\n", "number=1\n"), done.stderr


def test_the_command_line_ends_with_the_code_of_what_happened(tmp_path: Path) -> None:
    body = tmp_path / "body.md"
    body.write_text("A text.\n")
    with Forge() as forge:
        environment = {**os.environ, **forge.environment("ghs_wrongTokenThatNobodyMaySee000000")}
        command = [sys.executable, "-m", "tools.forge", *arguments(body)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 7 and "forge: GET" in done.stderr and "ghs_wrong" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--branch", "-x"], "--branch must be the name of a branch"),
        (["--base", "a..b"], "--base must be the name of a branch"),
        (["--body-file", "missing.md"], "missing.md cannot be read"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_asked(given: list[str], words: str, tmp_path: Path) -> None:
    body = tmp_path / "body.md"
    body.write_text("A text.\n")
    with Forge() as forge:
        flag, value = given
        with pytest.raises((UsageError, InputError), match=words):
            command_line.run([*arguments(body), f"{flag}={value}"], forge.environment())
        assert forge.calls == []


def test_without_a_forge_the_variables_are_named() -> None:
    with pytest.raises(UsageError, match="GITHUB_REPOSITORY and GITHUB_TOKEN"):
        command_line.run(["issue", "--marker", "a", "--title", "b", "--body-file", "c"], {})


def test_control_characters_of_a_text_become_visible(forge: Forge, tmp_path: Path) -> None:
    body = tmp_path / "body.md"
    body.write_text("a \x1b[31mred\x1b[0m word\n")
    command_line.run(arguments(body), forge.environment())
    (pull,) = forge.pulls
    texts = [value for value in pull.values() if isinstance(value, str)]
    assert any("red" in text for text in texts) and not any("\x1b" in text for text in texts)
