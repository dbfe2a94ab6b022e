"""With ``--json`` a verb prints the events of its page and nothing else, and ``--from`` of the next verb reads them."""

from __future__ import annotations

import ast
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs import json_events
from runner.__main__ import VERBS, main
from runner.contract import frame, strictjson
from runner.contract.announce import Complaint
from runner.contract.errors import InputError, KitError, Unreachable, UsageError
from runner.contract.records import JsonObject
from runner.host.images import build, buildah, push
from runner.host.pins import presence, resolve
from runner.host.pins.origins import container_registry
from runner.host.readers import lock_editor
from runner.host.readers.lockfile import Lock, LockPath, PushedImage
from runner.host.stacks import agreement
from tests.support import samples
from tests.support.json_output import events, page

ROOT = Path(__file__).parents[1]
# These print for programs alone, or one JSON document.
WITHOUT_EVENTS = {"sshd", "frames", "completion", "compare", "claims"}


def test_the_page_lists_every_verb_that_prints_events() -> None:
    assert set(page()) == set(VERBS) - WITHOUT_EVENTS
    assert all(facts for listed in page().values() for facts in listed.values())


@pytest.mark.parametrize("verb", sorted(set(VERBS) - WITHOUT_EVENTS))
def test_no_two_events_of_a_verb_have_one_word(verb: str) -> None:
    words = [event.word for event in json_events.events(verb)]
    assert len(words) == len(set(words)) == len(page()[verb])


class Verb:
    """Runs verbs with ``--json`` and looks at what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, verb: str, *arguments: object, code: int = 0) -> list[JsonObject]:
        """Return the events on standard output, then those on standard error; progress and the final error are left out."""
        assert main([verb, *map(str, arguments), "--json"]) == code
        output, errors = self._capsys.readouterr()
        complaints = [line for line in errors.splitlines() if line.startswith("{") and '"event": "error"' not in line]
        return [*events(output, verb), *events("\n".join(complaints), verb)]


@pytest.fixture
def verb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verb:
    monkeypatch.chdir(tmp_path)
    return Verb(capsys)


def test_request_lists_and_writes(verb: Verb) -> None:
    listed = verb("request", "--list")
    assert {event["event"] for event in listed} == {"case", "model", "precision"}
    assert {"event": "precision", "precision": "float8", "runs": False, "stacks": "gaudi-1.24 cuda"} in listed
    assert {"case": "cpu-1", "devices": 1, "accelerator": "cpu"}.items() <= listed[0].items()
    first, second = verb("request", "cpu-1", "cpu-2", "--out", "requests")
    assert (first["case"], second["case"]) == ("cpu-1", "cpu-2")
    assert strictjson.read(first["path"])["id"] == first["id"]


def test_render_names_its_folders_and_what_is_a_draft(verb: Verb) -> None:
    written = verb("render", "cpu", "gaudi2", "--out", "manifests")
    assert {event["path"] for event in written if event["event"] == "folder"} >= {"manifests/cpu", "manifests"}
    assert {event["event"] for event in written} <= {"folder", "draft"}


def test_collect_names_results_and_says_what_it_refused(verb: Verb) -> None:
    result = samples.result()
    attempt = result["attempt"]["id"]
    whole = list(frame.write(attempt, strictjson.pretty(result).encode()))
    Path("whole.log").write_text("\n".join(whole))
    Path("cut.log").write_text("\n".join(whole[:-2]).replace(attempt, f"{attempt[:-1]}0"))
    Path("empty.log").write_text("nothing")
    collected, *complaints = verb("collect", "whole.log", "cut.log", "empty.log", code=8)
    assert (collected["attempt"], collected["request"]) == (attempt, result["request"]["id"])
    assert strictjson.read(collected["path"]) == result
    assert {event["event"] for event in complaints} == {"refused", "no-result"}
    (unreadable,) = verb("collect", "gone.log", "gone-too.log", code=InputError.exit_code)
    assert unreadable["event"] == "unreadable" and "gone.log" in unreadable["message"]


def test_image_says_which_pushed_images_are_current(verb: Verb) -> None:
    (checked,) = verb("image", "cpu", "--check")
    assert (checked["stack"], checked["reference"], checked["is_current"]) == ("cpu", None, None)
    (left_out,) = verb("image", "gaudi-1.9", code=4)
    assert (left_out["event"], left_out["error"]) == ("left-out", "UnresolvedPin")


def test_image_builds_only_what_is_missing(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stacks of named cases, and of the cases that fit a host without an accelerator."""
    built = build.BuiltImage("id", "localhost/x", "base", True, "0" * 40, "inputs", 7, 2_000_000, "1.28.2")
    monkeypatch.setattr(build, "current", lambda lock, name: built)
    monkeypatch.setattr(buildah, "is_here", lambda image: image == "id")
    Path("devices").write_text("")
    present = {"event": "present", "stack": "cpu", "image": "id"}
    assert verb("image", "--missing", "--cases", "cpu-1", "cpu-2") == [present]
    assert verb("image", "--missing", "--here", "devices", "--cases") == [present]
    assert verb("image", "--missing", "--cases", "cpu-3", code=UsageError.exit_code) == []
    monkeypatch.setattr(buildah, "is_here", lambda image: False)
    monkeypatch.setattr(build, "plan", lambda *arguments: None)
    monkeypatch.setattr(build, "execute", lambda planned, task: built)
    (event,) = verb("image", "cpu", "--missing")
    assert event["event"] == "built"


