"""Why a launch ended: the words of ranks, and what a launcher's log tells. The logs are of the shapes that launchers write."""

import json
import re
import runpy

import pytest

from runner.bench.processes import deaths
from runner.contract.errors import LaunchFailed

PACKED = "eJyNVE1v2zAM" * 40
DEEPSPEED = [
    f"[2026-11-26 10:00:00,123] [INFO] [runner.py:605:main] cmd = python -u -m deepspeed.launcher.launch --packed {PACKED}",
    "[2026-11-26 10:00:09,123] [INFO] [launch.py:319:sigkill_handler] Killing subprocess 77",
    f"[2026-11-26 10:00:09,456] [ERROR] [launch.py:325:sigkill_handler] ['python', '--packed', '{PACKED}'] exits with return code = 1",
]
OWN = "[2026-11-26 10:00:01,456] [ERROR] [runner.py:99:main] no slot is left for"
GLOO = "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4242"
TRACE = ["Traceback (most recent call last):", '  File "worker.py", line 1, in main', "    raise ValueError("]
CHAIN = "During handling of the above exception, another exception occurred:"


@pytest.mark.parametrize(
    "status, told",
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
def test_a_signal_that_ended_a_rank_is_named(status, told):
    assert deaths.of_signal(status) == told


@pytest.mark.parametrize(
    "log, told",
    [
        (["a", "b", "c", "d"], ["b", "c", "d"]),
        (["    raise ValueError(", "ValueError: no such weights", "noise"], ["ValueError: no such weights"]),
        (
            ["    raise ValueError(", "[rank1]: RuntimeError: peer is gone", "ValueError: no such weights", "noise"],
            ["ValueError: no such weights"],
        ),
        (
            [*TRACE, GLOO, *TRACE, "IndexError: list index out of range", *DEEPSPEED],
            ["IndexError: list index out of range"],
        ),
        ([*TRACE, GLOO, *DEEPSPEED], [GLOO]),
        (
            [*TRACE, "KeyError: 'h'", "", CHAIN, "", *TRACE, "OSError: config.json is no JSON"],
            ["OSError: config.json is no JSON"],
        ),
        (
            [
                *(f"[rank1]: {line}" for line in [*TRACE, "KeyError: 'h'", CHAIN]),
                "ValueError: of another rank",
                *(f"[rank1]: {line}" for line in [*TRACE, "OSError: config.json is no JSON"]),
            ],
            ["[rank1]: OSError: config.json is no JSON"],
        ),
        (
            [*TRACE, "jinja2.TemplateSyntaxFault: unexpected end", "noise"],
            ["jinja2.TemplateSyntaxFault: unexpected end"],
        ),
        ([*TRACE, "StopIteration"], ["StopIteration"]),
        (
            [
                *TRACE,
                "node-2: ValueError: bad",
                *TRACE,
                "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
            ],
            ["node-2: ValueError: bad"],
        ),
        (["a word", *DEEPSPEED], ["a word"]),
        (DEEPSPEED, []),
        ([DEEPSPEED[0], f"{OWN} {PACKED}", *DEEPSPEED[1:]], [f"{OWN} …"]),
        ([], []),
    ],
)
def test_the_exception_that_ended_the_first_rank_is_told_and_no_noise(log, told):
    assert deaths.telling(log) == told


def raised(code, tmp_path):
    """Return the exception that a module of this code ends with."""
    path = tmp_path / "library.py"
    path.write_text(code)
    with pytest.raises(BaseException) as caught:
        runpy.run_path(str(path))
    return caught.value


@pytest.mark.parametrize(
    "code, told",
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
def test_an_exception_is_put_into_words_with_its_place(tmp_path, code, told):
    death = deaths.of(raised(code, tmp_path), 3, 1.0)
    assert death.message.startswith("Rank 3 on ")
    assert re.search(told, death.message)
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
def test_a_lost_rank_is_an_echo_of_another_death(error, echo):
    assert deaths.of(error, 0, 1.0).echo is echo


def left(folder, *found):
    for death in found:
        (folder / f"error-{death.rank}.json").write_text(json.dumps(death.to_json()))
    return deaths.read(str(folder))


def death(rank, at, echo=False):
    return deaths.Death(rank, 6, f"rank {rank}", echo, at)


def test_a_cause_comes_before_echoes_and_the_earliest_first(tmp_path):
    found = left(tmp_path, death(10, 3.0), death(2, 2.0), death(0, 1.0, echo=True))
    assert [one.rank for one in found] == [2, 10, 0]
    assert deaths.silent(found, 16, 1) is None


def test_a_rank_that_left_no_word_is_the_cause_where_all_others_are_echoes(tmp_path):
    told = deaths.silent(left(tmp_path, death(0, 1.0, echo=True)), 2, 247)
    assert told == "Rank 1 ended without a word (a rank died of SIGKILL, perhaps since memory ran out). Then: rank 0"
    assert deaths.silent(left(tmp_path), 3, 1) == "One of the ranks 1, 2 ended without a word. Then: rank 0"
    assert deaths.silent(left(tmp_path, death(1, 2.0, echo=True)), 2, 1) is None
    assert deaths.silent([], 2, 1) is None
