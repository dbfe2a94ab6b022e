import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from runner.bench.parent import launcher
from runner.bench.rank import worker
from runner.contract.errors import LaunchFailed, Unsupported
from tests.support.patience import HANG_S


def _has_ipv6_loopback():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_one_device_gets_the_command_of_gaudi_spawn():
    command = launcher.deepspeed(1, 1234, ["--out", "folder"])
    assert command[1:] == [
        *("-m", "deepspeed.launcher.runner", "--num_gpus", "1"),
        *("--master_port", "1234", "--module", "runner.bench.rank.worker", "--out", "folder"),
    ]


def test_several_devices_get_the_command_of_gaudi_spawn():
    command = launcher.deepspeed(8, 1234, [])
    assert command[3:8] == ["--num_nodes", "1", "--num_gpus", "8", "--no_local_rank"]


def test_a_hostfile_gets_the_command_of_gaudi_spawn():
    command = launcher.command("deepspeed", 16, ["--out", "folder"], ("/etc/hosts.gaudi", "10.0.0.7"))
    assert command[1:3] == ["-m", "deepspeed.launcher.runner"]
    assert command[3:8] == ["--hostfile", "/etc/hosts.gaudi", "--master_addr", "10.0.0.7", "--no_local_rank"]
    assert command[8] == "--master_port"
    assert command[10:] == ["--module", "runner.bench.rank.worker", "--out", "folder"]


@pytest.mark.parametrize("name", ["torchrun", "python"])
def test_a_hostfile_without_deepspeed_is_refused_as_by_gaudi_spawn(name):
    with pytest.raises(
        Unsupported, match=f"started by {name}, which starts ranks on this host alone. Leave --hostfile out"
    ):
        launcher.check(name, several_hosts=True)


