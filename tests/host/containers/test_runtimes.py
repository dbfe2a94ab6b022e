"""What podman and docker tell of themselves, and what is said where they cannot be used."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from runner.contract.errors import Unsupported
from runner.host.containers import runtimes
from tests.host.containers import told


class Programs:
    """A folder of programs in the place of podman and docker."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        monkeypatch.delenv("DOCKER_HOST", raising=False)

    def add(self, name: str, output: str = "", errors: str = "", code: int = 0) -> None:
        (self.folder / f"{name}.out").write_text(output)
        (self.folder / f"{name}.err").write_text(errors)
        program = self.folder / name
        program.write_text(f'#!/bin/sh\ncat "$0.out"; cat "$0.err" >&2; exit {code}\n')
        program.chmod(0o755)

    def hang(self, name: str) -> None:
        program = self.folder / name
        program.write_text("#!/bin/sh\nexec sleep 600\n")
        program.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    # the real ones of this host are not seen
    for name in runtimes.PROGRAMS:
        (tmp_path / name).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / name).chmod(0o755)
    return Programs(tmp_path, monkeypatch)


def test_podman_and_docker_are_told_apart(programs: Programs) -> None:
    programs.add("podman", json.dumps(told.PODMAN))
    programs.add("docker", json.dumps(told.DOCKER))
    podman, docker = runtimes.usable()
    assert (podman.program, podman.version, podman.rootless, podman.selinux) == ("podman", "4.3.1", False, False)
    assert (docker.program, docker.version, docker.rootless, docker.selinux) == ("docker", "28.2.2", False, False)
    assert podman.oci_runtimes == {"crun"} and docker.oci_runtimes == {"runc", "io.containerd.runc.v2"}
    assert podman.cdi_folders == docker.cdi_folders == ("/etc/cdi", "/var/run/cdi")


def test_rootless_and_selinux_are_told() -> None:
    assert told.podman(rootless=True).rootless and told.docker(rootless=True).rootless
    assert told.podman(selinux=True).selinux and told.docker(selinux=True).selinux


def test_a_docker_that_injects_no_cdi_device_is_told() -> None:
    """docker 20.10.24 of Debian 12, asked by a client of 28.2.2, tells null."""
    assert told.docker(cdi=False).cdi_folders == ()
    assert runtimes.read("docker", {**told.DOCKER, "CDISpecDirs": None}).cdi_folders == ()


def test_podman_by_the_name_of_docker_is_podman(programs: Programs) -> None:
    programs.add("docker", json.dumps(told.PODMAN))
    (only,) = runtimes.usable()
    assert only.program == "podman"


def test_one_that_cannot_be_used_is_passed_over(programs: Programs) -> None:
    programs.add("podman", json.dumps(told.PODMAN))
    programs.add("docker", '{"ServerErrors": ["x"]}', "Cannot connect to the Docker daemon", code=1)
    assert [runtime.program for runtime in runtimes.usable()] == ["podman"]
    with pytest.raises(
        Unsupported, match="docker is installed and cannot be used: Cannot connect to the Docker daemon"
    ):
        runtimes.usable(["docker"])


def test_both_reasons_are_said_where_none_can_be_used(programs: Programs) -> None:
    programs.add("podman", "", "newuidmap is not installed", code=125)
    programs.add("docker", "", "permission denied", code=1)
    with pytest.raises(Unsupported, match="newuidmap is not installed.*permission denied"):
        runtimes.usable()


def test_a_program_that_is_not_there_is_named(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unsupported, match="podman cannot be run: No such file or directory. Install podman or docker"):
        runtimes.usable()


def test_a_daemon_that_is_silent_is_named(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runtimes._ASK_S, "docker", 0.2)
    programs.hang("docker")
    with pytest.raises(Unsupported, match="`docker info` did not answer in 0.2 s"):
        runtimes.ask("docker")


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://me@there"], ids=["tcp", "ssh"])
def test_a_daemon_of_another_host_is_refused(host: str) -> None:
    with pytest.raises(Unsupported, match="another host .DOCKER_HOST."):
        runtimes.ask("docker", {"DOCKER_HOST": host})


def test_a_service_of_another_host_is_refused() -> None:
    remote = copy.deepcopy(told.PODMAN)
    remote["host"]["serviceIsRemote"] = True
    with pytest.raises(Unsupported, match="another host .CONTAINER_HOST."):
        runtimes.read("podman", remote)


@pytest.mark.parametrize("said", ["{}", "[]", '{"host": {}}', '{"host": 1}', "no JSON", ""], ids=str)
def test_an_answer_of_another_form_is_refused(programs: Programs, said: str) -> None:
    programs.add("podman", said)
    with pytest.raises(Unsupported):
        runtimes.ask("podman")
