"""Build the command that starts one launch's ranks, and run it so that nothing outlives the parent."""

from __future__ import annotations

import contextlib
import functools
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
from typing import Iterator

from runner.bench.processes import parentage
from runner.bench.processes.hostfile import LOOPBACK
from runner.bench.processes.messages import ERROR, PROGRESS
from runner.contract import signals
from runner.contract.errors import LaunchFailed, PublishFailed, Unsupported

WORKER = "runner.bench.rank.worker"
LOG_LINES = 60
LINE_CHARACTERS = 10_000  # of a line in the log; what is longer is taken as several lines, whatever its length
# pdsh names the host before each line of it. It tells a host whose command failed, and waits for the others all the same.
_HOST = re.compile(r"^[\w.-]+: (?=@bench)")
_LOST = re.compile(r"pdsh@[\w.-]+: [\w.-]+: ssh exited with exit code [1-9]")
# Connections of others that may wait in a lifeline's queue: its port is open to whoever reaches this host.
STRANGERS = 100
END_S = 10  # how long a launcher may take to notice that its ranks are gone

# Without --hostfile DeepSpeed reads this file where it is there, and starts its ranks over ssh (deepspeed/launcher/runner.py).
DEEPSPEED_HOSTFILE = "/job/hostfile"
# DeepSpeed sets the variables of such a file on every host of a hostfile, and no result would say so.
DEEPSPEED_VARIABLES = ".deepspeed_env"

# What says of a process which rank it is, of how many and where. Schedulers, MPI and launchers set it for the process that they start,
# which is bench; DeepSpeed, torch and torchrun's own options (PET_) would take it for a rank's.
_OF_ANOTHER_LAUNCH = re.compile(
    r"RANK|WORLD_SIZE|NODE_RANK|MASTER_(ADDR|PORT)|(LOCAL|GROUP|ROLE|CROSS)_(RANK|SIZE|WORLD_SIZE|NAME)|LOCAL_PROCESS_INDEX"
    r"|(TORCHELASTIC|PET|OMPI|PMI|PMIX|PRTE|MPI|MV2|MPICH|HYDI|HYDRA|SLURM|SLURMD|PALS|ALPS|FLUX|JSM)_.*|DS_ENV_FILE"
)


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
    shape += [] if hostfile is not None else _no_hostfile()
    return [*start, *shape, "--master_port", str(port), "--module", WORKER, *arguments]


def deepspeed_gpus(devices, port, arguments):
    """Return the command of the deepspeed launcher as the GPU script's README gives it, on a port of our own.

    Source: huggingface/transformers-bloom-inference@7bea352 bloom-inference-scripts/README.md.
    """
    start = [sys.executable, "-m", "deepspeed.launcher.runner", "--num_gpus", str(devices), *_no_hostfile()]
    return [*start, "--master_port", str(port), "--module", WORKER, *arguments]


def _no_hostfile() -> list[str]:
    """Return the option that keeps DeepSpeed on this host. The published command stays as it is where no file is in the way."""
    return ["--hostfile", os.devnull] if os.path.exists(DEEPSPEED_HOSTFILE) else []


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
    in_the_way = [path for path in _deepspeed_variables() if several_hosts and os.path.isfile(path)]
    if in_the_way:
        raise Unsupported(
            f"DeepSpeed would set the variables of {in_the_way[0]} on every host, and no result would say so. Move the file away, and"
            " set in the environment of bench what its ranks need: bench records it and hands it on."
        )


def _deepspeed_variables() -> list[str]:
    """Return the files whose variables DeepSpeed hands to other hosts."""
    return [os.path.join(folder, DEEPSPEED_VARIABLES) for folder in (os.path.expanduser("~"), os.getcwd())]


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
    try:
        process = subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            preexec_fn=parentage.tie(os.getpid()),
        )
    except OSError as problem:
        raise LaunchFailed(
            f"The launcher could not be started: {problem.strerror}. See `ulimit -a`, and the memory that is left."
        ) from None
    try:
        assert process.stdout is not None
        for line in iter(functools.partial(process.stdout.readline, LINE_CHARACTERS), ""):
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
        with signals.held_back():
            _end(process)


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """Yield a folder for one launch's raw data and temporary files; it is removed, whatever happens.

    Raises ``PublishFailed`` where no folder for temporary files can be written to.
    """
    try:
        folder = tempfile.mkdtemp(prefix="bloomz-bench-")
    except OSError as problem:
        raise PublishFailed(
            f"A launch needs a folder for temporary files, and none can be made: {problem.strerror}. Set TMPDIR to one with room."
        ) from None
    try:
        yield folder
    finally:
        with signals.held_back():
            # a rank that is just being ended may write once more while the folder is removed
            for _ in range(3):
                shutil.rmtree(folder, ignore_errors=True)


def check_room(folder: str, size: int) -> None:
    """Raise ``PublishFailed`` unless a folder for temporary files takes the ``size`` bytes that a launch leaves there."""
    try:
        with open(os.path.join(folder, "room"), "wb") as file:
            file.write(os.urandom(size))
    except OSError as problem:
        raise PublishFailed(
            f"A launch leaves a file of up to {size:,} bytes in a folder for temporary files, and {os.path.dirname(folder)} does"
            f" not take it: {problem.strerror}. Set TMPDIR to one with room."
        ) from None


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


def left_out() -> list[str]:
    """Return the names of this process's variables that another launch has set; ranks do not get these variables."""
    return sorted(name for name in os.environ if _OF_ANOTHER_LAUNCH.fullmatch(name))


def environment(folder, carried):
    """Return the variables of a launch: this process's own, ``carried``, and private places for temporary files.

    Variables that would tell a rank of another launch are left out: the request alone says how many ranks there are.
    torchrun, inductor and ``datasets`` leave files where TMPDIR and their caches point.
    """
    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **{name: value for name, value in os.environ.items() if not _OF_ANOTHER_LAUNCH.fullmatch(name)},
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
