"""What a launcher's log tells. The logs are of the shapes that launchers write."""

from __future__ import annotations

import pytest

from runner.bench.processes import launcher_log

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
    "log, lines",
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
def test_the_exception_that_ended_the_first_rank_is_told_and_no_noise(log: list[str], lines: list[str]) -> None:
    assert launcher_log.telling(log) == lines
