"""Programs that run containers, played by scripts on the path that print recorded descriptions.

The forms of the descriptions are those of the documentation: docs.podman.io, podman-info(1), and docs.docker.com, docker system info.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.host.doctor import container_programs, disk
from runner.host.doctor.container_programs import ContainerLooks, Program, asked, hook, storage, usable
from runner.host.doctor.looking import Group, look_at
from runner.host.doctor.needs import Need
from tests.host.doctor.conftest import NeedsOf

PODMAN = {
    "host": {"ociRuntime": {"name": "runc"}, "security": {"rootless": True}},
    "store": {"graphDriverName": "overlay", "graphRoot": "/"},
    "version": {"Version": "4.3.1"},
}
DOCKER = {
    "ServerVersion": "28.2.2",
    "Driver": "overlay2",
    "DockerRootDir": "/",
    "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}},
}


class Folder:
    """A folder on the path that holds the programs of a test, and nothing else but the shell's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", f"{folder}:/nowhere")

    def put(self, name: str, says: object = None, errors: str = "", code: int = 0, script: str | None = None) -> None:
        (self.folder / f"{name}.json").write_text(says if isinstance(says, str) else json.dumps(says))
        (self.folder / f"{name}.err").write_text(errors)
        text = script or f"/bin/cat {self.folder}/{name}.json; /bin/cat {self.folder}/{name}.err >&2; exit {code}"
        (self.folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.folder / name).chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    (tmp_path / "bin").mkdir()
    return Folder(tmp_path / "bin", monkeypatch)


def states(needs: list[Need], cdi_folders: Sequence[Path] = ()) -> dict[str, str]:
    return {finding.what: finding.state for finding in look_at([Group(ContainerLooks(needs, cdi_folders).looks(), 60)])}


def test_podman_and_docker_describe_themselves(path: Folder) -> None:
    path.put("podman", PODMAN)
    path.put("docker", DOCKER)
    assert asked("podman") == Program("podman", "4.3.1", "overlay", "/", frozenset({"runc"}))
    assert asked("docker") == Program("docker", "28.2.2", "overlay2", "/", frozenset({"runc", "nvidia"}))


def test_a_ready_host(path: Folder, needs_of: NeedsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.put("docker", DOCKER)
    monkeypatch.setattr(disk, "built_image", lambda stack, folder: {"bytes": 1})
    assert states(needs_of("a100-1-bloomz-7b1")) == dict.fromkeys(
        ["podman or docker", "storage of docker", "device hook"], "ready"
    )


def test_no_program_at_all(path: Folder, needs_of: NeedsOf) -> None:
    assert states(needs_of("cpu-1")) == {"podman or docker": "warning"}
    assert states(needs_of("gaudi2-1-bloomz-7b1")) == {"podman or docker": "not ready", "device hook": "not looked at"}


def test_a_daemon_that_does_not_run_and_a_user_without_rights(path: Folder, needs_of: NeedsOf) -> None:
    path.put("docker", {"ID": ""}, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n", 1)
    answer = usable([asked("docker")], needs_of("gaudi2-1-bloomz-7b1"))
    assert answer.state == "not ready" and "docker: Cannot connect to the Docker daemon" in answer.finding
    assert "group docker" in str(answer.remedy)
    assert states(needs_of("cpu-1"))["storage of docker"] == "not looked at"


@pytest.mark.parametrize("says", ["no JSON", [], {"store": 1, "host": {}}, {}], ids=["text", "list", "number", "empty"])
def test_a_description_of_another_form(path: Folder, says: object) -> None:
    path.put("podman", says)
    assert asked("podman").problem == "it described itself in a form that nobody knows here"


def test_a_program_that_hangs_is_not_waited_for(path: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_programs, "ANSWER_S", 0.3)
    path.put("docker", script="exec /bin/sleep 600")
    assert asked("docker").problem == "it did not answer within 0.3 s"


def test_a_driver_that_copies_images(needs_of: NeedsOf) -> None:
    assert storage(Program("podman", driver="vfs", storage="/"), needs_of("cpu-1")).state == "warning"


@pytest.mark.parametrize(
    "case, program, state, words",
    [
        ("a100-8-bloomz", Program("docker", runtimes=frozenset({"nvidia"})), "ready", "the runtime nvidia"),
        ("a100-8-bloomz", Program("docker"), "warning", "nvidia-ctk runtime configure --runtime=docker"),
        ("a100-8-bloomz", Program("podman"), "warning", "nvidia-ctk cdi generate"),
        ("gaudi2-8-bloomz", Program("docker", runtimes=frozenset({"habana"})), "ready", "the runtime habana"),
        ("gaudi2-8-bloomz", Program("docker"), "not ready", "habanalabs-container-runtime"),
        ("gaudi2-8-bloomz", Program("podman"), "not ready", "habanalabs-container-runtime"),
        ("gaudi2-8-bloomz", Program("docker", problem="it is not there"), "not looked at", "No program"),
    ],
    ids=["nvidia", "docker-none", "podman-none", "habana", "docker-no-habana", "podman-no-habana", "no-program"],
)
def test_the_hook_for_devices(needs_of: NeedsOf, case: str, program: Program, state: str, words: str) -> None:
    answer = hook([program], needs_of(case), [])
    assert answer.state == state and words in f"{answer.finding} {answer.remedy}"


def test_a_specification_of_cdi(needs_of: NeedsOf, tmp_path: Path) -> None:
    """The beginning of what `nvidia-ctk cdi generate` writes (NVIDIA Container Toolkit, CDI support)."""
    (tmp_path / "nvidia.yaml").write_text("cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices: []\n")
    answer = hook([Program("podman")], needs_of("a100-8-bloomz"), [tmp_path / "none", tmp_path])
    assert (answer.state, answer.finding) == ("ready", "podman finds nvidia.com/gpu among the CDI specifications.")
    (tmp_path / "nvidia.yaml").write_text("cdiVersion: 0.5.0\nkind: vendor.com/net\n")
    assert hook([Program("podman")], needs_of("a100-8-bloomz"), [tmp_path]).state == "warning"
