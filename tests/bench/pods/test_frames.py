from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any, Mapping

import pytest

from runner.__main__ import main
from runner.contract import frame
from runner.contract.errors import DamagedResult, InputError, UsageError
from tests.support.journals import journal

FIRST, SECOND = "20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / "cpu-1-0123456789ab" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def framed(capsys: pytest.CaptureFixture[str]) -> tuple[tuple[Mapping[str, bytes], dict[str, DamagedResult]], str]:
    out, err = capsys.readouterr()
    return frame.read(out.splitlines(), "a log"), err


def test_every_result_below_a_folder_is_printed_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, FIRST + ".json", b"first")
    put(tmp_path, SECOND + ".json", b"second" * 9000)
    put(tmp_path, FIRST + ".jsonl", b"rows")
    put(tmp_path, "." + SECOND + ".json.0a1b2c3d.tmp", b"half")
    put(tmp_path, "notes.json", b"{}")
    assert main(["frames", str(tmp_path)]) == 0
    assert framed(capsys) == (({FIRST: b"first", SECOND: b"second" * 9000}, {}), f"2 result(s) in {tmp_path}\n")


def test_since_leaves_out_what_began_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, FIRST + ".json", b"first")
    put(tmp_path, SECOND + ".json", b"second")
    assert main(["frames", str(tmp_path), "--since", "20261122T103000Z"]) == 0
    assert framed(capsys)[0] == ({SECOND: b"second"}, {})


def test_an_empty_folder_and_none_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert main(["frames", str(folder)]) == 0
        assert framed(capsys) == (({}, {}), f"0 result(s) in {folder}\n")


def test_a_result_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / (FIRST + ".json")).symlink_to(tmp_path / "gone")  # as a file whose storage has gone answers
    assert main(["frames", str(tmp_path)]) == InputError.exit_code
    message = "cannot be read: No such file or directory; it is a link to .*gone, which is not there. Check the volume's owner and mode."
    assert re.search(message, capsys.readouterr().err)


def test_a_folder_that_may_not_be_read_is_said_and_the_rest_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, FIRST + ".json", b"first")
    (tmp_path / "private").mkdir()
    whole = os.scandir

    def scandir(place: str) -> Any:
        if str(place).endswith("private"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        return whole(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert main(["frames", str(tmp_path)]) == DamagedResult.exit_code
    printed, err = framed(capsys)
    assert printed == ({FIRST: b"first"}, {})
    assert f"{tmp_path / 'private'} cannot be read: Permission denied" in err


def test_what_is_no_regular_file_or_no_folder_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / (FIRST + ".json"))
    assert main(["frames", str(tmp_path)]) == InputError.exit_code
    assert "it is a FIFO" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["frames", str(tmp_path / "file")]) == DamagedResult.exit_code
    assert "file cannot be read: Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("since", ["2026", "x", "20261122T103000", "2026112\u0662T103000Z"])
def test_a_time_of_another_form_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], since: str) -> None:
    assert main(["frames", str(tmp_path), "--since", since]) == UsageError.exit_code
    assert "is no time. Write YYYYMMDDTHHMMSSZ" in capsys.readouterr().err


def test_what_a_killed_run_had_measured_is_printed_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, path = journal(tmp_path)
    assert main(["frames", str(tmp_path)]) == 0
    assert framed(capsys)[0] == ({}, {})  # it still runs
    kept.close(discard=False)
    assert main(["frames", str(tmp_path)]) == 0
    (content,) = framed(capsys)[0][0].values()
    assert json.loads(content)["attempt"]["status"] == "interrupted"
    assert not path.exists()
