"""Programs that run containers, played by scripts on the path that print what podman and docker tell of themselves."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import Unsupported
from runner.host.containers import hooks, runtimes
from runner.host.containers.runtimes import Runtime
from runner.host.doctor import container_programs, disk
from runner.host.doctor.container_programs import ContainerLooks, hook, storage
from runner.host.doctor.looking import Group, look_at
from runner.host.doctor.needs import Need
from runner.host.images import build
from tests.host.containers import told
from tests.host.doctor.conftest import BUILT, NeedsOf


class Programs:
    """A folder that is the whole path, with the programs of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, says: dict[str, Any], errors: str = "", code: int = 0, script: str | None = None) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(says))
        text = script or f"/bin/cat {self.folder}/{name}.json; echo '{errors}' >&2; exit {code}"
        (self.folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    # as large as the disk of the test
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 10**12)
    monkeypatch.setattr(build, "earlier", lambda name: BUILT)
    return Programs(tmp_path / "bin")


def states(needs: list[Need]) -> dict[str, str]:
    return {finding.what: finding.state for finding in look_at([Group(ContainerLooks(needs).looks(), 60)])}


def test_a_ready_host(programs: Programs, needs_of: NeedsOf) -> None:
    programs.put("podman", told.PODMAN)
    docker = copy.deepcopy(told.DOCKER)
    docker["Runtimes"]["nvidia"] = {"path": "/usr/bin/nvidia-container-runtime"}
    programs.put("docker", docker)
    assert states(needs_of("a100-1-bloomz-7b1")) == dict.fromkeys(
        ["podman or docker", "storage of podman", "storage of docker", "device hook"], "ready"
    )
    assert "device hook" not in states(needs_of("cpu-1"))


def test_no_program_at_all(programs: Programs, needs_of: NeedsOf) -> None:
    assert states(needs_of("cpu-1")) == {"podman or docker": "warning"}
    assert states(needs_of("gaudi2-1-bloomz-7b1")) == {"podman or docker": "not ready", "device hook": "not looked at"}


def test_a_daemon_that_does_not_run(programs: Programs, needs_of: NeedsOf) -> None:
    programs.put("docker", {"ID": ""}, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", 1)
    assert states(needs_of("gaudi2-1-bloomz-7b1")) == {
        "podman or docker": "not ready",
        "storage of docker": "not looked at",
        "device hook": "not looked at",
    }
    (first, *_) = look_at([Group(ContainerLooks(needs_of("cpu-1")).looks(), 60)])
    assert first.state == "warning" and "Cannot connect to the Docker daemon" in first.finding


def test_a_program_that_hangs_is_not_waited_for(
    programs: Programs, needs_of: NeedsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_programs, "ANSWER_S", 0.3)
    programs.put("podman", {}, script="exec /bin/sleep 600")
    (first, *_) = look_at([Group(ContainerLooks(needs_of("cpu-1")).looks(), 60)])
    assert "did not answer in 0.3 s" in first.finding


def test_a_driver_that_copies_images(needs_of: NeedsOf) -> None:
    assert storage(dataclasses.replace(told.podman(), storage_driver="vfs"), needs_of("cpu-1")).state == "warning"
    assert storage(Unsupported("It is not there."), needs_of("cpu-1")).state == "not looked at"


def of(program: Runtime) -> dict[runtimes.Program, Runtime]:
    return {program.program: program}


@pytest.mark.parametrize(
    "case, program, state, words",
    [
        ("a100-8-bloomz", told.docker("nvidia"), "ready", "docker can hand out the devices"),
        ("a100-8-bloomz", told.docker(cdi=False), "not ready", "nvidia-ctk runtime configure --runtime=docker"),
        ("h100-8-bloomz-compiled", told.docker(cdi=False), "warning", "nvidia-container-toolkit"),
        ("a100-8-bloomz", told.podman(), "not ready", "nvidia-ctk cdi generate"),
        ("gaudi2-8-bloomz", told.docker("habana"), "ready", "docker can hand out the devices"),
        ("gaudi2-8-bloomz", told.docker(), "not ready", "habanalabs-container-runtime"),
        ("gaudi2-8-bloomz", told.podman(), "not ready", "podman has no documented way"),
    ],
    ids=["nvidia", "docker-none", "stack-of-the-host", "podman-none", "habana", "docker-no-habana", "podman-gaudi"],
)
def test_the_hook_for_devices(
    needs_of: NeedsOf, monkeypatch: pytest.MonkeyPatch, case: str, program: Runtime, state: str, words: str
) -> None:
    monkeypatch.setattr(hooks, "cdi_devices", lambda folders: {})
    monkeypatch.setattr(hooks.shutil, "which", lambda name: None)
    answer = hook(of(program), needs_of(case))
    assert answer.state == state and words in f"{answer.finding} {answer.remedy}"


def test_one_program_with_a_hook_is_enough(needs_of: NeedsOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "cdi_devices", lambda folders: {})
    both = {**of(told.podman()), **of(told.docker("habana"))}
    assert hook(both, needs_of("gaudi2-8-bloomz")).finding == "docker can hand out the devices."
