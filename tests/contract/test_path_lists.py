from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runner.contract import path_lists
from runner.contract.errors import InputError, UsageError

FIRST, SECOND = "20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"


def listed(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "results.txt"
    path.write_bytes(content)
    return str(path)


def test_paths_come_as_they_were_printed_blanks_and_quotes_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    wanted = [f"my results/a/{FIRST}.json", f" 'x';$(y)/{SECOND}.json ", os.fsdecode(b"\xff/") + f"{FIRST}.json"]
    path = listed(tmp_path, b"".join(os.fsencode(name) + b"\n" for name in wanted))
    assert path_lists.read_paths(path, path_lists.RESULTS) == wanted
    assert path_lists.given(["b.json"], path, path_lists.RESULTS) == ["b.json", *wanted]
    assert path_lists.given(["b.json"], None, path_lists.RESULTS) == ["b.json"]


def test_a_list_that_an_editor_of_windows_saved_names_the_same_paths(tmp_path: Path) -> None:
    path = listed(tmp_path, b"\xef\xbb\xbf" + f"a/{FIRST}.json\r\nb/{SECOND}.json\r\n".encode())
    assert path_lists.read_paths(path, path_lists.RESULTS) == [f"a/{FIRST}.json", f"b/{SECOND}.json"]


@pytest.mark.parametrize("kind", [path_lists.RESULTS, path_lists.REQUESTS, path_lists.LOGS, path_lists.MANIFESTS])
@pytest.mark.parametrize("content", [b"", b"\n \n", b"Setting ds_accelerator to cpu\n", b"\0.json.log\n"])
def test_a_list_without_a_path_ends_with_one_sentence(
    tmp_path: Path, content: bytes, kind: path_lists.PathKind
) -> None:
    path = listed(tmp_path, content)
    with pytest.raises(InputError, match=rf"{path} lists no {kind.what}: .* Read what was said there"):
        path_lists.read_paths(path, kind)


@pytest.mark.parametrize(
    "kind, expected",
    [
        (path_lists.RESULTS, f"results/a/{FIRST}.json"),
        (path_lists.REQUESTS, "build/requests/cpu-1-0123.json"),
        (path_lists.LOGS, "build/runs/a b/pod.log"),
        (path_lists.MANIFESTS, "."),
    ],
)
def test_a_line_that_a_library_printed_is_no_name_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: path_lists.PathKind, expected: str
) -> None:
    path = listed(tmp_path, f"{expected}\n\x1b[31mloading checkpoint shards: 100%\n".encode())
    assert path_lists.read_paths(path, kind) == [expected]
    errors = capsys.readouterr().err
    assert (
        errors
        == f"{path}: line 2 is no path of a {kind.what} and is left out: \\x1b[31mloading checkpoint shards: 100%\n"
    )


def test_a_whole_log_that_is_named_by_mistake_is_told_in_a_few_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = listed(tmp_path, b"x\n" * 5000)
    with pytest.raises(InputError, match="lists no result"):
        path_lists.read_paths(path, path_lists.RESULTS)
    *_, last = lines = capsys.readouterr().err.splitlines()
    assert len(lines) == path_lists.MAX_SHOWN + 1 and last.endswith(
        "4,990 more lines are no path of a result and are left out"
    )


def test_a_line_of_json_gives_the_path_of_its_event(tmp_path: Path) -> None:
    wanted = [f"my results/{FIRST}.json", f"\u00e9\udcff/{SECOND}.json"]
    lines = [json.dumps({"event": "result", "path": path, "case": "cpu-1"}) for path in wanted]
    path = listed(tmp_path, "\r\n".join(lines).encode())
    assert path_lists.read_paths(path, path_lists.RESULTS) == wanted


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "request", "path": "build/a.json"}',
        '{"event": "log", "path": 7}',
        '{"event": "log"}',
        '{"event": "log", "path": "a\\u0000.log"}',
        '{"path": "a library logs this"}',
        "{'event': 'log'}",
        '{"a":' * 100_000,
    ],
)
def test_a_line_of_json_that_is_no_event_of_a_path_is_left_out(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert path_lists.read_paths(listed(tmp_path, f"a.log\n{line}\n".encode()), path_lists.LOGS) == ["a.log"]
    assert "line 2 is no path of a log and is left out: " in capsys.readouterr().err


def test_a_path_of_json_that_no_file_can_have_is_no_path(tmp_path: Path) -> None:
    line = '{"event": "log", "path": "\\ud800.log"}'
    assert path_lists.read_paths(listed(tmp_path, line.encode()), path_lists.LOGS) == [line]


def test_a_path_that_stands_beside_other_text_is_not_lost_in_silence(tmp_path: Path) -> None:
    line = f"100%results/a/{FIRST}.json done"
    assert path_lists.read_paths(listed(tmp_path, line.encode()), path_lists.RESULTS) == [line]


def test_a_list_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, reason in {"fifo": "FIFO", "gone": "No such file", ".": "directory"}.items():
        with pytest.raises(InputError, match=reason):
            path_lists.read_paths(str(tmp_path / name), path_lists.RESULTS)


@pytest.mark.parametrize("folder", ["a\nb", "a\rb", "\x1b[31m", "tab\t"])
def test_a_folder_whose_paths_would_be_several_lines_is_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="holds a line break or another control .* another folder with --results"):
        path_lists.refuse_unlistable(folder, "--results")
    with pytest.raises(UsageError, match="--results is empty"):
        path_lists.refuse_unlistable("", "--results")
    path_lists.refuse_unlistable("my r\u00e9sults/\udcff 'x';", "--results")
