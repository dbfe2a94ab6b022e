"""A column of a file is read exactly as the file writes it: whichever name, form, block or neighbour it has."""

import hashlib
import json
import os

import pytest

from runner.bench.inputs import column as reader
from runner.contract.errors import InputError
from runner.contract.request import Dataset

WORDS = "word"


def asked(path, column="text", limit=None):
    form = {".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}[path.suffix.lower()]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Dataset("file", path.name, None, None, None, form, sha256, column, limit)


def read(path, column="text", limit=None):
    return reader.read(str(path), asked(path, column, limit))


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "name, beside",
    [
        ("news[1].csv", "news1.csv"),
        ("why?.csv", "whyX.csv"),
        ("x*.csv", "xa.csv"),
        ("{a,b}.csv", "a.csv"),
        ("a::b.csv", "b.csv"),
        ("zip:x.csv", "x.csv"),
        ("Comments [2024].CSV", "Comments 2.CSV"),
        ("**.csv", "deep.csv"),
    ],
)
def test_a_path_is_no_pattern(tmp_path, monkeypatch, name, beside):
    written(tmp_path, beside, "text\nanother file\n")
    path = written(tmp_path, name, "text\nthis file\n")
    assert read(path) == ["this file"]
    monkeypatch.chdir(tmp_path)
    assert reader.read(name, asked(path)) == ["this file"]


CELLS = ["007", "1.10", "True", "NA", "None", "Null", "n/a", "nan", "", "1984", "2021-01-01", "-", "1e5", "inf"]


def test_every_cell_of_csv_is_its_text_however_many_rows_of_words_came_before(tmp_path):
    cells = [WORDS] * 10_001 + [cell for cell in CELLS if cell] + ["a late word"]
    path = written(tmp_path, "late.csv", "text,n\n" + "".join(f"{cell},1\n" for cell in cells))
    assert read(path) == cells


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell])
def test_a_column_of_nothing_but_such_cells_is_text_too(tmp_path, cell):
    assert read(written(tmp_path, "all.csv", f"text,n\n{cell},x\n{cell},2\n")) == [cell, cell]
    content = "".join(json.dumps({"n": n, "text": cell}) + "\n" for n in (1, "x", None, [], {"deep": 1e400}))
    assert read(written(tmp_path, "all.jsonl", content)) == [cell] * 5


