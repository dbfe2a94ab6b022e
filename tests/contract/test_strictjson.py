from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract import strictjson
from runner.contract.errors import InputError


@pytest.mark.parametrize(
    "raw, problem",
    [
        (b'{"a": 1, "a": 2}', "key 'a' stands twice"),
        (b'{"a": {"b": 1, "b": 1}}', "key 'b' stands twice"),
        (b"NaN", "NaN is not a JSON number"),
        (b"[1, -Infinity]", "-Infinity is not a JSON number"),
        (b"1e999", "1e999 is beyond what a number can hold"),
        (b'"\\ud800"', "not usable JSON"),
        (b"[" * 200000, "nested too deeply"),
        (b"{", "not usable JSON"),
        (b"", "not usable JSON"),
        (b"\xff", "not usable JSON"),
    ],
)
def test_hostile_bytes_are_refused_with_the_place(raw: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        strictjson.loads(raw, "r.json")
    assert str(caught.value).startswith("r.json")


def test_too_many_bytes_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strictjson, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="holds 11 bytes, more than the 10"):
        strictjson.loads(b" " * 11, "r.json")


def test_the_canonical_form_does_not_depend_on_order_and_refuses_nan() -> None:
    assert strictjson.canonical({"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'.encode()
    assert strictjson.sha256_of({"b": 1, "a": 2}) == strictjson.sha256_of({"a": 2, "b": 1})
    with pytest.raises(ValueError):
        strictjson.canonical(float("nan"))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    value = {"text": "ü\n", "numbers": [0.1, 1e-9, 3], "none": None}
    path = tmp_path / "v.json"
    path.write_text(strictjson.pretty(value), encoding="utf-8")
    assert strictjson.read(str(path)) == value