def test_image_names_what_it_built_and_pushed(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build.BuiltImage("id", "localhost/x", "base", True, "0" * 40, "inputs", 7, 2_000_000, "1.28.2")
    monkeypatch.setattr(build, "plan", lambda *arguments: None)
    monkeypatch.setattr(build, "execute", lambda planned, task: built)
    entry = PushedImage("registry.example/team/x", f"sha256:{'1' * 64}", "inputs")
    monkeypatch.setattr(push, "push", lambda name, image, team: entry)
    monkeypatch.setattr(container_registry, "knock", lambda reference: None)
    image, pushed = verb("image", "cpu", "--push", "registry.example/team")
    assert (image["event"], image["packages"], image["size_bytes"], image["base_is_pinned"]) == ("built", 7, 2e6, True)
    assert pushed == {"event": "pushed", "stack": "cpu", "reference": entry.reference}


@dataclass(frozen=True)
class Question:
    """A question whose answer, or whose error, is known."""

    where: LockPath
    answer: str | KitError | None

    def ask(self) -> str | None:
        if isinstance(self.answer, KitError):
            raise self.answer
        return self.answer

    problem = ask


def test_lock_says_what_became_of_each_pin(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["1.0", None, Unreachable("silent."), InputError("no such tag.")]
    questions = [Question(("models", str(number)), answer) for number, answer in enumerate(answers)]

    def plan(lock: Lock, kind: str, stack: str | None, on_yanked: resolve.OnYanked) -> list[Question]:
        on_yanked("sample", "1.0")
        return questions

    monkeypatch.setattr(resolve, "plan", plan)
    monkeypatch.setattr(resolve, "unresolved", lambda lock: [("models", "1")])
    monkeypatch.setattr(lock_editor, "edit", lambda path, values: True)
    announced = verb("lock", "--only", "hub", code=InputError.exit_code)
    assert [(event["event"], event.get("pin"), event.get("value", event.get("message"))) for event in announced] == [
        ("resolved", "models.0", "1.0"),
        ("unresolved", "models.1", None),
        ("yanked", None, None),
        ("not-there", "models.1", "its origin has none"),
        ("not-reached", "models.2", "silent."),
        ("not-there", "models.3", "no such tag."),
    ]
    monkeypatch.setattr(presence, "plan", lambda lock, only, stack: questions)
    monkeypatch.setattr(agreement, "refuse_contradictions", lambda lock: None)
    *_, counted, silent = verb("lock", "--check", "--online", code=InputError.exit_code)
    assert (counted["present_pins"], counted["gone_pins"], counted["silent_pins"]) == (1, 2, 1)
    assert silent == {"event": "not-reached", "pin": "models.2", "message": "silent."}


def test_lock_counts_what_it_checked(verb: Verb) -> None:
    (checked,) = verb("lock", "--check")
    assert checked["requirements_files"] > 5


def test_reach_says_that_all_hosts_are_reached(verb: Verb) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        Path("hostfile").write_text("127.0.0.1 slots=1\n")
        port = server.getsockname()[1]
        (reached,) = verb("reach", "hostfile", "--port", port)
    assert (reached["addresses"], reached["port"]) == (["127.0.0.1"], port)


def test_bench_refuses_json_among_the_lines_of_a_log(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json", "--frames", "x.json"]) == UsageError.exit_code
    assert "Leave one of them out" in json.loads(capsys.readouterr().err)["message"]


def test_from_takes_what_the_verb_before_printed_as_json(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    result = samples.result()
    Path("a log").mkdir()
    Path("a log/b.log").write_text("\n".join(frame.write(result["attempt"]["id"], strictjson.pretty(result).encode())))
    Path("logs").write_text(
        '{"event": "ended", "run": "b"}\n{"event": "log", "run": "b", "path": "a log/b.log"}\n{"event": "log"}\n'
    )
    assert main(["collect", "--from", "logs", "--json"]) == 0
    output, errors = capsys.readouterr()
    assert errors.count("is no path of a log and is left out") == 2
    Path("results.jsonl").write_text(output)
    assert main(["compare", "--from", "results.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"]


def printers() -> Iterator[Path]:
    """Yield the modules of the verbs that print events."""
    for name in set(VERBS) - WITHOUT_EVENTS:
        yield Path(str(sys.modules[VERBS[name].module].__file__))


def test_a_verb_with_events_prints_nothing_else_on_standard_output() -> None:
    assert [event.word for event in json_events.events("lock") if issubclass(event, Complaint)]
    for path in printers():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                streams = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "file"]
                assert streams == ["sys.stderr"], f"{path}:{node.lineno}"
