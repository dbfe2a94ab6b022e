"""Stands in for pdsh and ssh: commands for any host run here. Copied into a folder of programs under both names.

As from a login over the network, a command starts in the home, with nothing of the caller's variables; its lines are told with the
host's name before them, and the worst status is handed on. CORES are dealt out among the hosts. HIDDEN names folders that only the
first host has: where APART is yes, another one gets mounts and a name of its own.
"""

import os
import shlex
import subprocess
import sys
import threading


def main(program, arguments):
    if os.path.basename(program) == "ssh":  # DeepSpeed asks whether the first host answers
        return 0
    hosts, command = arguments[arguments.index("-w") + 1].split(","), arguments[arguments.index("-w") + 2 :]
    running = [start(number, host, " ".join(command).replace("%n", str(number))) for number, host in enumerate(hosts)]
    told = [threading.Thread(target=tell, args=pair) for pair in zip(hosts, running)]  # noqa: B905 - its Python may be any
    for thread in told:
        thread.start()
    for thread in told:
        thread.join()
    return max(process.wait() for process in running)


def start(number, host, command):
    apart = os.environ.get("APART") == "yes"
    if apart and number:
        hidden = " && ".join(f"mount -t tmpfs tmpfs {shlex.quote(path)}" for path in os.environ["HIDDEN"].split(":"))
        command = f"hostname {host} && {hidden} && {{ {command}; }}"
    start = ["unshare", "--map-root-user", "--mount", "--uts"] if apart else []
    variables = {name: os.environ[name] for name in ("HOME", "PATH")}
    cores = [int(core) for core in os.environ["CORES"].split(",")]
    return subprocess.Popen(
        [*start, "sh", "-c", command],
        env=variables,
        cwd=variables["HOME"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        preexec_fn=lambda: os.sched_setaffinity(0, {cores[number % len(cores)]}),
    )


def tell(host, process):
    for line in process.stdout:
        print(f"{host}: {line}", end="", flush=True)
    status = process.wait()
    if status:
        print(f"pdsh@here: {host}: ssh exited with exit code {status}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[0], sys.argv[1:]))
