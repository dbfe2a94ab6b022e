"""What a stack does is told by names and shapes alone: the same twice, and another where the stack does one thing more."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import strictjson
from runner.contract.errors import InputError, LaunchFailed
from runner.host.readers import catalog, lockfile
from tests.emulation import calls, drive, reference, runs
from tests.stacks import build

STACK = "gaudi-1.10"

# Behind the end of a module of upstream: each token is followed by one more step.
PLANTED = """

_whole = GaudiGenerationMixin._update_model_kwargs_for_generation


def _planted(self, *arguments, **keywords):
    import habana_frameworks.torch.core as htcore

    htcore.mark_step()
    return _whole(self, *arguments, **keywords)


GaudiGenerationMixin._update_model_kwargs_for_generation = _planted
"""


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_folding_loses_no_call_and_keeps_their_order(sequence: list[str]) -> None:
    assert calls.unfolded(calls.folded(sequence)) == sequence


def test_a_repeated_block_is_told_once() -> None:
    assert calls.folded(["in", *["step", "replay"] * 99, "out"]) == [
        {"times": 1, "calls": ["in"]},
        {"times": 99, "calls": ["step", "replay"]},
        {"times": 1, "calls": ["out"]},
    ]


def test_every_stack_that_runs_without_its_chip_is_named_in_the_lock_s_order() -> None:
    assert calls.names() == [name for name in lockfile.read().stacks if name in [*build.names(), "cuda", "cpu"]]
    assert set(build.names()) < set(calls.names())


def test_a_stack_that_is_not_run_here_and_an_engine_of_another_stack_are_refused() -> None:
    with pytest.raises(InputError, match=r"^gaudi-9\.9 is no stack that runs without its chip\. Take one of gaudi-1\."):
        calls.observe("gaudi-9.9")
    with pytest.raises(InputError, match=r"^Only the stack cpu runs with several engines\. Leave --engine plain out"):
        calls.observe(STACK, engine="plain")


def test_the_command_says_in_words_what_was_wrong_and_ends_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert calls.main(["nothing"]) == InputError.exit_code
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("nothing is no stack that runs without its chip.")


def test_passes_that_differ_in_number_between_equal_calls_are_refused() -> None:
    assert calls._forward_calls([100, 100, 100], STACK) == 100
    with pytest.raises(LaunchFailed, match=r"gaudi-1.10 made \[99, 100\] forward passes"):
        calls._forward_calls([100, 99], STACK)


def test_an_event_is_told_by_its_kind_and_its_facts_in_order() -> None:
    assert calls._told({"event": "h2d", "shape": [1, 7], "bytes": 56}) == "h2d bytes=56 shape=[1, 7]"
    assert calls._told({"event": "sync", "by": "item", "in_capture": True}) == 'in-capture-sync by="item"'
    assert calls._told({"event": "mark_step"}) == "mark_step"


def test_each_gaudi_stack_has_the_protocol_of_its_claims_or_of_the_newest_script_that_is_no_newer() -> None:
    wanted = {
        "gaudi-1.8": "gaudi-1.8",
        "gaudi-1.9": "gaudi-1.9",
        "gaudi-1.10": "gaudi-1.10",
        "gaudi-1.24": "gaudi-1.23",
    }
    assert {name: runs.protocol_of(name) for name in wanted} == wanted
    # a stack that `bump` adds needs no edit
    assert runs.protocol_of("gaudi-1.99") == "gaudi-1.23"
    assert all(runs.protocol_of(name) in catalog.read().protocols for name in build.names("hpu"))


def test_a_stack_without_a_protocol_and_one_with_two_are_told_with_what_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"No protocol is known for the stack gaudi-1\.7: .* Add a case"):
        runs.protocol_of("gaudi-1.7")
    tables = catalog.read()
    name, claim = next((name, claim) for name, claim in tables.claims.items() if claim.stack == STACK)
    claims = {**tables.claims, name: replace(claim, protocol="gaudi-1.9")}
    monkeypatch.setattr(runs.catalog, "read", lambda: replace(tables, claims=claims))
    with pytest.raises(
        InputError, match=r"run the stack gaudi-1.10 under gaudi-1.10 and gaudi-1.9\. Give it one protocol"
    ):
        runs.protocol_of(STACK)


@pytest.mark.slow
def test_the_cpu_s_own_stack_is_told_as_it_is() -> None:
    seen = calls.observe("cpu")
    assert seen["stood_in"] == {}
    assert seen["tokens"] == {"new_tokens": 100, "sha256": reference.output_ids_sha256(), "equal_plain": True}
    assert (seen["forward_calls"], seen["graph_builds"]) == (100, 0)
    assert len(seen["operators"]["passes"]) == 1 + calls.WATCHED_TOKENS
    # four linear layers in each of two layers
    assert seen["operators"]["times"]["aten::addmm"] == 2 * 4 * calls.WATCHED_TOKENS


@pytest.mark.stacks(STACK)
def test_two_runs_of_a_stack_print_the_same_bytes() -> None:
    command = [sys.executable, "-m", "tests.emulation.calls", STACK]
    first, second = (subprocess.run(command, capture_output=True, cwd=drive.ROOT, check=True).stdout for _ in range(2))
    assert first == second
    seen = strictjson.loads(first, "the first run")
    assert seen["packages"]["optimum-habana"] == lockfile.read().stacks[STACK].packages["optimum-habana"].version
    assert seen["tokens"]["equal_plain"] is True
    # nothing of this host's folders, of a time, or of an address
    text = first.decode()
    assert not any(word in text for word in (str(Path.home()), "/tmp", "0x", '_s"'))


@pytest.mark.stacks(STACK)
def test_one_step_more_after_each_token_of_upstream_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is changed as a release would change it: its file and its list of files."""
    known = build.make(STACK)
    before = calls.observe(STACK)
    changed = _changed(known, tmp_path / known.name)
    monkeypatch.setattr(build, "make", lambda name, show: changed)
    after = calls.observe(STACK)
    new_tokens = before["tokens"]["new_tokens"]
    steps = [calls.counted(seen)["device::mark_step"] for seen in (before, after)]
    assert steps == [new_tokens, 2 * new_tokens]
    assert before["generate"] != after["generate"]
    assert {**before, "first_generate": [], "generate": []} == {**after, "first_generate": [], "generate": []}


def _changed(known: Path, copy: Path) -> Path:
    """Return a copy of a stack's environment, whose optimum-habana makes one call more; what did not change is linked."""
    shutil.copytree(known, copy, symlinks=True, copy_function=_link)
    (packages,) = copy.glob("lib/python3.*/site-packages")
    module = "optimum/habana/transformers/generation/utils.py"
    _write(packages / module, (packages / module).read_text() + PLANTED)
    (listed,) = packages.glob("optimum_habana-*.dist-info/RECORD")
    content = (packages / module).read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    lines = listed.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith(f"{module},"))
    lines[place] = f"{module},sha256={digest},{len(content)}"
    _write(listed, "\n".join(lines) + "\n")
    return copy


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _write(path: Path, text: str) -> None:
    # the link of the environment that stays
    path.unlink()
    path.write_text(text)
