"""The image of SynapseAI 1.10 on a stand-in of the vendor's: what the base brings stays its own, the fork is built from its commit.

The device is emulated; no time is looked at. The fork and pdsh come from local copies that BLOOMZ_BENCH_DEEPSPEED_GIT and
BLOOMZ_BENCH_PDSH_GIT name, where GitHub cannot be reached.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from runner.contract import strictjson
from runner.contract.errors import Unsupported
from runner.contract.files import sha256_of_file
from runner.host import paths
from runner.host.images import build as image_builds
from runner.host.images import buildah, contents
from runner.host.manifests import multinode, pod
from runner.host.readers import lockfile
from tests.emulation import reference
from tests.images import bases
from tests.images.conftest import Built
from tests.images.containers import RUN_S, Container, Ran, another_clock
from tests.images.gaudi import STACK, copies, request
from tests.support import wire
from tests.support.pods import commands, furnish

# a cluster that gives every namespace its own users takes one of these
ARBITRARY = 1000650000
# where the MPIJob has it
REQUEST = "/config/gaudi-16-bloomz.json"


@pytest.fixture(scope="module")
def made(built: Built) -> image_builds.BuiltImage:
    return built(STACK)


@pytest.fixture(scope="module")
def container(made: image_builds.BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> Container:
    return Container(made.image, tmp_path_factory.mktemp("gaudi"))


@pytest.fixture(scope="module")
def request_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return request(tmp_path_factory.mktemp("requests") / "request.json", ranks=1)


@pytest.fixture(scope="module")
def measured(container: Container, request_file: Path) -> Ran:
    return container.bench(request_file, options=["--env", "LOCAL_SIZE=1"])


def test_a_user_without_a_name_runs_the_emulated_device(measured: Ran) -> None:
    assert measured.status == 0, measured.errors
    (launch,) = measured.result["launches"]
    assert launch["status"] == "complete"
    assert measured.result["environment"]["python"].startswith("3.8.")


def test_what_is_installed_is_the_lock_over_the_base(measured: Ran, made: image_builds.BuiltImage) -> None:
    inventory = measured.result["environment"]["inventory"]
    assert inventory is not None
    assert (inventory["missing"], inventory["changed"], inventory["altered_files"], inventory["added"]) == (
        {},
        {},
        [],
        {},
    )
    lock = lockfile.read().stacks[STACK]
    installed = measured.result["environment"]["packages"]
    source = lock.packages["deepspeed"].source
    assert source is not None, "the fork is built from source"
    commit = lockfile.read().sources[source].commit
    assert installed["deepspeed"] == f"{lock.packages['deepspeed'].version}+{commit[:7]}"


def test_torch_and_the_plugin_are_the_base_s_own(container: Container, made: image_builds.BuiltImage) -> None:
    code = (
        "import importlib.metadata as m;"
        "print([str(m.distribution(n).locate_file('')) for n in ('torch', 'habana-torch-plugin', 'transformers')])"
    )
    base, added = "/usr/local/lib/python3.8/site-packages", "/opt/bench/lib/python3.8/site-packages"
    assert container.python(code).output.strip() == str([base, base, added])
    before = contents.python_packages(made.base, "/usr/local/bin/python3", paths.ROOT)
    assert {"torch", "habana-torch-plugin"} <= set(before)
    assert contents.python_packages(made.image, "/usr/local/bin/python3") == before


def test_a_base_package_that_changed_since_the_build_is_refused(
    made: image_builds.BuiltImage, request_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {made.tag}\nUSER 0\nRUN echo '#' >> /usr/local/lib/python3.8/site-packages/torch/serialization.py\nUSER 10001\n"
    )
    altered = buildah.build(buildah.build_arguments(tmp_path, "localhost/bloomz-bench/altered-gaudi:latest", {}, {}, 0))
    ran = Container(altered, tmp_path).bench(request_file, options=["--env", "LOCAL_SIZE=1"])
    assert ran.status == Unsupported.exit_code
    assert "torch/serialization.py was changed or lost" in ran.errors


def test_what_is_built_of_source_is_the_same_bytes_at_another_time_and_for_another_commit_of_the_kit(
    made: image_builds.BuiltImage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The wheel's sha256 is in the image; once it is in the lock, pip refuses any other, so it may not hold the kit's own time."""
    first = buildah.ask(made.image, "cat", "/opt/bench/built.txt").split()
    assert first[0] == "deepspeed" and len(first[1]) == 64
    pdsh = contents.program_sha256(made.image, "pdsh")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    for name, value in another_clock(tmp_path).items():
        monkeypatch.setenv(name, value)
    again = image_builds.execute(
        image_builds.plan(lockfile.read(), STACK, bases.make(STACK), checkouts=copies(), folder=tmp_path / "again")
    )
    monkeypatch.undo()
    assert again.image != made.image
    assert buildah.ask(again.image, "cat", "/opt/bench/built.txt").split() == first
    assert contents.program_sha256(again.image, "pdsh") == pdsh


