"""Stand in for pdsh and ssh: run the commands for any host on this machine. A test copies this file under both names.

As after a login over the network, a command starts in the home folder, without the caller's variables. Each line of its output gets
the host's name in front, and the greatest exit status becomes that of this program. Variables: CORES lists the cores that the hosts
share. HIDDEN lists folders that only the first host has; where APART is yes, every other host gets mounts and a name of its own.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence


def main(program: str, arguments: Sequence[str]) -> int:
    # DeepSpeed asks by ssh whether the first host answers
    if os.path.basename(program) == "ssh":
        return 0
    hosts, words = arguments[arguments.index("-w") + 1].split(","), arguments[arguments.index("-w") + 2 :]
    command = " ".join(words)
    # DeepSpeed ends a launch by `pkill -f` on every host
    if command.startswith("pkill -f "):
        return end_processes(shlex.split(command)[2])
    processes = [start(number, host, command.replace("%n", str(number))) for number, host in enumerate(hosts)]
    # the Python that runs this may be 3.8, whose zip knows no strict
    pairs = zip(hosts, processes)  # noqa: B905
    threads = [threading.Thread(target=print_output, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(process.wait() for process in processes)


def start(number: int, host: str, command: str) -> subprocess.Popen[str]:
    """Start the command of one host; hosts are numbered from 0."""
    apart = os.environ.get("APART") == "yes"
    if apart and number:
        hidden = " && ".join(f"mount -t tmpfs tmpfs {shlex.quote(path)}" for path in os.environ["HIDDEN"].split(":"))
        command = f"hostname {host} && {hidden} && {{ {command}; }}"
    unshare = ["unshare", "--map-root-user", "--mount", "--uts"] if apart else []
    variables = {name: os.environ[name] for name in ("HOME", "PATH")}
    cores = [int(core) for core in os.environ["CORES"].split(",")]
    return subprocess.Popen(
        [*unshare, "sh", "-c", command],
        env=variables,
        cwd=variables["HOME"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        preexec_fn=lambda: os.sched_setaffinity(0, {cores[number % len(cores)]}),
    )


def end_processes(pattern: str) -> int:
    """Send SIGTERM to the processes of the stand-in hosts whose command line holds ``pattern``, and return what pkill would.

    Processes of this machine with another home, such as the launches of other tests, are on no stand-in host.
    """
    home = f"HOME={os.environ['HOME']}".encode()
    ended = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ, open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                variables, command = environ.read().split(b"\0"), cmdline.read().replace(b"\0", b" ")
        except OSError:
            continue
        if home in variables and pattern.encode() in command and int(pid) != os.getpid():
            os.kill(int(pid), signal.SIGTERM)
            ended += 1
    return 0 if ended else 1


def print_output(host: str, process: subprocess.Popen[str]) -> None:
    """Print the output of a host's command, and its status as pdsh does where the command fails."""
    assert process.stdout is not None
    for line in process.stdout:
        print(f"{host}: {line}", end="", flush=True)
    status = process.wait()
    if status:
        print(f"pdsh@here: {host}: ssh exited with exit code {status}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[0], sys.argv[1:]))