BIG = "x" * 1_200_000
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.mark.parametrize(
    "name, content, texts",
    [
        ("bom.csv", b"\xef\xbb\xbftext,n\na,1\n", ["a"]),
        ("windows.csv", "text,n\r\na,1\r\nb,2\r\n", ["a", "b"]),
        ("old_mac.csv", "text,n\ra,1\rb,2", ["a", "b"]),
        ("quoted.csv", 'text,n\n"a ""word"", and\r\nan\nother\r",1\n', ['a "word", and\r\nan\nother\r']),
        ("empty_lines.csv", "\ntext,n\n\na,1\n\n", ["a"]),
        ("inches.csv", 'text,n\n5" disk,1\n', ['5" disk']),
        ("big.csv", f"text,n\n{BIG},1\n", [BIG]),
        ("others_twice.csv", "n,text,n\n1,a,2\n", ["a"]),
        ("blanks.csv", "text,n\n  a ,1\n", ["  a "]),
        ("bom.jsonl", b'\xef\xbb\xbf{"text": "a"}\n', ["a"]),
        ("spaced.jsonl", '\n{"text": "a"}\r\n\n  {"text": "b"}', ["a", "b"]),
        ("separator.jsonl", '{"text": "a\u2028b"}\n', ["a\u2028b"]),
        ("digits.jsonl", '{"n": ' + "9" * 5000 + ', "text": "a"}\n', ["a"]),
        ("nan.jsonl", '{"n": NaN, "text": "a"}\n', ["a"]),
        ("others_twice.jsonl", '{"n": 1, "n": 2, "text": "a"}\n', ["a"]),
        ("array.json", '[\n {"text": "a"},\n {"text": "b", "n": 1}\n]\n', ["a", "b"]),
    ],
)
def test_what_is_whole_is_read_whole(tmp_path, name, content, texts):
    assert read(written(tmp_path, name, content)) == texts


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("twice.csv", "text,text\na,b\n", r"has 2 columns called 'text', and cannot say which is meant"),
        ("twice.jsonl", '{"text": "a", "text": "b"}\n', r", line 1: 'text' stands twice in row 0"),
        ("none.csv", "", "holds no rows. Give a dataset"),
        ("none.jsonl", "\n\n", "holds no rows. Give a dataset"),
        ("none.json", "[]", "holds no rows. Give a dataset"),
        ("header.csv", "text\n", "holds no rows. Give a dataset"),
        ("empty_cell.csv", 'text,n\na,1\n"",2\n', r", line 3: row 1 of column 'text' is ''; only non-empty"),
        ("null.jsonl", '{"text": "a"}\n{"text": null}\n', r", line 2: row 1 of column 'text' is None; only"),
        ("missing.jsonl", '{"text": "a"}\n{"n": 1}\n', r", line 2: row 1 of column 'text' is None; only"),
        ("number.jsonl", '{"text": 1984}\n', r", line 1: row 0 of column 'text' is 1984; only non-empty"),
        ("flag.jsonl", '{"text": true}\n', r"row 0 of column 'text' is True; only non-empty"),
        ("nan.jsonl", '{"text": NaN}\n', r"row 0 of column 'text' is NaN; only non-empty"),
        ("half.jsonl", '{"text": "\\ud800"}\n', "half of a surrogate pair"),
        ("list.jsonl", '["a"]\n', "row 0 is no object with the key 'text'"),
        ("text.jsonl", '{"text": "a"}\n"a"\n', "row 1, line 2 is no object with the key 'text'"),
        ("comma.jsonl", '{"text": "a"},\n', "as json: line 1 is no JSON: something follows the whole value, from its"),
        ("torn.jsonl", '{"text": "a"}\n\n{"text": "b', "as json: line 3 is no JSON: Unterminated string"),
        ("torn.json", '[{"text": "a"},\n{"text": "b"},\n]', "line 3 is no JSON"),
        ("deep.jsonl", '{"n": ' + "[" * 100_000 + "\n", "line 1 is nested too deeply"),
        ("short.csv", "text,n\na,1\nb\n", "line 3 has 1 cells and the header has 2"),
        ("shifted.csv", "text,n\na,1,\nb,2,\n", "line 2 has 3 cells and the header has 2"),
        ("open.csv", 'text,n\na,1\n"b,2\nc,3\n', "row that begins in line 3 is broken: a quote is opened and never"),
        ("latin.csv", "text\na\ncaf\xe9\n".encode("latin-1"), "line 3 is not UTF-8 .*; save it as UTF-8"),
        ("latin.jsonl", '{"text": "caf\xe9"}\n'.encode("latin-1"), "line 1 is not UTF-8"),
        ("wide.csv", "text\na\n".encode("utf-16"), "it is UTF-16; save it as UTF-8"),
        ("wider.csv", "text\na\n".encode("utf-32"), "it is UTF-32; save it as UTF-8"),
        ("wide_no_mark.csv", "text\na\n".encode("utf-16-le"), "line 1 holds a NUL byte"),
        ("nul.csv", b"text\na\0b\n", "line 2 holds a NUL byte"),
        ("packed.csv", b"\x1f\x8b\x08\x00", "it is compressed by gzip"),
        ("sheet.csv", b"PK\x03\x04", "it is a zip archive, as spreadsheets are"),
        ("pointer.csv", POINTER, "it is a pointer of git-lfs, not the file itself; run `git lfs pull`"),
        ("pointer.jsonl", POINTER, "it is a pointer of git-lfs"),
        ("semicolons.csv", "n;text\n1;a, b\n", "its cells are separated by semicolons; save it with commas"),
        ("told.csv", "sep=;\nn;text\n1;a\n", "its cells are separated by semicolons"),
        ("tabs.csv", "n\ttext\n1\ta\n", "its cells are separated by tabs"),
        ("blanks.csv", " text ,n\na,1\n", "has no column 'text'; it has ' text ', n. Name"),
        ("nameless.jsonl", "{}\n", "has no column 'text'; it has none. Name"),
    ],
)
def test_what_cannot_be_read_is_one_short_sentence(tmp_path, name, content, told):
    path = written(tmp_path, name, content)
    with pytest.raises(InputError, match=told) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 250
    assert "\n" not in str(caught.value)


def test_a_long_cell_and_a_wide_header_are_cut_in_a_message(tmp_path):
    many = ",".join(f"column{number}" for number in range(1000))
    with pytest.raises(InputError, match=r"column19 and 980 more. Name one with --column") as caught:
        read(written(tmp_path, "wide.csv", many + "\n"))
    assert len(str(caught.value)) < 800
    blank = written(tmp_path, "blank.csv", "text\n" + " " * 1_200_000 + "\n")
    with pytest.raises(InputError, match="row 0 of column 'text' is ' ") as caught:
        read(blank)
    assert len(str(caught.value)) < 400