def test_pdsh_is_the_locked_one_with_ssh_alone_its_licence_and_its_source(
    container: Container, made: image_builds.BuiltImage
) -> None:
    pin = lockfile.read().stacks[STACK].programs["pdsh"]
    ran = container.run("-c", "command -v pdsh; pdsh -V; ldd $(command -v pdsh)", entrypoint="/bin/sh")
    path, version, modules, _, *needed = ran.output.splitlines()
    assert (path, version) == (f"{contents.PROGRAMS}/pdsh", f"pdsh-{pin.version} (+static-modules)")
    assert modules == "rcmd modules: ssh,exec (default: ssh)"
    assert {line.split()[0].split("/")[-1] for line in needed} == {
        "linux-vdso.so.1",
        "libc.so.6",
        "ld-linux-x86-64.so.2",
    }
    bill = json.loads((paths.ROOT / "build" / "images" / STACK / "sbom.json").read_text())
    (component,) = [entry for entry in bill["components"] if entry["name"] == "pdsh"]
    assert component["hashes"] == [{"alg": "SHA-256", "content": contents.program_sha256(made.image, "pdsh")}]
    assert component["licenses"] == [{"license": {"id": pin.license}}]
    assert lockfile.read().sources[pin.source].commit in component["purl"]
    places = {entry["name"]: entry["value"] for entry in component["properties"]}
    licence = container.run("-n", "2", places["bloomz-bench:license-file"], entrypoint="/usr/bin/head").output
    assert "GNU GENERAL PUBLIC LICENSE" in licence and "Version 2" in licence
    tree = paths.ROOT / "build" / "images" / STACK / "context" / "sources" / "pdsh"
    kept = container.run(
        "-c", f"cd {places['bloomz-bench:source']} && find . -type f | xargs sha256sum", entrypoint="/bin/sh"
    )
    assert {tuple(line.split()) for line in kept.output.splitlines()} == {
        (sha256_of_file(file), f"./{file.relative_to(tree)}") for file in tree.rglob("*") if file.is_file()
    }


class Pods:
    """The image twice, each on its own network, with what the rendered MPIJob mounts; ``start`` runs a shell line in one."""

    def __init__(self, container: Container, folder: Path, spaces: Sequence[str]) -> None:
        self.container, self.folder, self.spaces = container, folder, spaces
        self.running: list[subprocess.Popen[str]] = []

    def start(self, number: int, line: str, user: int = pod.UID) -> subprocess.Popen[str]:
        mounts = {self.folder / name: place for name, place in multinode.PATHS.items()}
        mounts |= {self.folder / "keys": multinode.KEYS, self.folder / "hostfile": "/etc/mpi/hostfile"}
        mounts |= {self.folder / "request.json": REQUEST, self.folder / "term" / "log": "/dev/termination-log"}
        options = [part for source, destination in mounts.items() for part in ("--volume", f"{source}:{destination}")]
        for variable in ("HOME=/tmp", "LOCAL_SIZE=1", "GLOO_SOCKET_IFNAME=eth0"):
            options += ["--env", variable]
        cores = sorted(os.sched_getaffinity(0))
        command = self.container.command(
            *("-c", line),
            results=self.folder / "results",
            user=f"{user}:0",
            network=f"ns:/run/netns/{self.spaces[number - 1]}",
            entrypoint="/bin/sh",
            options=[*options, "--hostname", f"pod{number}", "--name", f"{self.spaces[number - 1]}"],
        )
        core = ["taskset", "-c", str(cores[(number - 1) % len(cores)])]
        self.running.append(
            subprocess.Popen(
                [*core, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
        )
        return self.running[-1]

    def close(self) -> None:
        for name in self.spaces:
            subprocess.run(["podman", "rm", "--force", "--ignore", name], capture_output=True, check=True)
        for process in self.running:
            process.communicate()


@pytest.fixture
def pods(container: Container) -> Iterator[Pods]:
    with tempfile.TemporaryDirectory(prefix="bench-images-") as name, wire.joined() as spaces:
        folder = Path(name)
        folder.chmod(0o755)
        furnish(folder)
        (folder / "term" / "log").touch()
        (folder / "term" / "log").chmod(0o666)
        request(folder / "request.json", ranks=2)
        both = Pods(container, folder, spaces)
        try:
            yield both
        finally:
            both.close()


def test_two_of_it_run_the_mpijob_s_commands_and_give_the_tokens_of_one(pods: Pods) -> None:
    """sshd, pdsh and the vendor's DeepSpeed as they are in the image: each pod holds one half of the model."""
    first, other = commands()
    before, _, after = first.partition(" --model-dir ")
    # dummy weights lie nowhere
    first = f"{before} {after.partition(' ')[2]}"
    pods.start(2, other)
    out, err = pods.start(1, first).communicate(timeout=RUN_S)
    files = list((pods.folder / "results").rglob("*.json"))
    assert len(files) == 1, err
    result = strictjson.read(str(files[0]))
    (launch,) = result["launches"]
    assert [rank["host"] for rank in launch["ranks"]] == ["pod1", "pod2"]
    assert {strictjson.sha256_of(row) for row in launch["tokens"]["output_ids"]} == {reference.output_ids_sha256()}
    assert launch["conditions"]["engine"] == "optimum-habana-deepspeed"
    assert "@frame begin" in out


def test_pdsh_logs_in_for_a_user_that_no_image_knows(pods: Pods) -> None:
    """Through the kit's sshd, by the default of pdsh, as that user on both sides."""
    passwd = pods.folder / "passwd"
    passwd.write_text(passwd.read_text().replace(str(pod.UID), str(ARBITRARY)))
    serve = f"python3 -m runner sshd --keys {multinode.KEYS}"
    pods.start(2, f"exec {serve}", user=ARBITRARY)
    reach = "python3 -m runner reach /etc/mpi/hostfile --port 2222 --within-s 60"
    ask = f"pdsh -S -w {','.join(wire.ADDRESSES)} 'echo $(hostname) $(id -u) %n; exit %n'"
    process = pods.start(1, f"{serve} 2> /dev/null & {reach} && {ask}", user=ARBITRARY)
    out, err = process.communicate(timeout=RUN_S)
    first, second = wire.ADDRESSES
    assert sorted(out.splitlines()) == [f"{first}: pod1 {ARBITRARY} 0", f"{second}: pod2 {ARBITRARY} 1"], err
    assert f"{second}: ssh exited with exit code 1" in err
    assert process.returncode == 1
