"""Runs that are followed on a terminal: a line each, below all that is printed."""

from __future__ import annotations

import sys

import pytest

from runner.contract.records import JsonObject
from tests.support import clusterplay, planted, terminal
from tests.support.client import Client
from tests.support.clusterplay import FIRST, Play, framed
from tests.support.scriptedcluster import Cluster


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_followed_run_has_a_line_in_which_nothing_foreign_moves_the_cursor(
    columns: int, client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def tells(play: Play, job: JsonObject) -> None:
        pod = play.pod(job)
        message = f"\x1b[2J\x1b]0;owned\x07 0/1 nodes are available, token={planted.OTHER} {planted.TOKEN}"
        cluster.change(
            "Pod", pod, conditions=[clusterplay.condition("PodScheduled", "False", "Unschedulable", message)]
        )
        play.wait(0.5)
        play.place(pod, "node-1")
        play.start(pod, [f"\x1b[2J{planted.TOKEN}"])
        play.wait(0.5)
        play.end(pod, log=framed())
        play.finish(job)

    play = Play(cluster, tells)
    with terminal.opened(columns) as opened, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", open(opened.program, "w", closefd=False))
        assert client.submit() == 0
        written, shown = opened.read(), opened.screen()
    assert play.errors == []
    assert f"\r\n{client.name}: "[:30].encode() in written
    # a line that is drawn ends without a line break, and every one was erased
    assert written.count(b"\r\x1b[J") + written.count(b"A\x1b[J") > 2
    assert "".join(shown).endswith(f"1 whole result in its log: {FIRST}.")
    assert planted.found_in(written) == [] and b"\x1b[2J" not in written and b"\x1b]" not in written
