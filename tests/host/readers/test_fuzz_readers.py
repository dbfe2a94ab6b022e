"""Readers of foreign bytes end in a value or in a KitError, whatever they are given.

In the tests the examples are the same each time and take about a minute; ``make fuzz SECONDS=600`` draws new ones for as long as asked.
"""

import copy
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import frame, strictjson
from runner.contract.errors import KitError
from runner.contract.request import Request
from runner.host import paths
from runner.host.readers import lockfile, strictyaml
from runner.host.results import result_files
from tests.support import samples

pytestmark = pytest.mark.slow

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**19) + 1, 10**19 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)

EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
settings.load_profile("kit")
settings.register_profile("fuzz", max_examples=int(EXAMPLES or 4000), derandomize=EXAMPLES is None)
settings.load_profile("fuzz")


def _paths(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from _paths(child, (*path, key))


def mutations(start):
    """Return a strategy for ``start`` with one part replaced by anything, or left out."""
    places = [path for path in _paths(start) if path]

    def mutate(choice):
        path, new, drop = choice
        twin = copy.deepcopy(start)
        holder = twin
        for key in path[:-1]:
            holder = holder[key]
        if drop and isinstance(holder, dict):
            holder.pop(path[-1])
        else:
            holder[path[-1]] = new
        return twin

    return st.tuples(st.sampled_from(places), values, st.booleans()).map(mutate)


@given(st.binary(max_size=200))
def test_json_of_any_bytes(raw):
    _ends_well(lambda: strictjson.loads(raw, "f"))


@given(st.binary(max_size=200) | st.text(alphabet="ab:{}[]&*!<-?|>'\"\n #%@`,\t", max_size=60).map(str.encode))
def test_yaml_of_any_bytes(raw):
    _ends_well(lambda: strictyaml.loads(raw, "f"))


@given(values)
def test_what_is_written_is_read_back(value):
    assert strictjson.loads(strictjson.pretty(value).encode(), "f") == value


@given(mutations(samples.request().to_json()))
def test_a_request_with_anything_in_it(value):
    _ends_well(lambda: Request.from_json(value, "f"))


OLD = json.loads((Path(__file__).parents[2] / "data" / "result-1.json").read_text())


@given(mutations(samples.body()) | mutations(OLD))
def test_a_result_with_anything_in_it(tmp_path_factory, value):
    from runner.contract import result as contract

    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    value.pop("sha256", None)
    path.write_bytes(strictjson.pretty(contract.seal(value)).encode())
    _ends_well(lambda: result_files.read_one(path))


FRAME = frame.write("20261122T100000Z-0123abcd", b"\0" * 20_000)


@given(
    st.lists(
        st.text(max_size=40)
        | st.tuples(st.sampled_from(FRAME), st.integers(0, 60), st.text(max_size=3)).map(
            lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]
        )
        | st.sampled_from(FRAME),
        max_size=12,
    )
)
def test_a_log_of_any_lines(lines):
    whole, problems = frame.read(lines, "a log")
    assert set(whole.values()) <= {b"\0" * 20_000, b""}
    assert all("\n" not in str(problem) for problem in problems.values())


# Entries that together have every field that the lock has: a third of the whole lock takes a third of the time to read.
KEPT = {"uv", "buildah", "build", "build38", "gaudi-1.10", "cuda-2023", "cpu", "bloom-fp16", "bloom", "tldr_news"}
KEPT |= {"optimum-habana-1.10", "habana-deepspeed-1.10", "habana-deepspeed-1.9", "pdsh-2.31", "post"}
KEPT |= {"cuda", "setup-and-install-1.22", "actions/checkout", "cosign"}


def _short_lock():
    """Return the lines of the lock, comments left out, with the entries of ``KEPT`` alone in each of its mappings."""
    lines, kept = [], True
    for line in paths.LOCK.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("  ") and line[2] not in " #":
            kept = line.strip().rstrip(":") in KEPT
        elif not line.startswith("  "):
            kept = not line.startswith("#")
        if kept and line.strip():
            lines.append(line)
    return lines


LINES = _short_lock()
CHANGES = {
    "drop": lambda line: "",
    "double": lambda line: line * 2,
    "indent": lambda line: "  " + line,
    "outdent": lambda line: line.removeprefix("  "),
}


def _lock_ends_well(folder, number, new):
    path = folder / "versions.lock"
    path.write_text("".join([*LINES[:number], new, *LINES[number + 1 :]]), encoding="utf-8", errors="surrogatepass")
    _ends_well(lambda: lockfile.read(path))


def test_the_short_lock_holds_every_shape_of_the_whole_one(tmp_path):
    """Else a line of another shape would never be changed."""

    def shapes(value, *path):
        """Return the paths of all fields, entries' own names left out."""
        if not isinstance(value, dict):
            return {path}
        entries = len(path) == 1 or path[-1:] in {("packages",), ("programs",), ("sources",)}
        return set().union(*(shapes(inner, *path, "*" if entries else key) for key, inner in value.items()))

    path = tmp_path / "versions.lock"
    path.write_text("".join(LINES), encoding="utf-8")
    lockfile.read(path)
    assert shapes(strictyaml.read(path)) == shapes(strictyaml.read(paths.LOCK))


@pytest.mark.parametrize("how", CHANGES)
def test_a_lock_with_each_line_changed(tmp_path, how):
    for number, line in enumerate(LINES):
        _lock_ends_well(tmp_path, number, CHANGES[how](line))


@settings(max_examples=int(EXAMPLES or 1000))
@given(st.integers(0, len(LINES) - 1), st.text(max_size=12))
def test_a_lock_with_any_text_for_a_line(tmp_path_factory, number, text):
    _lock_ends_well(tmp_path_factory.getbasetemp(), number, text + "\n")


def _ends_well(read):
    try:
        read()
    except KitError as error:
        assert str(error)
        assert "\n" not in str(error)


def test_the_test_can_fail():
    with pytest.raises(ZeroDivisionError):
        _ends_well(lambda: 1 // 0)
