"""What changed between neighbours is computed from what was recorded, and the record is of the stacks that the lock has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from docs import time_machine
from runner.contract.errors import InputError, Unreachable
from runner.host.readers import catalog, lockfile
from tests.emulation import __main__ as front
from tests.emulation import calls, changes

TOKENS: dict[str, object] = {"new_tokens": 100, "sha256": "1" * 64, "equal_plain": True}


def stack(name: str, **different: object) -> changes.Stack:
    """Return a stack as it is recorded; ``different`` replaces parts of what ran."""
    seen: dict[str, object] = {
        "engine": "optimum-habana",
        "engine_observed": "optimum-habana",
        "ranks": 1,
        "python": "3.8.18",
        "packages": {"torch": "2.0.1"},
        "stood_in": {},
        "tokens": TOKENS,
        "forward_calls": 100,
        "graph_builds": 2,
        "first_generate": [],
        "generate": [{"times": 100, "calls": ["mark_step"]}],
        "operators": {"seen_by": "torch's dispatcher", "new_tokens": 8},
    }
    return {
        "stack": name,
        "revisions": [],
        "pins": changes.pins_of(name),
        "cannot": None,
        "seen": {**seen, **different},
        "calls": {"device::mark_step": 100, "aten::add": 8},
    }


def test_neighbours_are_the_releases_of_one_device_in_order() -> None:
    pairs = changes.neighbours()
    assert pairs[:2] == [("gaudi-1.8", "gaudi-1.9"), ("gaudi-1.9", "gaudi-1.10")]
    assert ("gaudi-1.10", "gaudi-1.24") in pairs and ("cuda-2023", "cuda") in pairs
    devices = lockfile.read().stacks
    assert all(devices[older].device == devices[newer].device != "cpu" for older, newer in pairs)


def test_each_revision_of_the_post_has_its_stack() -> None:
    of = {name: changes.revisions_of(name) for name in calls.names()}
    assert {name: of[name] for name in ("gaudi-1.8", "gaudi-1.9", "gaudi-1.10")} == {
        "gaudi-1.8": ["post-1"],
        "gaudi-1.9": ["post-2"],
        "gaudi-1.10": ["post-3"],
    }
    posts = {name for name in catalog.read().claim_sources if name.startswith("post-")}
    assert {revision for revisions in of.values() for revision in revisions} == posts


def test_kinds_of_calls_are_added_removed_and_changed() -> None:
    assert changes.differences({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4, "d": 5}) == {
        "added": {"d": 5},
        "removed": {"a": 1},
        "changed": {"c": [3, 4]},
    }


def test_two_equal_stacks_differ_in_their_pins_alone() -> None:
    change = changes.between(stack("gaudi-1.9"), stack("gaudi-1.10"))
    pins = {row["pin"]: (row["before"], row["after"]) for row in change["packages"]}
    locked = lockfile.read().stacks
    assert pins["torch"] == tuple(locked[name].packages["torch"].version for name in ("gaudi-1.9", "gaudi-1.10"))
    assert "transformers" not in pins and "Python" not in pins
    assert (change["tokens"], change["generate"]) == ("equal", True)
    assert change["calls"] == {"added": {}, "removed": {}, "changed": {}}
    assert change["others"]["moved"] > 0


@pytest.mark.parametrize(
    "different, tokens, generate",
    [
        ({"tokens": {**TOKENS, "sha256": "2" * 64}}, "other", True),
        ({"tokens": {**TOKENS, "new_tokens": 12}}, "not comparable", True),
        ({"generate": [{"times": 101, "calls": ["mark_step"]}]}, "equal", False),
        ({"generate": []}, "equal", None),
    ],
)
def test_another_token_and_another_call_to_the_device_show(
    different: Mapping[str, Any], tokens: str, generate: bool | None
) -> None:
    change = changes.between(stack("gaudi-1.9"), stack("gaudi-1.10", **different))
    assert (change["tokens"], change["generate"]) == (tokens, generate)


def test_a_stack_that_did_not_run_is_told_with_the_reason_and_compared_by_its_pins() -> None:
    silent: changes.Stack = {**stack("gaudi-1.8"), "seen": None, "calls": {}, "cannot": "the commit was not had"}
    change = changes.between(silent, stack("gaudi-1.9"))
    assert change["packages"] and (change["tokens"], change["generate"], change["calls"]) == (None, None, None)
    told = changes.told({"schema": changes.SCHEMA, "stacks": [silent, stack("gaudi-1.9")], "changes": [change]})
    assert "the commit was not had" in told and "tokens: not known" in told


def test_a_stack_whose_commit_is_out_of_reach_is_recorded_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> calls.Calls:
        raise Unreachable("gaudi-1.8 cannot be built: the commit was not had.")

    monkeypatch.setattr(calls, "observe", refuse)
    made = changes.observed("gaudi-1.8", None, lambda text: None)
    assert (made["seen"], made["cannot"]) == (None, "gaudi-1.8 cannot be built: the commit was not had.")


def test_a_record_that_lacks_a_stack_is_not_written_over_a_whole_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent: changes.Stack = {**stack("gaudi-1.8"), "seen": None, "cannot": "no commit"}
    made: changes.Record = {"schema": changes.SCHEMA, "stacks": [silent], "changes": []}
    monkeypatch.setattr(changes, "RECORD", tmp_path / "record.json")
    with pytest.raises(InputError, match=r"is left as it was, since not every stack ran\. gaudi-1\.8: no commit"):
        changes.write(made, changes.RECORD)
    assert not changes.RECORD.exists()
    # another file is what was asked for
    changes.write(made, tmp_path / "other.json")
    assert changes.read(tmp_path / "other.json") == made
    with pytest.raises(InputError, match="is not there. Make it with `make bench-stacks"):
        changes.read()


def test_a_stack_alone_is_run_again_and_the_others_are_taken_from_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def fake(name: str, engine: str | None, show: object) -> changes.Stack:
        made.append(name)
        return stack(name, tokens={**TOKENS, "sha256": "2" * 64})

    monkeypatch.setattr(changes, "observed", fake)
    earlier: changes.Record = {
        "schema": changes.SCHEMA,
        "stacks": [stack("gaudi-1.9"), stack("gaudi-1.10")],
        "changes": [],
    }
    again = changes.record(lambda text: None, ["gaudi-1.10"], earlier)
    assert made == ["gaudi-1.10"]
    assert [row["stack"] for row in again["stacks"]] == ["gaudi-1.9", "gaudi-1.10"]
    (change,) = again["changes"]
    assert (change["before"], change["after"], change["tokens"]) == ("gaudi-1.9", "gaudi-1.10", "other")


def test_the_command_prints_the_tables_writes_the_file_and_fails_for_other_tokens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [stack("gaudi-1.9"), stack("gaudi-1.10", tokens={**TOKENS, "equal_plain": False})]
    made: changes.Record = {"schema": changes.SCHEMA, "stacks": rows, "changes": [changes.between(*rows)]}
    monkeypatch.setattr(changes, "record", lambda *_arguments: made)
    assert front.main(["--changes", "--json", str(tmp_path / "record.json")]) == 1
    said = capsys.readouterr().out
    assert "gaudi-1.9 -> gaudi-1.10" in said and "OTHER TOKENS" in said and "Times are not told" in said
    assert json.loads((tmp_path / "record.json").read_text()) == made


# What was recorded, and what the page makes of it.


def kept() -> list[str]:
    """Return the stacks that are never moved: each that a published claim names, and each Gaudi stack."""
    claimed = {claim.stack for claim in catalog.read().claims.values()}
    return [name for name, one in lockfile.read().stacks.items() if one.device == "hpu" or name in claimed]


def test_the_recorded_pins_of_every_kept_stack_are_those_of_the_lock() -> None:
    recorded = {row["stack"]: row["pins"] for row in changes.read()["stacks"]}
    moved = {
        name: (recorded[name], changes.pins_of(name))
        for name in kept()
        if name in recorded and recorded[name] != changes.pins_of(name)
    }
    assert moved == {}, 'a kept stack has moved: run `make bench-stacks ARGS="--changes --write"`'


def test_the_recorded_changes_are_those_between_the_recorded_stacks() -> None:
    record = changes.read()
    by_name = {row["stack"]: row for row in record["stacks"]}
    for change in record["changes"]:
        again = changes.between(by_name[change["before"]], by_name[change["after"]])
        # the needs of a stack that is not kept may have moved in the lock since
        assert {**again, "others": change["others"]} == change
    assert [(change["before"], change["after"]) for change in record["changes"]] == [
        pair for pair in changes.neighbours() if set(pair) <= set(by_name)
    ]


def test_every_recorded_stack_ran_and_gave_the_tokens_of_plain_greedy_decoding() -> None:
    for row in changes.read()["stacks"]:
        seen = row["seen"]
        assert row["cannot"] is None and seen is not None
        assert seen["tokens"]["equal_plain"] is True
        assert seen["forward_calls"] == seen["tokens"]["new_tokens"]


def test_what_a_recorded_stack_ran_is_what_the_lock_pinned_but_for_what_stands_in() -> None:
    for row in changes.read()["stacks"]:
        seen = row["seen"]
        assert seen is not None
        for package, version in row["pins"]["packages"].items():
            ran = seen["packages"][package]
            if ran is not None and version != lockfile.UNRESOLVED and package not in seen["stood_in"]:
                assert ran.split("+")[0] == version, (row["stack"], package)


def test_the_record_tells_what_is_known_to_have_changed() -> None:
    """As the model code of the commits says: ALiBi by cumsum until 1.8, the cache by index_add_ until 1.9, one-hot rows from 1.10 on."""
    found = {(change["before"], change["after"]): change["calls"] for change in changes.read()["changes"]}
    first, second = found["gaudi-1.8", "gaudi-1.9"], found["gaudi-1.9", "gaudi-1.10"]
    assert first is not None and second is not None
    assert "aten::cumsum" in first["removed"]
    assert "aten::index_add_" in second["removed"] and "aten::diag_embed" in second["added"]


def test_the_page_says_which_pin_has_moved_since(monkeypatch: pytest.MonkeyPatch) -> None:
    record = time_machine._record()
    locked = {name: dict(pins) for name, pins in time_machine._locked().items() if name in ("gaudi-1.10", "cpu")}
    of_old = {**record, "stacks": [row for row in record["stacks"] if row["stack"] == "gaudi-1.10"]}
    assert list(time_machine._stale(of_old, {"gaudi-1.10": locked["gaudi-1.10"]})) == []
    locked["gaudi-1.10"]["torch"] = "9.9"
    before = record_pin(record, "gaudi-1.10", "torch")
    assert list(time_machine._stale(of_old, locked)) == [
        f"- `gaudi-1.10` was recorded with torch {before}; the lock has 9.9. {time_machine._AGAIN}.",
        f"- `cpu` is not recorded. {time_machine._AGAIN}.",
    ]
    monkeypatch.setattr(time_machine, "_locked", lambda: locked)
    assert "the lock has 9.9" in time_machine.moved_since()


def record_pin(record: Mapping[str, Any], name: str, package: str) -> str:
    (row,) = (one for one in record["stacks"] if one["stack"] == name)
    version: str = row["pins"]["packages"][package]
    return version
