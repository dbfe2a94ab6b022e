"""A launcher's output, and that no rank outlives its parent, however the parent ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.bench.parent import launch_process
from runner.bench.rank import worker
from runner.contract.errors import LaunchFailed
from runner.contract.progress import PlainTask
from tests.support.patience import HANG_S


def _has_ipv6_loopback() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_progress_is_shown_and_all_else_is_kept() -> None:
    script = "print('@bench loading'); print('noise'); import sys; sys.exit(3)"
    shown = []
    status, log = launch_process.run([sys.executable, "-u", "-c", script], dict(os.environ), PlainTask(shown.append))
    assert (status, log, shown) == (3, ["noise"], ["loading"])


def test_what_pdsh_puts_before_a_line_is_taken_off_where_the_line_is_ours() -> None:
    script = "print('10.0.0.7: @bench loading'); print('node-1: noise'); print('node-2: @bench-error {}')"
    shown = []
    _, log = launch_process.run([sys.executable, "-u", "-c", script], dict(os.environ), PlainTask(shown.append))
    assert (shown, log) == (["loading"], ["node-1: noise", "@bench-error {}"])


@pytest.mark.parametrize(
    "line", ['node-2: @bench-error {"exit_code": 3}', "pdsh@node-1: node-2: ssh exited with exit code 1"]
)
def test_a_launch_ends_with_the_host_that_failed(line: str) -> None:
    script = f"import time; print({line!r}, flush=True); time.sleep(600)"
    status, log = launch_process.run([sys.executable, "-c", script], dict(os.environ), PlainTask(print))
    assert (status, log[0]) == (-signal.SIGTERM, line.replace("node-2: @", "@"))


def test_the_log_keeps_only_the_last_lines() -> None:
    script = "for n in range(1000): print(n)"
    _, log = launch_process.run([sys.executable, "-c", script], dict(os.environ), PlainTask(print))
    assert log == [str(number) for number in range(1000 - launch_process.LOG_LINES, 1000)]


def test_a_line_without_an_end_is_cut_into_pieces_and_the_last_are_kept() -> None:
    script = "import sys; [sys.stdout.write('x' * 100_000) for _ in range(20)]; print('end')"
    _, log = launch_process.run([sys.executable, "-c", script], dict(os.environ), PlainTask(print))
    assert (len(log), {len(line) for line in log[:-1]}) == (launch_process.LOG_LINES, {launch_process.LINE_CHARACTERS})
    assert log[-1] == "end"


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone_soon(pid: int) -> bool:
    deadline = time.monotonic() + HANG_S
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_an_interrupt_ends_the_launcher_and_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    child = f"import os, time; open({str(pids)!r}, 'w').write(str(os.getpid())); print('@bench up', flush=True); time.sleep(600)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"

    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch_process.run([sys.executable, "-c", script], dict(os.environ), PlainTask(interrupt))
    assert gone_soon(int(pids.read_text()))


LIFELINE = """
import sys
from runner.bench.rank import worker
worker._die_with(sys.argv[1])
print("up", flush=True)
import time
time.sleep(600)
"""


PARENT = """
import subprocess, sys, time
from runner.bench.parent import launch_process
with launch_process.lifeline("127.0.0.1", 1) as address:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1], address], stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()
    print(child.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_rank_ends_with_its_parent_however_that_ends(number: signal.Signals, tmp_path: Path) -> None:
    """The rank is in a session of its own, as torchrun's are: only the lifeline reaches it."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, LIFELINE], stdout=subprocess.PIPE, env=environment)
    rank = int(parent.stdout.readline())
    parent.stdout.close()
    assert alive(rank)
    parent.send_signal(number)
    parent.wait()
    assert gone_soon(rank)


def test_a_parent_that_cannot_be_reached_is_an_error_that_says_so() -> None:
    with launch_process.lifeline("127.0.0.1", 1) as address:
        pass
    with pytest.raises(
        LaunchFailed, match=f"does not reach {address}, where the parent waits: .*refused. Open the network"
    ):
        worker._die_with(address)


def test_a_lifeline_waits_on_this_host_alone_where_there_is_no_other() -> None:
    def reached_from_elsewhere(line: str) -> None:
        worker._die_with("127.0.0.2:" + line.rpartition(":")[2])

    with launch_process.lifeline("127.0.0.1", 4) as line, pytest.raises(LaunchFailed, match="refused"):
        reached_from_elsewhere(line)
    with launch_process.lifeline("127.0.0.2", 4) as line:
        assert line.startswith("127.0.0.2:")
        with socket.create_connection(("127.0.0.2", int(line.rpartition(":")[2])), timeout=HANG_S):
            pass


def test_strangers_on_its_port_keep_no_rank_from_a_lifeline() -> None:
    """A connection that its owner has closed waits in the queue too."""
    with launch_process.lifeline("127.0.0.1", 1) as line, contextlib.ExitStack() as stack:
        place = ("127.0.0.1", int(line.rpartition(":")[2]))
        for _ in range(launch_process.STRANGERS // 2):
            stack.enter_context(socket.create_connection(place, timeout=HANG_S))
            socket.create_connection(place, timeout=HANG_S).close()
        with socket.create_connection(place, timeout=HANG_S) as rank:
            rank.settimeout(0.05)
            with pytest.raises(socket.timeout):  # open, and silent
                rank.recv(1)


@pytest.mark.skipif(not socket.has_dualstack_ipv6() or not _has_ipv6_loopback(), reason="there is no IPv6 here")
def test_another_host_may_come_by_ipv6() -> None:
    with launch_process.lifeline("::1", 1) as line:
        host, port = line.rsplit(":", 1)
        assert host == "::1"
        socket.create_connection((host, int(port)), timeout=HANG_S).close()


BLOCKED = """
import ctypes, os, sys
from runner.bench.processes import parentage
from runner.bench.rank import worker
if sys.argv[2] == "lifeline":
    worker._die_with(sys.argv[1])
else:
    parentage.end_with_parent()
open(sys.argv[3], "a").write(f"{os.getpid()} ")
print("@bench up", flush=True)
ctypes.PyDLL(None).sleep(600)  # as a call into a library that is blocked on a FIFO and keeps the interpreter's lock
"""


MIDDLE = """
import subprocess, sys
from runner.bench.processes import parentage
subprocess.run([sys.executable, *sys.argv[1:]])
"""


BENCH = """
import os, sys
from runner.bench.parent import launch_process
from runner.contract.progress import PlainTask
blocked, middle, tie, pids = sys.argv[1:]
with launch_process.lifeline("127.0.0.1", 2) as line:
    start = [sys.executable, "-c", middle] if tie == "lifeline" else [sys.executable]
    launch_process.run([*start, "-c", blocked, line, tie, pids], dict(os.environ), PlainTask(lambda text: print(text, flush=True)))
"""


@pytest.mark.parametrize("tie", ["lifeline", "parent"])
def test_the_kernel_ends_a_blocked_rank_when_bench_is_killed(tie: str, tmp_path: Path) -> None:
    """Through a launcher that knows nothing of it, by the lifeline, and directly below bench, by the parent's death alone."""
    pids = tmp_path / "pids"
    with subprocess.Popen(
        [sys.executable, "-c", BENCH, BLOCKED, MIDDLE, tie, str(pids)], stdout=subprocess.PIPE
    ) as bench:
        assert bench.stdout.readline() == b"up\n"
        bench.kill()
    (rank,) = map(int, pids.read_text().split())
    assert gone_soon(rank)


def test_a_launcher_is_ended_by_sigterm_whatever_this_process_ignores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        script = "import time; print('@bench-error {}', flush=True); time.sleep(600)"
        status, _ = launch_process.run([sys.executable, "-c", script], dict(os.environ), PlainTask(print))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert status == -signal.SIGTERM


def test_a_launcher_that_cannot_be_started_is_told() -> None:
    with pytest.raises(LaunchFailed, match="could not be started: Argument list too long"):
        launch_process.run([sys.executable, "-c", "pass", "x" * (1 << 20)], dict(os.environ), PlainTask(print))
