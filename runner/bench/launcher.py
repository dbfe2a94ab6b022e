"""Build the command that starts one launch's ranks, and run it so that nothing outlives the parent."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path

from runner.bench.hosts import LOOPBACK
from runner.bench.worker import ERROR, PROGRESS
from runner.contract.errors import LaunchFailed, Unsupported

WORKER = "runner.bench.worker"
LOG_LINES = 60
# pdsh names the host before each line of it. It tells a host whose command failed, and waits for the others all the same.
_HOST = re.compile(r"^[\w.-]+: (?=@bench)")
_LOST = re.compile(r"pdsh@[\w.-]+: [\w.-]+: ssh exited with exit code [1-9]")
STRANGERS = (
    100  # connections of others that may wait in a lifeline's queue: its port is open to whoever reaches this host
)
END_S = 10  # how long a launcher may take to notice that its ranks are gone


def deepspeed(devices, port, arguments, hostfile=None):
    """Return the command of the deepspeed launcher, with the flags that optimum-habana's gaudi_spawn.py gives it.

    ``hostfile`` is (path, address of the first host); pdsh then starts the ranks of every host.
    Source: huggingface/optimum-habana@v1.5.0 and v1.6.0 examples/gaudi_spawn.py (for one device without --num_nodes).
    """
    start = [sys.executable, "-m", "deepspeed.launcher.runner"]
    if hostfile is not None:
        path, master = hostfile
        shape = ["--hostfile", path, "--master_addr", master, "--no_local_rank"]
    elif devices == 1:
        shape = ["--num_gpus", "1"]
    else:
        shape = ["--num_nodes", "1", "--num_gpus", str(devices), "--no_local_rank"]
    return [*start, *shape, "--master_port", str(port), "--module", WORKER, *arguments]


def deepspeed_gpus(devices, port, arguments):
    """Return the command of the deepspeed launcher as the GPU script's README gives it, on a port of our own.

    Source: huggingface/transformers-bloom-inference@7bea352 bloom-inference-scripts/README.md.
    """
    start = [sys.executable, "-m", "deepspeed.launcher.runner", "--num_gpus", str(devices)]
    return [*start, "--master_port", str(port), "--module", WORKER, *arguments]


def torchrun(devices, port, arguments):
    """Return the command of PyTorch's own launcher, on one host."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(devices)]
    return [*start, "--master_port", str(port), "-m", WORKER, *arguments]


def python(devices, port, arguments):
    """Return the command of one rank without a launcher, as gaudi_spawn.py starts one device without DeepSpeed."""
    assert devices == 1
    return [sys.executable, "-m", WORKER, *arguments]


_COMMANDS = {
    "deepspeed": (deepspeed, "deepspeed"),
    "deepspeed-gpus": (deepspeed_gpus, "deepspeed"),
    "torchrun": (torchrun, "torch"),
    "python": (python, "torch"),
}


def check(launcher, several_hosts=False):
    """Raise ``LaunchFailed`` if what the launcher comes with is not installed; nothing is imported.

    Raises ``Unsupported`` for a hostfile and a launcher that starts ranks on its own host alone, as gaudi_spawn.py does.
    """
    if several_hosts and launcher != "deepspeed":
        raise Unsupported(
            f"This request is started by {launcher}, which starts ranks on this host alone. Leave --hostfile out, or take a"
            " case that runs under DeepSpeed."
        )
    package = _COMMANDS[launcher][1]
    if importlib.util.find_spec(package) is None:
        raise LaunchFailed(
            f"The launcher {launcher} needs the package {package}, which is not installed here. Run `make setup`."
        )
    missing = [program for program in ("pdsh", "ssh") if several_hosts and shutil.which(program) is None]
    if missing:
        raise LaunchFailed(
            f"With a hostfile DeepSpeed starts ranks through pdsh and ssh; {' and '.join(missing)} is not on the path."
            " Install it on this host."
        )


def command(launcher, devices, arguments, hostfile=None):
    """Return the full command for one launch, on a port that is free now; ``hostfile`` as ``deepspeed`` takes it."""
    if hostfile is None:
        return _COMMANDS[launcher][0](devices, _free_port(), arguments)
    return deepspeed(devices, _free_port(), arguments, hostfile)


def run(arguments, environment, show):
    """Run a launch to its end; return its exit status and the last lines of its output.

    Lines of progress go to ``show``. A rank's error, or a host that is lost, ends the launch at once. However this process
    ends, the lifeline closes and all ranks end with it; when an exception passes through (Ctrl-C), the launcher is ended too
    before it goes on.
    """
    log: deque = deque(maxlen=LOG_LINES)
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            line = _HOST.sub("", line.rstrip("\n"))
            if line.startswith(PROGRESS):
                show(line[len(PROGRESS) :])
            else:
                log.append(line)
            if line.startswith(ERROR) or _LOST.match(line):
                _end(process)  # the other hosts' ranks would wait for this one
                break
        return process.wait(), list(log)
    finally:
        _end(process)


@contextlib.contextmanager
def scratch():
    """Yield a folder for one launch's raw data and temporary files; it is removed, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:
        yield folder


@contextlib.contextmanager
def lifeline(address, ranks):
    """Yield an ``ADDRESS:PORT`` of this host that ranks connect to: the connections end when the block, or this process, ends.

    Nobody accepts them. What waits in the queue is connected all the same, and is reset when the socket closes. Other hosts may
    come by IPv4 or IPv6.
    """
    place, both = (LOOPBACK if address == LOOPBACK else "", 0), address != LOOPBACK and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    with socket.create_server(place, family=family, backlog=ranks + STRANGERS, dualstack_ipv6=both) as server:
        yield f"{address}:{server.getsockname()[1]}"


def carried(device_environment, offline):
    """Return the variables that a launch sets and that mean the same on every host."""
    offline_environment = (
        {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {}
    )
    return {
        **device_environment,
        **offline_environment,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def environment(folder, carried):
    """Return the variables of a launch: this process's own, ``carried``, and private places for temporary files.

    torchrun, inductor and ``datasets`` leave files where TMPDIR and their caches point.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        **carried,
        "PYTHONPATH": path,
        "TMPDIR": folder,
        "HF_DATASETS_CACHE": os.path.join(folder, "datasets"),
    }


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _end(process):
    """End a launcher that still runs: asked first, then with its whole group."""
    if process.poll() is None:
        for number, patience_s in ((signal.SIGTERM, END_S), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
                break
    process.stdout.close()