def test_a_hostfile_needs_the_programs_that_reach_other_hosts(monkeypatch, tmp_path):
    monkeypatch.setitem(launcher._COMMANDS, "deepspeed", (launcher.deepspeed, "runner"))
    monkeypatch.setenv("PATH", str(tmp_path))
    launcher.check("deepspeed")
    with pytest.raises(LaunchFailed, match="pdsh and ssh is not on the path"):
        launcher.check("deepspeed", several_hosts=True)
    for name in ("pdsh", "ssh"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    launcher.check("deepspeed", several_hosts=True)


def test_torchrun_starts_as_many_ranks_as_devices():
    assert launcher.torchrun(2, 1234, [])[1:5] == ["-m", "torch.distributed.run", "--nproc_per_node", "2"]


def test_a_launcher_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(launcher._COMMANDS, "deepspeed", (launcher.deepspeed, "no_such_package_here"))
    with pytest.raises(
        LaunchFailed, match="needs the package no_such_package_here, which is not installed here. Run `make setup`"
    ):
        launcher.check("deepspeed")


def test_progress_is_shown_and_all_else_is_kept():
    script = "print('@bench loading'); print('noise'); import sys; sys.exit(3)"
    shown = []
    status, log = launcher.run([sys.executable, "-u", "-c", script], dict(os.environ), shown.append)
    assert (status, log, shown) == (3, ["noise"], ["loading"])


def test_what_pdsh_puts_before_a_line_is_taken_off_where_the_line_is_ours():
    script = "print('10.0.0.7: @bench loading'); print('node-1: noise'); print('node-2: @bench-error {}')"
    shown = []
    _, log = launcher.run([sys.executable, "-u", "-c", script], dict(os.environ), shown.append)
    assert (shown, log) == (["loading"], ["node-1: noise", "@bench-error {}"])


@pytest.mark.parametrize(
    "line", ['node-2: @bench-error {"exit_code": 3}', "pdsh@node-1: node-2: ssh exited with exit code 1"]
)
def test_a_launch_ends_with_the_host_that_failed(line):
    script = f"import time; print({line!r}, flush=True); time.sleep(600)"
    status, log = launcher.run([sys.executable, "-c", script], dict(os.environ), print)
    assert (status, log[0]) == (-signal.SIGTERM, line.replace("node-2: @", "@"))


def test_the_log_keeps_only_the_last_lines():
    script = "for n in range(1000): print(n)"
    _, log = launcher.run([sys.executable, "-c", script], dict(os.environ), print)
    assert log == [str(number) for number in range(1000 - launcher.LOG_LINES, 1000)]


def test_a_line_without_an_end_is_cut_into_pieces_and_the_last_are_kept():
    script = "import sys; [sys.stdout.write('x' * 100_000) for _ in range(20)]; print('end')"
    _, log = launcher.run([sys.executable, "-c", script], dict(os.environ), print)
    assert (len(log), {len(line) for line in log[:-1]}) == (launcher.LOG_LINES, {launcher.LINE_CHARACTERS})
    assert log[-1] == "end"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone_soon(pid):
    deadline = time.monotonic() + HANG_S
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_an_interrupt_ends_the_launcher_and_its_children(tmp_path):
    pids = tmp_path / "pids"
    child = f"import os, time; open({str(pids)!r}, 'w').write(str(os.getpid())); print('@bench up', flush=True); time.sleep(600)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"

    def interrupt(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launcher.run([sys.executable, "-c", script], dict(os.environ), interrupt)
    assert gone_soon(int(pids.read_text()))


LIFELINE = """
import sys
from runner.bench import worker
worker._die_with(sys.argv[1])
print("up", flush=True)
import time
time.sleep(600)
"""

PARENT = """
import subprocess, sys, time
from runner.bench import launcher
with launcher.scratch() as folder, launcher.lifeline("127.0.0.1", 1) as address:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1], address], stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()
    print(child.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_rank_ends_with_its_parent_however_that_ends(number, tmp_path):
    """The rank is in a session of its own, as torchrun's are: only the lifeline reaches it."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, LIFELINE], stdout=subprocess.PIPE, env=environment)
    rank = int(parent.stdout.readline())
    parent.stdout.close()
    assert alive(rank)
    parent.send_signal(number)
    parent.wait()
    assert gone_soon(rank)


def test_a_parent_that_cannot_be_reached_is_an_error_that_says_so():
    with launcher.lifeline("127.0.0.1", 1) as address:
        pass
    with pytest.raises(
        LaunchFailed, match=f"does not reach {address}, where the parent waits: .*refused. Open the network"
    ):
        worker._die_with(address)


def test_a_lifeline_waits_on_this_host_alone_where_there_is_no_other():
    def reached_from_elsewhere(line):
        worker._die_with("127.0.0.2:" + line.rpartition(":")[2])

    with launcher.lifeline("127.0.0.1", 4) as line, pytest.raises(LaunchFailed, match="refused"):
        reached_from_elsewhere(line)
    with launcher.lifeline("127.0.0.2", 4) as line:
        assert line.startswith("127.0.0.2:")
        with socket.create_connection(("127.0.0.2", int(line.rpartition(":")[2])), timeout=HANG_S):
            pass


def test_strangers_on_its_port_keep_no_rank_from_a_lifeline():
    """A connection that its owner has closed waits in the queue too."""
    with launcher.lifeline("127.0.0.1", 1) as line, contextlib.ExitStack() as stack:
        place = ("127.0.0.1", int(line.rpartition(":")[2]))
        for _ in range(launcher.STRANGERS // 2):
            stack.enter_context(socket.create_connection(place, timeout=HANG_S))
            socket.create_connection(place, timeout=HANG_S).close()
        with socket.create_connection(place, timeout=HANG_S) as rank:
            rank.settimeout(0.05)
            with pytest.raises(socket.timeout):  # open, and silent
                rank.recv(1)


@pytest.mark.skipif(not socket.has_dualstack_ipv6() or not _has_ipv6_loopback(), reason="there is no IPv6 here")
def test_another_host_may_come_by_ipv6():
    with launcher.lifeline("::1", 1) as line:
        host, port = line.rsplit(":", 1)
        assert host == "::1"
        socket.create_connection((host, int(port)), timeout=HANG_S).close()


def test_scratch_is_removed_even_after_an_error():
    with pytest.raises(RuntimeError), launcher.scratch() as folder:
        (open(os.path.join(folder, "raw"), "w")).close()
        raise RuntimeError
    assert not os.path.exists(folder)


def test_a_launch_is_offline_unless_it_needs_the_hub(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    online, offline = (launcher.carried({"OMP_NUM_THREADS": "3"}, offline) for offline in (False, True))
    assert "HF_HUB_OFFLINE" not in launcher.environment("/scratch", online)
    found = launcher.environment("/scratch", offline)
    assert (found["HF_HUB_OFFLINE"], found["OMP_NUM_THREADS"], found["TMPDIR"]) == ("1", "3", "/scratch")
    assert "/scratch" not in "".join(offline.values())  # which is on this host alone


BLOCKED = """
import ctypes, os, sys
from runner.bench import parentage, worker
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
from runner.bench import parentage
subprocess.run([sys.executable, *sys.argv[1:]])
"""

BENCH = """
import os, sys
from runner.bench import launcher
blocked, middle, tie, pids = sys.argv[1:]
with launcher.lifeline("127.0.0.1", 2) as line:
    start = [sys.executable, "-c", middle] if tie == "lifeline" else [sys.executable]
    launcher.run([*start, "-c", blocked, line, tie, pids], dict(os.environ), lambda text: print(text, flush=True))
"""


@pytest.mark.parametrize("tie", ["lifeline", "parent"])
def test_the_kernel_ends_a_blocked_rank_when_bench_is_killed(tie, tmp_path):
    """Through a launcher that knows nothing of it, by the lifeline, and directly below bench, by the parent's death alone."""
    pids = tmp_path / "pids"
    with subprocess.Popen(
        [sys.executable, "-c", BENCH, BLOCKED, MIDDLE, tie, str(pids)], stdout=subprocess.PIPE
    ) as bench:
        assert bench.stdout.readline() == b"up\n"
        bench.kill()
    (rank,) = map(int, pids.read_text().split())
    assert gone_soon(rank)


def test_a_launcher_is_ended_by_sigterm_whatever_this_process_ignores(monkeypatch):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        script = "import time; print('@bench-error {}', flush=True); time.sleep(600)"
        status, _ = launcher.run([sys.executable, "-c", script], dict(os.environ), print)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert status == -signal.SIGTERM


@pytest.mark.parametrize(
    "name",
    [
        *(
            "RANK",
            "WORLD_SIZE",
            "LOCAL_RANK",
            "LOCAL_WORLD_SIZE",
            "GROUP_RANK",
            "ROLE_RANK",
            "MASTER_ADDR",
            "MASTER_PORT",
        ),
        *("TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID", "PET_NNODES", "OMPI_COMM_WORLD_RANK", "PMI_RANK"),
        *("PMIX_RANK", "SLURM_PROCID", "SLURM_NTASKS", "MV2_COMM_WORLD_RANK", "CROSS_SIZE", "LOCAL_SIZE", "NODE_RANK"),
    ],
)
def test_no_variable_of_another_launch_reaches_the_ranks(monkeypatch, name):
    monkeypatch.setenv(name, "7")
    assert name not in launcher.environment("/scratch", {})
    assert launcher.left_out() == [name]


@pytest.mark.parametrize(
    "name", ["RANKS_DIR", "SLURMISH", "GLOO_SOCKET_IFNAME", "NCCL_DEBUG", "CUDA_VISIBLE_DEVICES", "MPICC"]
)
def test_what_says_nothing_of_a_rank_reaches_the_ranks(monkeypatch, name):
    monkeypatch.setenv(name, "7")
    assert launcher.environment("/scratch", {})[name] == "7"


@pytest.mark.parametrize("make", [launcher.deepspeed, launcher.deepspeed_gpus])
@pytest.mark.parametrize("devices", [1, 2])
def test_deepspeed_s_own_hostfile_is_kept_out_of_a_run_on_one_host(monkeypatch, tmp_path, make, devices):
    before = make(devices, 1234, ["--out", "folder"])
    monkeypatch.setattr(launcher, "DEEPSPEED_HOSTFILE", str(tmp_path / "hostfile"))
    assert make(devices, 1234, ["--out", "folder"]) == before
    (tmp_path / "hostfile").write_text("elsewhere slots=8\n")
    place = before.index("--master_port")
    assert make(devices, 1234, ["--out", "folder"]) == [*before[:place], "--hostfile", os.devnull, *before[place:]]


@pytest.mark.torch
def test_deepspeed_takes_no_hosts_from_what_it_is_given_instead(monkeypatch):
    runner = pytest.importorskip("deepspeed.launcher.runner")
    assert runner.DLTS_HOSTFILE == launcher.DEEPSPEED_HOSTFILE
    assert runner.fetch_hostfile(os.devnull) is None


def test_variables_that_deepspeed_would_hand_on_by_itself_are_refused(monkeypatch, tmp_path):
    for name in ("pdsh", "ssh"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setitem(launcher._COMMANDS, "deepspeed", (launcher.deepspeed, "runner"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    launcher.check("deepspeed", several_hosts=True)
    (tmp_path / ".deepspeed_env").write_text("NCCL_DEBUG=INFO\n")
    launcher.check("deepspeed")
    with pytest.raises(Unsupported, match=r"would set the variables of .*\.deepspeed_env on every host"):
        launcher.check("deepspeed", several_hosts=True)


def test_a_launcher_that_cannot_be_started_is_told():
    with pytest.raises(LaunchFailed, match="could not be started: Argument list too long"):
        launcher.run([sys.executable, "-c", "pass", "x" * (1 << 20)], dict(os.environ), print)
