"""One run over two pods by the real software: sshd, ssh, pdsh, DeepSpeed, with the files and commands of the rendered MPIJob.

A pod here is a network, a mount and a host name of its own, a user without rights, and the files that the MPIJob mounts. It takes
root, and programs that not every machine has; the test says which are missing.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from runner.contract import strictjson, termination
from runner.host.manifests import multinode, pod
from tests.support import wire
from tests.support.house import output_ids
from tests.support.patience import HANG_S
from tests.support.plain_transformers import plain_tokens
from tests.support.pods import commands, furnish

ROOT = Path(__file__).parents[1]
PROGRAMS = ("ip", "pdsh", "setpriv", "ssh", "ssh-keygen", "unshare")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None] + (
    [] if Path("/usr/sbin/sshd").exists() else ["sshd"]
)

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make networks and users"),
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
]


class Pods:
    """Two pods, joined by a wire, that see this machine's software; ``start`` runs a shell line in one as the pods' user."""

    def __init__(self, folder: Path, spaces: Sequence[str]) -> None:
        self.folder, self.spaces = folder, spaces
        self.running: list[subprocess.Popen[str]] = []

    def start(
        self, number: int, line: str, stdout: int | None = None, stderr: int | None = None
    ) -> subprocess.Popen[str]:
        """Start a line; every pod has a /tmp, a home and one core of its own."""
        (self.folder / f"tmp{number}").mkdir(mode=0o777)
        (self.folder / f"tmp{number}").chmod(0o1777)
        mounts = {self.folder / name: place for name, place in multinode.PATHS.items()}
        mounts[self.folder / "keys"] = multinode.KEYS
        script = [f"hostname pod{number}", *reachable(Path(sys.executable).resolve(), self.folder)]
        script += [
            "mount -t tmpfs -o mode=755 tmpfs /home",
            f"mkdir -p {multinode.KEYS}",
            *(f"mount --bind {source} {place}" for source, place in mounts.items()),
        ]
        variables = {
            **{name: os.environ[name] for name in ("PATH", "OPENBLAS_CORETYPE") if name in os.environ},
            **dict.fromkeys(("HOME", "TMPDIR"), self.folder / f"tmp{number}"),
            "USER": "bench",
            "GLOO_SOCKET_IFNAME": "eth0",
            "PLUGIN": f"of pod {number}",
        }
        user = [
            "setpriv",
            "--reuid",
            pod.UID,
            "--regid",
            pod.UID,
            "--clear-groups",
            "--inh-caps=-all",
            "--bounding-set=-all",
        ]
        cores = sorted(os.sched_getaffinity(0))
        core = ["taskset", "-c", cores[(number - 1) % len(cores)]]
        inside = [
            *core,
            *user,
            "env",
            "-i",
            *(f"{name}={value}" for name, value in variables.items()),
            "sh",
            "-c",
            line,
        ]
        script.append(f"cd {ROOT} && exec {shlex.join(map(str, inside))}")
        # the first process of a pod takes all others with it
        apart = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = ["ip", "netns", "exec", self.spaces[number - 1], *apart, "sh", "-ec", "\n".join(script)]
        self.running.append(
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, encoding="utf-8")
        )
        return self.running[-1]

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


def reachable(interpreter: Path, folder: Path) -> list[str]:
    """Return shell lines after which the pods' user reaches an interpreter that lies in root's home."""
    if not interpreter.is_relative_to("/root"):
        return []
    top = Path("/root", interpreter.parts[2])
    kept = folder / "interpreter"
    hidden = [f"mkdir -p -m 755 {kept}", f"mount --bind {top} {kept}", "mount -t tmpfs -o mode=755 tmpfs /root"]
    return [*hidden, f"mkdir {top}", f"mount --bind {kept} {top}"]


@pytest.fixture
def pods() -> Iterator[Pods]:
    """Yield two pods. Their folder lies where another user comes to, which pytest's own does not."""
    with tempfile.TemporaryDirectory(prefix="bench-pods-") as name, wire.joined() as spaces:
        folder = Path(name)
        folder.chmod(0o755)
        furnish(folder)
        made = Pods(folder, spaces)
        try:
            yield made
        finally:
            made.close()


def here(line: str, folder: Path, request: Path | str | None = None) -> str:
    """Return a pod's shell line with this machine's places instead of a container's."""
    line = line.replace("python3 -m runner", f"{sys.executable} -m runner")
    for container, ours in (
        ("/etc/mpi/", folder),
        ("/results", folder / "results"),
        ("/dev/termination-log", folder / "term" / "log"),
    ):
        line = line.replace(container, f"{ours}/" if container.endswith("/") else str(ours))
    words = line.split(" --model-dir ")
    rest = words[1].partition(" ")[2] if len(words) > 1 else ""  # dummy weights lie nowhere
    return f"{words[0]} {rest}".replace("/config/gaudi-16-bloomz.json", str(request)).replace(
        "--within-s 600", "--within-s 60"
    )


def test_a_run_over_two_pods_gives_the_tokens_of_one_host(pods: Pods) -> None:
    folder = pods.folder
    wire.run(sys.executable, "-m", "runner", "request", "cpu-2", "--out", str(folder))
    (request,) = folder.glob("cpu-2-*.json")
    first, other = (here(line, folder, request) for line in commands())
    pods.start(2, other, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = pods.start(1, first, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = done.communicate(timeout=HANG_S)
    assert done.returncode == 0, err
    (path,) = (folder / "results").glob("*/*.json")
    result = strictjson.read(str(path))
    assert [rank["host"] for rank in result["launches"][0]["ranks"]] == ["pod1", "pod2"]
    assert output_ids(result) == plain_tokens(29)
    (said,) = [check for check in result["launches"][0]["checks"] if check["name"] == "experimental"]
    assert (said["passed"], said["act"], said["found"]) == (False, "flag", ["ranks on 2 hosts"])
    assert "@frame begin" in out
    told = termination.read((folder / "term" / "log").read_text(), "the termination message")
    assert (told["attempts"][0]["sha256"], told["error"]) == (result["sha256"], None)


def test_another_pod_s_login_has_its_own_variables_and_no_rights(pods: Pods) -> None:
    line = f"{sys.executable} -m runner sshd --keys {multinode.KEYS} & {sys.executable} -m runner reach"
    pods.start(2, here(commands()[1], pods.folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ask = "ssh 10.77.0.2 'id -u; hostname; echo $PLUGIN; cat /proc/self/status | grep CapEff'"
    done = pods.start(1, f"{line} {pods.folder}/hostfile --port 2222 --within-s 60 && {ask}", stdout=subprocess.PIPE)
    out, _ = done.communicate(timeout=HANG_S)
    assert out.split("\n") == [str(pod.UID), "pod2", "of pod 2", "CapEff:\t0000000000000000", ""]


def test_a_pod_that_never_comes_ends_the_first_with_the_code_for_what_cannot_be_reached(pods: Pods) -> None:
    first = here(commands()[0], pods.folder, "no-such-request").replace("--within-s 60", "--within-s 3")
    done = pods.start(1, first, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, err = done.communicate(timeout=HANG_S)
    assert done.returncode == 9
    assert "1 host(s) did not answer on port 2222 within 3 s (10.77.0.2: " in err
