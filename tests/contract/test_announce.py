from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from runner.contract.announce import Announcer, Complaint, Event, fact
from tests.support import planted


@dataclass(frozen=True)
class Written(Event, word="written"):
    """A file was written."""

    path: str = field(metadata=fact("path of the file"))
    size_bytes: int = field(default=0, metadata=fact("size of the file"))

    @property
    def sentence(self) -> str:
        return self.path


@dataclass(frozen=True)
class Counted(Event, word="counted"):
    """Files were counted."""

    files: int = field(metadata=fact("number of files"))


@dataclass(frozen=True)
class Lost(Complaint, word="lost"):
    """A file was lost."""

    message: str = field(metadata=fact("why"))

    @property
    def sentence(self) -> str:
        return f"lost: {self.message}"


def test_people_get_sentences_and_programs_get_facts(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        announcer = Announcer(as_json)
        for event in (Written("a/b", 7), Counted(3), Lost("a full disk")):
            announcer.announce(event)
    output, errors = capsys.readouterr()
    # people read the number of files elsewhere
    plain, *lines = output.splitlines()
    assert plain == "a/b"
    assert list(map(json.loads, lines)) == [
        {"event": "written", "path": "a/b", "size_bytes": 7},
        {"event": "counted", "files": 3},
    ]
    assert errors == 'lost: a full disk\n{"event": "lost", "message": "a full disk"}\n'


def test_a_list_is_one_text_for_people_and_a_line_for_each_event_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    events = [Written("a"), Written("b")]
    Announcer(as_json=False).announce_together(events, "files:\n  a\n  b\n")
    assert capsys.readouterr().out == "files:\n  a\n  b\n"
    Announcer(as_json=True).announce_together(events, "files:\n  a\n  b\n")
    assert [json.loads(line)["path"] for line in capsys.readouterr().out.splitlines()] == ["a", "b"]


@pytest.mark.parametrize("path", ["a\nb", "soft\u00adhyphen", "\x9b31m", "\udcff", "r\u00e9sults", "\U000e0001", '"\\'])
def test_a_line_is_ascii_and_gives_the_text_back(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    Announcer(as_json=True).announce(Written(path))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isascii() and json.loads(line)["path"] == path


def test_no_secret_is_among_the_facts(capsys: pytest.CaptureFixture[str]) -> None:
    Announcer(as_json=True).announce(Written(f"token={planted.OTHER}/{planted.TOKEN}"))
    line = capsys.readouterr().out
    assert planted.found_in(line) == [] and json.loads(line)["event"] == "written"
