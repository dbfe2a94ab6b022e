"""Build the command that starts one launch's ranks, and run it so that nothing outlives the parent."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path

from runner.bench.worker import PROGRESS
from runner.contract.errors import LaunchFailed

WORKER = "runner.bench.worker"
LOG_LINES = 60
END_S = 10  # how long a launcher may take to notice that its ranks are gone


def deepspeed(devices, port, arguments):
    """Return the command of the deepspeed launcher, with the flags that optimum-habana's gaudi_spawn.py gives it.

    Source: huggingface/optimum-habana@v1.5.0 and v1.6.0 examples/gaudi_spawn.py (for one device without --num_nodes).
    """
    start = [sys.executable, "-m", "deepspeed.launcher.runner"]
    shape = ["--num_gpus", "1"] if devices == 1 else ["--num_nodes", "1", "--num_gpus", str(devices), "--no_local_rank"]
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


def check(launcher):
    """Raise ``LaunchFailed`` if the package that the launcher comes with is not installed; nothing is imported."""
    package = _COMMANDS[launcher][1]
    if importlib.util.find_spec(package) is None:
        raise LaunchFailed(
            f"The launcher {launcher} needs the package {package}, which is not installed here. Run `make setup`."
        )


def command(launcher, devices, arguments):
    """Return the full command for one launch, on a port that is free now."""
    return _COMMANDS[launcher][0](devices, _free_port(), arguments)


def run(arguments, environment, show):
    """Run a launch to its end; return its exit status and the last lines of its output.

    Lines of progress go to ``show``. However this process ends, the lifeline closes and all ranks end with it; when an
    exception passes through (Ctrl-C), the launcher is ended too before it goes on.
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
            if line.startswith(PROGRESS):
                show(line[len(PROGRESS) :].rstrip("\n"))
            else:
                log.append(line.rstrip("\n"))
        return process.wait(), list(log)
    finally:
        _end(process)


@contextlib.contextmanager
def scratch():
    """Yield a folder for one launch's raw data and temporary files; it is removed, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:
        yield folder


@contextlib.contextmanager
def lifeline(folder):
    """Yield the path of a FIFO whose writing end this process holds: it closes when the block, or the process, ends."""
    path = os.path.join(folder, "lifeline")
    os.mkfifo(path)
    handle = os.open(path, os.O_RDWR)  # read and write: opening for writing alone waits for a reader
    os.set_inheritable(handle, False)
    try:
        yield path
    finally:
        os.close(handle)


def environment(folder, device_environment, offline):
    """Return the variables of a launch: this process's own, the device's, and private places for temporary files.

    torchrun, inductor and ``datasets`` leave files where TMPDIR and their caches point.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    offline_environment = (
        {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {}
    )
    return {
        **os.environ,
        **device_environment,
        **offline_environment,
        "PYTHONPATH": path,
        "TMPDIR": folder,
        "HF_DATASETS_CACHE": os.path.join(folder, "datasets"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
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