def test_only_as_many_rows_as_were_asked_for_are_read(tmp_path):
    assert read(written(tmp_path, "some.jsonl", '{"text": "a"}\n{"text": "b"}\n{torn'), limit=2) == ["a", "b"]


@pytest.mark.parametrize("content", ["text\nanother\n", '"', ""], ids=["other", "damaged", "empty"])
def test_the_bytes_that_are_read_are_the_bytes_that_were_hashed(tmp_path, content):
    path = written(tmp_path, "news.csv", "text\nthe one that was meant\n")
    dataset = asked(path)
    written(tmp_path, "news.csv", content)
    with pytest.raises(InputError, match=r"is not the news.csv that the request was made for: its sha256 differs"):
        reader.read(str(path), dataset)


@pytest.mark.parametrize(
    "make, told",
    [
        (os.mkfifo, "it is a FIFO"),
        (os.mkdir, "Is a directory"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to nowhere, which is not there"),
    ],
    ids=["fifo", "folder", "dangling"],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, make, told):
    path = tmp_path / "rows.csv"
    make(path)
    with pytest.raises(InputError, match=f"rows.csv cannot be read: .*{told}.*Check --dataset-file"):
        reader.read(str(path), Dataset("file", "rows.csv", None, None, None, "csv", "0" * 64, "text", None))


class TestParquet:
    pytestmark = pytest.mark.torch

    @pytest.fixture
    def table(self, tmp_path):
        import pyarrow
        import pyarrow.parquet

        def write(columns, names=None, **options):
            made = pyarrow.Table.from_arrays(list(columns), names=names)
            path = tmp_path / "rows.parquet"
            pyarrow.parquet.write_table(made, path, **options)
            return path

        return pyarrow, write

    def test_texts_are_texts_in_every_kind_of_storage(self, table):
        pyarrow, write = table
        cells = ["007", "NA", "1984"]
        kinds = [pyarrow.string(), pyarrow.large_string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())]
        for kind in [*kinds, *([pyarrow.string_view()] if hasattr(pyarrow, "string_view") else [])]:
            other = pyarrow.array([[{"deep": 1}]] * 3)
            path = write([pyarrow.array(cells, type=kind), other], ["a.text", "n"], row_group_size=2)
            assert read(path, "a.text") == cells
            assert read(path, "a.text", limit=1) == cells[:1]

    def test_what_a_library_wrote_of_another_column_does_not_matter(self, table):
        pyarrow, write = table
        schema = pyarrow.schema(
            [("text", pyarrow.string()), ("n", pyarrow.int64())],
            metadata={"huggingface": json.dumps({"info": {"features": {"n": {"_type": "OfTomorrow"}}}})},
        )
        made = pyarrow.table({"text": ["a"], "n": [1]}, schema=schema)
        path = write(made.columns, ["text", "n"])
        pyarrow.parquet.write_table(made, path)
        assert read(path) == ["a"]

    @pytest.mark.parametrize(
        "columns, names, told",
        [
            ([[1984]], ["text"], "the column 'text' holds int64; only text can be completed"),
            ([[b"a"]], ["text"], "the column 'text' holds binary; only text"),
            ([[{"text": "a"}]], ["text"], "the column 'text' holds struct"),
            ([["a", None]], ["text"], "row 1 of column 'text' is None"),
            ([["a"], ["b"]], ["text", "text"], "has 2 columns called 'text'"),
            ([["a"]], ["n"], "has no column 'text'; it has n"),
        ],
    )
    def test_what_is_no_text_is_refused(self, table, columns, names, told):
        pyarrow, write = table
        path = write([pyarrow.array(cells) for cells in columns], names)
        with pytest.raises(InputError, match=told):
            read(path)

    def test_no_rows_and_a_torn_file_are_one_sentence(self, table):
        pyarrow, write = table
        path = write([pyarrow.array([], type=pyarrow.string())], ["text"])
        with pytest.raises(InputError, match="holds no rows"):
            read(path)
        path.write_bytes(POINTER.encode())
        with pytest.raises(InputError, match="as parquet: it is a pointer of git-lfs"):
            read(path)
        path.write_bytes(b"PAR1" + bytes(99))
        with pytest.raises(InputError, match="cannot be read as parquet: "):
            read(path)
