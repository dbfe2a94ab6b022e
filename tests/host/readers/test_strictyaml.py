import pytest

from runner.contract.errors import InputError
from runner.host.readers import strictyaml


def test_every_scalar_is_text():
    value = strictyaml.loads(b"version: 1.10\nflag: no\nday: 2023-06-15\ntime: 1:30\nlist: [1, ~]\n", "f")
    assert value == {"version": "1.10", "flag": "no", "day": "2023-06-15", "time": "1:30", "list": ["1", "~"]}


def test_places_are_known():
    value = strictyaml.loads(b"a: 1\nb:\n  c: two\n", "f")
    assert value["b"].lines == {"c": 3}
    start, end = value["b"].spans["c"]
    assert b"a: 1\nb:\n  c: two\n"[start:end] == b"two"


@pytest.mark.parametrize(
    "raw, problem",
    [
        (b"a: 1\na: 2\n", "f:2: the key 'a' stands twice (first on line 1)"),
        (b"a: &x 1\nb: *x\n", "f:1: an anchor stands here"),
        (b"b: *x\n", "f:1: an alias stands here"),
        (b"a: {b: 1}\n<<: {c: 2}\n", "f:2: a merge key stands here"),
        (b"a: !!int 1\n", "f:1: the tag"),
        (b"a: !!python/object/apply:os.system [x]\n", "f:1: the tag"),
        (b"a:\nb: 1\n", "f:1: a value is missing"),
        (b"? [a]\n: 1\n", "f:1: a key must be plain text"),
        (b"a: 1\n---\nb: 2\n", "f:2: a second document stands here"),
        (b"a: [1\n", "f:2: not YAML: expected ',' or ']', but got '<stream end>'"),
        (b"a: 1\n\tb: 2\n", "f:2: not YAML: found character '\\t' that cannot start any token"),
        (b"a: \x01\n", "f: not YAML: special characters are not allowed"),
        (b"", "f: it is empty"),
        (b"\xff\xfe", "not"),
        (b"a: \xff", "byte 3 is not UTF-8"),
        (b"{" * 30 + b"a: 1" + b"}" * 30, "f:1:"),
        (b"a: [" + b"[" * 20 + b"]" * 20 + b"]", "nested deeper than 12"),
    ],
)
def test_what_is_not_strict_is_refused_with_file_and_line(raw, problem):
    with pytest.raises(InputError) as caught:
        strictyaml.loads(raw, "f")
    assert problem in str(caught.value)
    assert "git checkout" in str(caught.value)


def test_a_large_file_is_refused_unparsed():
    with pytest.raises(InputError, match="more than 1048576 bytes"):
        strictyaml.loads(b"#" * (strictyaml.MAX_BYTES + 1), "f")


def test_a_merge_bomb_is_refused_at_once():
    bomb = b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (n, n, n - 1, n - 1) for n in range(98, 110))
    with pytest.raises(InputError, match="an anchor stands here"):
        strictyaml.loads(bomb, "f")


@pytest.mark.parametrize("opening, inside, closing, most", [(b"[", b"", b"]", 13), (b"{a: ", b"1", b"}", 12)])
def test_the_depth_is_bounded_for_lists_and_mappings_alike(opening, inside, closing, most):
    strictyaml.loads(opening * most + inside + closing * most, "f")
    with pytest.raises(InputError, match="nested deeper than 12"):
        strictyaml.loads(opening * (most + 1) + inside + closing * (most + 1), "f")


def test_a_file_as_large_as_allowed_is_read_and_a_larger_one_refused(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\n#".ljust(strictyaml.MAX_BYTES, b"#"))
    assert strictyaml.read(path) == {"a": "1"}
    path.write_bytes(path.read_bytes() + b"#")
    with pytest.raises(InputError, match="more than 1048576 bytes"):
        strictyaml.read(path)


def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path):
    path = tmp_path / "f.yaml"
    with pytest.raises(InputError) as caught:
        strictyaml.read(path)
    assert str(caught.value).startswith(f"{path} cannot be read: No such file or directory. ")
    path.write_bytes(b"a: [1")
    with pytest.raises(InputError) as caught:
        strictyaml.read(path)
    assert str(caught.value).startswith(f"{path}:1: not YAML: ")


def test_a_text_that_is_read_again_is_the_caller_s_own():
    first = strictyaml.loads(b"a: {b: [c]}\n", "here")
    spans = dict(first["a"].spans)
    first["a"]["b"].append("changed")
    first["a"].spans.clear()
    again = strictyaml.loads(b"a: {b: [c]}\n", "here")
    assert again == {"a": {"b": ["c"]}} and again["a"].spans == spans
