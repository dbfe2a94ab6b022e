from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Iterator, cast

import pytest

from runner.contract import strictjson
from runner.contract.errors import InputError
from runner.contract.request import Dataset, Expected, Model, Request, Stack, Weights, read_request
from runner.contract.words import DatasetFormat
from tests.support import samples

DATASET = Dataset("file", "a.jsonl", None, None, None, "json", "1" * 64, "text", None)


def requests() -> list[Request]:
    latency = samples.request()
    dataset = samples.request(
        case="cpu-dataset", workload=samples.workload(name="dataset", prompt=None, dataset=DATASET)
    )
    return [latency, dataset]


@pytest.mark.parametrize("request_", requests(), ids=lambda made: made.case)
def test_a_request_survives_its_journey(request_: Request, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(strictjson.pretty(request_.to_json()))
    assert read_request(str(path)) == request_


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path


def changed(value: Any, path: tuple[str | int, ...]) -> Any:
    twin = copy.deepcopy(value)
    holder = twin
    for key in path[:-1]:
        holder = holder[key]
    old = holder[path[-1]]
    holder[path[-1]] = not old if isinstance(old, bool) else old + 1 if isinstance(old, (int, float)) else f"{old}x"
    return twin


@pytest.mark.parametrize("path", [path for path in leaves(samples.request().to_json()) if path != ("id",)], ids=str)
def test_no_leaf_can_change_without_being_noticed(path: tuple[str | int, ...]) -> None:
    """Either the id no longer fits the content, or the value itself is refused; nothing passes."""
    with pytest.raises(InputError):
        Request.from_json(changed(samples.request().to_json(), path), "edited")


def test_the_content_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # a page of a thousand requests asks sixteen thousand times
    request = samples.request()
    named = request.id
    monkeypatch.setattr(strictjson, "sha256_of", None)
    assert request.id == named


def test_a_moved_pin_is_a_new_id() -> None:
    stack = samples.request().stack
    moved = Stack(
        stack.name, stack.device, stack.python, stack.launcher, {**stack.packages, "torch": "2.14.0"}, None, None
    )
    assert samples.request(stack=moved).id != samples.request().id
    assert samples.request(stack=moved).id.startswith("cpu-1-")


def nodes(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            yield from nodes(inner, (*path, key))


@pytest.mark.parametrize(
    "path", [path for path in nodes(samples.request().to_json()) if path != ("stack", "packages")], ids=str
)
def test_an_unknown_key_is_refused_at_every_level(path: tuple[str | int, ...]) -> None:
    value = samples.request().to_json()
    holder: Any = value
    for key in path:
        holder = holder[key]
    holder["surprise"] = 1
    value["id"] = "x"
    with pytest.raises(InputError):
        Request.from_json(value, "edited")


def test_a_newer_schema_is_refused_with_one_sentence() -> None:
    with pytest.raises(InputError, match=r"has request schema 4; this version reads up to 3. Use a newer version"):
        Request.from_json({**samples.request().to_json(), "schema": 4}, "r.json")
    with pytest.raises(InputError, match="'schema' must be at least 1"):
        Request.from_json({**samples.request().to_json(), "schema": 0}, "r.json")


@pytest.mark.parametrize("schema", [1, 2])
@pytest.mark.parametrize("package, engine", [("transformers", "plain"), ("optimum-habana", "optimum-habana")])
def test_a_request_of_an_older_schema_keeps_it_and_its_id(schema: int, package: str, engine: str) -> None:
    old = samples.request().to_json()
    old.update(schema=schema)
    for key in ("engine", "id", *(["expected"] if schema < 2 else [])):
        old.pop(key)
    old["stack"]["packages"] = {package: "1.0"}
    old["stack"].pop("firmware")
    if schema < 2:
        old["stack"].pop("driver")
    old["id"] = f"{old['case']}-{strictjson.sha256_of(old)[:12]}"
    read = Request.from_json(old, "r.json")
    assert (read.id, read.to_json(), read.expected) == (old["id"], old, Expected(None, None))
    assert read.engine == engine


def test_the_engine_is_part_of_the_id_and_one_of_those_that_are_known() -> None:
    assert samples.request(engine="compiled").id != samples.request().id
    with pytest.raises(InputError, match="'engine' is 'fast'; it must be one of compiled, kernel-injection"):
        samples.request(engine="fast")


def test_what_is_expected_is_part_of_the_id() -> None:
    asked = samples.request(expected=Expected("1" * 64, None))
    assert asked.id != samples.request().id
    assert Request.from_json(asked.to_json(), "r.json").expected.input_ids_sha256 == "1" * 64
    with pytest.raises(InputError, match="'input_ids_sha256' must be a sha256 in hex"):
        samples.request(expected=Expected("1" * 63, None))


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"case": "Über"}, "'case' must be at most 40 lower-case letters"),
        ({"margin": 5}, "'margin' must be a fraction below 1, 5 was found"),
        ({"stack": Stack("x", "cuda", "3.8", "deepspeed", {}, None, None)}, "is for cuda, not cpu"),
        ({"workload": samples.workload(prompt=None)}, "a latency workload has a prompt"),
        ({"workload": samples.workload(dataset=DATASET)}, "a latency workload has a prompt"),
        ({"launches": 0}, "'launches' must be at least 1"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        samples.request(**changes)


def test_a_dataset_s_format_is_never_the_name_of_something_else() -> None:
    """The name goes to ``datasets.load_dataset``, which would take a folder or a repository too."""
    for name in ("somebody/scripts", "./folder", "text"):
        # a format that no ``Literal`` has
        dataset = Dataset("file", "a.jsonl", None, None, None, cast(DatasetFormat, name), "0" * 64, "text", None)
        with pytest.raises(InputError, match="'format' is .*; it must be one of csv, json, parquet"):
            samples.request(workload=samples.workload(name="dataset", prompt=None, dataset=dataset))


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file or directory"):
        read_request(str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_request(str(tmp_path))


HOSTILE = ["../x", "--x", "a;b", "a\n", "a\u200b", "\u0430", "a\x1b[2J", "", "0" * 64, "0" * 40, "a" * 5000]
FREE = {"prompt", "source", "column"}  # never a part of a command, a path or an object's name


def _texts(value: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, str):
        yield where
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _texts(part, (*where, key))


def _whole() -> Request:
    """Return a request in which every text that a request may have stands."""
    dataset = Dataset("hub", "somebody/news", "1a" * 20, "all", "test", None, None, "text", None)
    return samples.request(
        stack=Stack(
            "cpu",
            "cpu",
            "3.10",
            "deepspeed",
            {"torch": "2.13.0"},
            "1a" * 32,
            f"a.example/x@sha256:{'1a' * 32}",
            "1.0",
            "1.0",
        ),
        model=Model("bloom-tiny", samples.TINY, "somebody/bloom", "1a" * 20, {"a.safetensors": "1a" * 32}),
        weights=Weights("hub", None, None),
        workload=samples.workload(name="dataset", prompt=None, dataset=dataset),
        expected=Expected("1a" * 32, "2b" * 32),
    )


def test_no_text_of_a_request_takes_what_an_object_a_path_or_a_program_would_read_otherwise() -> None:
    whole = _whole().to_json()
    text_paths = [where for where in _texts(whole) if where != ("id",)]
    assert len(text_paths) > 30
    for where in text_paths:
        for text in HOSTILE:
            if where[-1] in FREE and text in ("../x", "--x", "a;b", "\u0430"):
                continue
            if set(text) == {"0"} and not (
                str(where[-1]).endswith(("sha256", "revision", "image")) or "files" in where
            ):
                continue
            changed = json.loads(json.dumps(whole))
            part = changed
            for key in where[:-1]:
                part = part[key]
            part[where[-1]] = text
            del changed["id"]
            changed["id"] = (
                f"{changed['case']}-{strictjson.sha256_of(changed)[:12]}"  # whoever edits it can seal it too
            )
            with pytest.raises(InputError):
                pytest.fail(f"{where} took {text!r}: {Request.from_json(changed, 'r.json')}")


@pytest.mark.parametrize("name", ["../x", "a b", "\u0430", "A\n", "-x", "/x.bin", "a@https://x"])
@pytest.mark.parametrize("table", [("stack", "packages"), ("model", "files")])
def test_no_name_in_a_request_leads_elsewhere(table: tuple[str, str], name: str) -> None:
    changed = _whole().to_json()
    part = changed[table[0]][table[1]]
    part[name] = next(iter(part.values()))
    with pytest.raises(InputError, match=f"{table[0]}.{table[1]}: a name must be"):
        Request.from_json(changed, "r.json")


@pytest.mark.parametrize(
    "where, number",
    [
        (("launches",), 10**7),
        (("devices",), 10**6),
        (("margin",), 5),
        (("margin",), 1),
        (("workload", "output_tokens"), 10**8),
        (("workload", "batch_size"), 10**18),
        (("protocol", "timed_calls"), 10**8),
    ],
)
def test_no_number_of_a_request_is_beyond_any_run(where: tuple[str | int, ...], number: float) -> None:
    changed = _whole().to_json()
    part: Any = changed
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = number
    with pytest.raises(InputError, match=f"'{where[-1]}' must be (at most|a fraction below) "):
        Request.from_json(changed, "r.json")
