import os

import pytest

from runner.contract import names
from runner.contract.errors import InputError, UsageError

FIRST, SECOND = "20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"


def listed(tmp_path, content):
    path = tmp_path / "results.txt"
    path.write_bytes(content)
    return str(path)


def test_paths_come_as_they_were_printed_blanks_and_quotes_and_bytes_that_are_no_text(tmp_path):
    wanted = [f"my results/a/{FIRST}.json", f" 'x';$(y)/{SECOND}.json ", os.fsdecode(b"\xff/") + f"{FIRST}.json"]
    path = listed(tmp_path, b"".join(os.fsencode(name) + b"\n" for name in wanted))
    assert names.read_names(path, names.RESULTS) == wanted
    assert names.given(["b.json"], path, names.RESULTS) == ["b.json", *wanted]
    assert names.given(["b.json"], None, names.RESULTS) == ["b.json"]


def test_a_list_that_an_editor_of_windows_saved_names_the_same_paths(tmp_path):
    path = listed(tmp_path, b"\xef\xbb\xbf" + f"a/{FIRST}.json\r\nb/{SECOND}.json\r\n".encode())
    assert names.read_names(path, names.RESULTS) == [f"a/{FIRST}.json", f"b/{SECOND}.json"]


@pytest.mark.parametrize("kind", [names.RESULTS, names.REQUESTS, names.LOGS, names.MANIFESTS])
@pytest.mark.parametrize("content", [b"", b"\n \n", b"Setting ds_accelerator to cpu\n", b"\0.json.log\n"])
def test_a_list_without_a_path_ends_with_one_sentence(tmp_path, content, kind):
    path = listed(tmp_path, content)
    with pytest.raises(InputError, match=rf"{path} lists no {kind.what}: .* Read what was said there"):
        names.read_names(path, kind)


@pytest.mark.parametrize(
    "kind, own",
    [
        (names.RESULTS, f"results/a/{FIRST}.json"),
        (names.REQUESTS, "build/requests/cpu-1-0123.json"),
        (names.LOGS, "build/runs/a b/pod.log"),
        (names.MANIFESTS, "."),
    ],
)
def test_a_line_that_a_library_printed_is_no_name_and_is_said(tmp_path, capsys, kind, own):
    path = listed(tmp_path, f"{own}\n\x1b[31mloading checkpoint shards: 100%\n".encode())
    assert names.read_names(path, kind) == [own]
    told = capsys.readouterr().err
    assert (
        told
        == f"{path}: line 2 is no path of a {kind.what} and is left out: \\x1b[31mloading checkpoint shards: 100%\n"
    )


def test_a_whole_log_that_is_named_by_mistake_is_told_in_a_few_lines(tmp_path, capsys):
    path = listed(tmp_path, b"x\n" * 5000)
    with pytest.raises(InputError, match="lists no result"):
        names.read_names(path, names.RESULTS)
    *_, last = told = capsys.readouterr().err.splitlines()
    assert len(told) == names.MOST_TOLD + 1 and last.endswith(
        "4,990 more lines are no path of a result and are left out"
    )


def test_a_path_that_stands_beside_other_text_is_not_lost_in_silence(tmp_path):
    line = f"100%results/a/{FIRST}.json done"
    assert names.read_names(listed(tmp_path, line.encode()), names.RESULTS) == [line]


def test_a_list_that_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name, reason in {"fifo": "FIFO", "gone": "No such file", ".": "directory"}.items():
        with pytest.raises(InputError, match=reason):
            names.read_names(str(tmp_path / name), names.RESULTS)


@pytest.mark.parametrize("folder", ["a\nb", "a\rb", "\x1b[31m", "tab\t"])
def test_a_folder_whose_paths_would_be_several_lines_is_refused(folder):
    with pytest.raises(UsageError, match="holds a line break or another control .* another folder with --results"):
        names.refuse_unlistable(folder, "--results")
    with pytest.raises(UsageError, match="--results is empty"):
        names.refuse_unlistable("", "--results")
    names.refuse_unlistable("my r\u00e9sults/\udcff 'x';", "--results")
