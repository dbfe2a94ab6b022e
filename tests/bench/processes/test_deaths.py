"""Why a rank ended: the last words of ranks, and the signals that launchers report."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from runner.bench.processes import deaths
from runner.contract.errors import LaunchFailed

PACKED = "eJyNVE1v2zAM" * 40
GLOO = "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4242"


@pytest.mark.parametrize(
    "status, phrase",
    [
        (0, ""),
        (1, ""),
        (255, ""),
        (200, ""),
        (-9, " (a rank died of SIGKILL, perhaps since memory ran out)"),
        (137, " (a rank died of SIGKILL, perhaps since memory ran out)"),
        (247, " (a rank died of SIGKILL, perhaps since memory ran out)"),
        (250, " (a rank died of SIGABRT)"),
        (139, " (a rank died of SIGSEGV)"),
    ],
)
def test_a_signal_that_ended_a_rank_is_named(status: int, phrase: str) -> None:
    assert deaths.signal_phrase(status) == phrase


def raised(code: str, tmp_path: Path) -> BaseException:
    """Return the exception that a module of this code ends with."""
    path = tmp_path / "library.py"
    path.write_text(code)
    with pytest.raises(BaseException) as caught:
        runpy.run_path(str(path))
    return caught.value


@pytest.mark.parametrize(
    "code, message",
    [
        (
            "[][0]",
            r"ended with IndexError: list index out of range \(in .*there in <module> of .*library.py, line 1\)\.$",
        ),
        ("next(iter([]))", r"ended with StopIteration without a reason \(in "),
        ("{}['h']", r"ended with KeyError: 'h' \(in "),
        (
            "try:\n    [][0]\nexcept IndexError as e:\n    raise OSError('config.json is no JSON') from e",
            r"OSError: config.json is no JSON",
        ),
        (f"raise ValueError('--packed {PACKED} is too long')", "ValueError: --packed … is too long"),
        ("raise RuntimeError('size mismatch:\\n  a\\n  b')", "RuntimeError: size mismatch: a b"),
    ],
)
def test_an_exception_is_put_into_words_with_its_place(tmp_path: Path, code: str, message: str) -> None:
    death = deaths.of(raised(code, tmp_path), 3, 1.0)
    assert death.message.startswith("Rank 3 on ")
    assert re.search(message, death.message)
    assert (death.exit_code, death.echo) == (LaunchFailed.exit_code, False)


@pytest.mark.parametrize(
    "error, echo",
    [
        (RuntimeError(GLOO.partition(": ")[2]), True),
        (RuntimeError("NCCL error: remote process exited or there was a network error"), True),
        (RuntimeError("shapes differ"), False),
        (ConnectionResetError(104, "Connection reset by peer"), False),  # of a hub
    ],
)
def test_a_lost_rank_is_an_echo_of_another_death(error: Exception, echo: bool) -> None:
    assert deaths.of(error, 0, 1.0).echo is echo


def left(folder: Path, *last_words: deaths.Death) -> list[deaths.Death]:
    for death in last_words:
        (folder / f"error-{death.rank}.json").write_text(json.dumps(death.to_json()))
    return deaths.read(str(folder))


def death(rank: int, at: float, echo: bool = False) -> deaths.Death:
    return deaths.Death(rank, 6, f"rank {rank}", echo, at)


def test_a_cause_comes_before_echoes_and_the_earliest_first(tmp_path: Path) -> None:
    last_words = left(tmp_path, death(10, 3.0), death(2, 2.0), death(0, 1.0, echo=True))
    assert [death.rank for death in last_words] == [2, 10, 0]
    assert deaths.silent_ranks(last_words, 16, 1) is None


def test_a_rank_that_left_no_word_is_the_cause_where_all_others_are_echoes(tmp_path: Path) -> None:
    sentence = deaths.silent_ranks(left(tmp_path, death(0, 1.0, echo=True)), 2, 247)
    assert (
        sentence == "Rank 1 ended without a word (a rank died of SIGKILL, perhaps since memory ran out). Then: rank 0"
    )
    assert deaths.silent_ranks(left(tmp_path), 3, 1) == "One of the ranks 1, 2 ended without a word. Then: rank 0"
    assert deaths.silent_ranks(left(tmp_path, death(1, 2.0, echo=True)), 2, 1) is None
    assert deaths.silent_ranks([], 2, 1) is None
