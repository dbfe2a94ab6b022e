"""Build the command that starts the ranks of one launch, with the launchers and flags of the published scripts."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from typing import Callable, NamedTuple, Sequence

from runner.bench.processes.hostfile import Hostfile
from runner.contract.errors import LaunchFailed, Unsupported

# The module that a launcher starts as each rank. Its name is text here: the parent imports no module of the ranks.
WORKER = "runner.bench.rank.worker"

# Without --hostfile DeepSpeed reads this file where it exists, and starts ranks over ssh.
# Source: deepspeed/launcher/runner.py.
DEEPSPEED_HOSTFILE = "/job/hostfile"
# With a hostfile DeepSpeed sets the variables of this file on every host, and no result would record them.
DEEPSPEED_VARIABLES = ".deepspeed_env"
# Where a launch sets this variable, DeepSpeed must be given no number of devices: with a number it takes the first devices of the host,
# and the variable is lost. Source: deepspeed/launcher/runner.py of 0.19.8.
NAMED_BY = "CUDA_VISIBLE_DEVICES"


def deepspeed(
    devices: int, port: int, arguments: Sequence[str], named: bool = False, hostfile: Hostfile | None = None
) -> list[str]:
    """Return the command of the deepspeed launcher, with the flags that optimum-habana's gaudi_spawn.py gives it.

    ``named`` says that a variable of the launch names the devices. With a ``hostfile`` pdsh starts the ranks of every host.
    Source: huggingface/optimum-habana@v1.5.0 and v1.6.0 examples/gaudi_spawn.py (for one device without --num_nodes).
    """
    start = [sys.executable, "-m", "deepspeed.launcher.runner"]
    if hostfile is not None:
        shape = ["--hostfile", hostfile.path, "--master_addr", hostfile.first_address, "--no_local_rank"]
    elif devices == 1:
        shape = [*([] if named else ["--num_gpus", "1"]), *_no_hostfile()]
    else:
        number = [] if named else ["--num_nodes", "1", "--num_gpus", str(devices)]
        shape = [*number, "--no_local_rank", *_no_hostfile()]
    return [*start, *shape, "--master_port", str(port), "--module", WORKER, *arguments]


def deepspeed_gpus(devices: int, port: int, arguments: Sequence[str], named: bool = False) -> list[str]:
    """Return the command of the deepspeed launcher as the GPU script's README gives it, on a free port.

    Source: huggingface/transformers-bloom-inference@7bea352 bloom-inference-scripts/README.md.
    """
    number = [] if named else ["--num_gpus", str(devices)]
    start = [sys.executable, "-m", "deepspeed.launcher.runner", *number, *_no_hostfile()]
    return [*start, "--master_port", str(port), "--module", WORKER, *arguments]


def _no_hostfile() -> list[str]:
    """Return the option that keeps DeepSpeed on this host; none, as published, where no default hostfile exists."""
    return ["--hostfile", os.devnull] if os.path.exists(DEEPSPEED_HOSTFILE) else []


def torchrun(devices: int, port: int, arguments: Sequence[str], named: bool = False) -> list[str]:
    """Return the command of PyTorch's own launcher, on one host; devices that are ``named`` are its only ones."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(devices)]
    return [*start, "--master_port", str(port), "-m", WORKER, *arguments]


def python(devices: int, port: int, arguments: Sequence[str], named: bool = False) -> list[str]:
    """Return the command of one rank without a launcher, as gaudi_spawn.py starts one device without DeepSpeed."""
    assert devices == 1
    return [sys.executable, "-m", WORKER, *arguments]


class Launcher(NamedTuple):
    """A way to start ranks on one host: the function that builds the command, and the package that it needs."""

    command: Callable[[int, int, Sequence[str], bool], list[str]]
    package: str


LAUNCHERS = {
    "deepspeed": Launcher(deepspeed, "deepspeed"),
    "deepspeed-gpus": Launcher(deepspeed_gpus, "deepspeed"),
    "torchrun": Launcher(torchrun, "torch"),
    "python": Launcher(python, "torch"),
}


def check_launcher(launcher: str, several_hosts: bool = False) -> None:
    """Check that a launcher can start ranks here. Nothing is imported.

    Raises ``LaunchFailed`` where the launcher's package, or a program that reaches other hosts, is not installed.
    Raises ``Unsupported`` for several hosts and a launcher that starts ranks on its own host only, as gaudi_spawn.py
    does, and where DeepSpeed would set variables on every host.
    """
    if several_hosts and launcher != "deepspeed":
        raise Unsupported(
            f"This request is started by {launcher}, which starts ranks on this host alone. Leave --hostfile out, or take a"
            " case that runs under DeepSpeed."
        )
    package = LAUNCHERS[launcher].package
    if importlib.util.find_spec(package) is None:
        raise LaunchFailed(
            f"The launcher {launcher} needs the package {package}, which is not installed here. Run `make bench`, which makes the"
            " environment of a stack, or use the stack's image."
        )
    missing = [program for program in ("pdsh", "ssh") if several_hosts and shutil.which(program) is None]
    if missing:
        raise LaunchFailed(
            f"With a hostfile DeepSpeed starts ranks through pdsh and ssh; {' and '.join(missing)} is not on the path."
            " Install it on this host."
        )
    variable_files = [path for path in _deepspeed_variable_files() if several_hosts and os.path.isfile(path)]
    if variable_files:
        raise Unsupported(
            f"DeepSpeed would set the variables of {variable_files[0]} on every host, and no result would say so. Move the file away, and"
            " set in the environment of bench what its ranks need: bench records it and hands it on."
        )


def _deepspeed_variable_files() -> list[str]:
    """Return the files whose variables DeepSpeed hands to other hosts."""
    return [os.path.join(folder, DEEPSPEED_VARIABLES) for folder in (os.path.expanduser("~"), os.getcwd())]


def command(
    launcher: str, devices: int, arguments: Sequence[str], hostfile: Hostfile | None = None, named: bool = False
) -> list[str]:
    """Return the whole command of one launch, on a port that is free now. ``arguments`` go to every rank.

    ``named`` says that the launch sets ``NAMED_BY``.
    """
    if hostfile is None:
        return LAUNCHERS[launcher].command(devices, _free_port(), arguments, named)
    return deepspeed(devices, _free_port(), arguments, hostfile=hostfile)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
