from __future__ import annotations

import base64
import contextlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Callable

import pytest

from runner.bench.parent import launcher
from runner.bench.processes.hostfile import Hostfile
from runner.contract.errors import LaunchFailed, Unsupported


def test_one_device_gets_the_command_of_gaudi_spawn() -> None:
    command = launcher.deepspeed(1, 1234, ["--out", "folder"])
    assert command[1:] == [
        *("-m", "deepspeed.launcher.runner", "--num_gpus", "1"),
        *("--master_port", "1234", "--module", "runner.bench.rank.worker", "--out", "folder"),
    ]


def test_several_devices_get_the_command_of_gaudi_spawn() -> None:
    command = launcher.deepspeed(8, 1234, [])
    assert command[3:8] == ["--num_nodes", "1", "--num_gpus", "8", "--no_local_rank"]


def test_a_hostfile_gets_the_command_of_gaudi_spawn() -> None:
    command = launcher.command("deepspeed", 16, ["--out", "folder"], Hostfile("/etc/hosts.gaudi", "10.0.0.7"))
    assert command[1:3] == ["-m", "deepspeed.launcher.runner"]
    assert command[3:8] == ["--hostfile", "/etc/hosts.gaudi", "--master_addr", "10.0.0.7", "--no_local_rank"]
    assert command[8] == "--master_port"
    assert command[10:] == ["--module", "runner.bench.rank.worker", "--out", "folder"]


@pytest.mark.parametrize("make", [launcher.deepspeed, launcher.deepspeed_gpus])
@pytest.mark.parametrize("devices", [1, 2])
def test_deepspeed_is_told_no_number_where_a_variable_names_the_devices(
    make: Callable[..., list[str]], devices: int
) -> None:
    numbered, named = make(devices, 1234, []), make(devices, 1234, [], named=True)
    assert "--num_gpus" in numbered
    assert [word for word in named if word in ("--num_gpus", "--num_nodes")] == []
    assert ("--no_local_rank" in named) is ("--no_local_rank" in numbered)


@pytest.mark.torch
@pytest.mark.parametrize(
    "named, listed", [(True, {"localhost": [3]}), (False, {"localhost": [0]})], ids=["named", "numbered"]
)
def test_deepspeed_takes_the_device_that_a_variable_names(
    monkeypatch: pytest.MonkeyPatch, named: bool, listed: dict[str, list[int]]
) -> None:
    """Where DeepSpeed gets a number of devices, it takes the first ones of the host, whatever the variable says."""
    runner = pytest.importorskip("deepspeed.launcher.runner")
    started: list[list[str]] = []

    class Started:
        returncode = 0

        def __init__(self, command: list[str], **keywords: object) -> None:
            started.append(command)

        def wait(self) -> None:
            pass

    accelerator = SimpleNamespace(
        device_count=lambda: 8, visible_devices_envs=lambda: [launcher.NAMED_BY], device_name=lambda: "cuda"
    )
    monkeypatch.setattr(runner, "get_accelerator", lambda: accelerator)
    monkeypatch.setattr(runner.subprocess, "Popen", Started)
    monkeypatch.setenv(launcher.NAMED_BY, "3")
    with contextlib.suppress(SystemExit):
        runner.main(launcher.deepspeed(1, 1234, [], named=named)[3:])
    (world,) = (word.partition("=")[2] for word in started[0] if word.startswith("--world_info="))
    assert json.loads(base64.urlsafe_b64decode(world)) == listed


@pytest.mark.parametrize("name", ["torchrun", "python"])
def test_a_hostfile_without_deepspeed_is_refused_as_by_gaudi_spawn(name: str) -> None:
    with pytest.raises(
        Unsupported, match=f"started by {name}, which starts ranks on this host alone. Leave --hostfile out"
    ):
        launcher.check_launcher(name, several_hosts=True)


def test_a_hostfile_needs_the_programs_that_reach_other_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(launcher.LAUNCHERS, "deepspeed", launcher.Launcher(launcher.deepspeed, "runner"))
    monkeypatch.setenv("PATH", str(tmp_path))
    launcher.check_launcher("deepspeed")
    with pytest.raises(LaunchFailed, match="pdsh and ssh is not on the path"):
        launcher.check_launcher("deepspeed", several_hosts=True)
    for name in ("pdsh", "ssh"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    launcher.check_launcher("deepspeed", several_hosts=True)


def test_torchrun_starts_as_many_ranks_as_devices() -> None:
    assert launcher.torchrun(2, 1234, [])[1:5] == ["-m", "torch.distributed.run", "--nproc_per_node", "2"]


def test_a_launcher_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(launcher.LAUNCHERS, "deepspeed", launcher.Launcher(launcher.deepspeed, "no_such_package_here"))
    with pytest.raises(
        LaunchFailed, match="needs the package no_such_package_here, which is not installed here. Run `make bench`"
    ):
        launcher.check_launcher("deepspeed")


@pytest.mark.parametrize("make", [launcher.deepspeed, launcher.deepspeed_gpus])
@pytest.mark.parametrize("devices", [1, 2])
def test_deepspeed_s_own_hostfile_is_kept_out_of_a_run_on_one_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[..., list[str]], devices: int
) -> None:
    before = make(devices, 1234, ["--out", "folder"])
    monkeypatch.setattr(launcher, "DEEPSPEED_HOSTFILE", str(tmp_path / "hostfile"))
    assert make(devices, 1234, ["--out", "folder"]) == before
    (tmp_path / "hostfile").write_text("elsewhere slots=8\n")
    place = before.index("--master_port")
    assert make(devices, 1234, ["--out", "folder"]) == [*before[:place], "--hostfile", os.devnull, *before[place:]]


@pytest.mark.torch
def test_deepspeed_takes_no_hosts_from_what_it_is_given_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = pytest.importorskip("deepspeed.launcher.runner")
    assert runner.DLTS_HOSTFILE == launcher.DEEPSPEED_HOSTFILE
    assert runner.fetch_hostfile(os.devnull) is None


def test_variables_that_deepspeed_would_hand_on_by_itself_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("pdsh", "ssh"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setitem(launcher.LAUNCHERS, "deepspeed", launcher.Launcher(launcher.deepspeed, "runner"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    launcher.check_launcher("deepspeed", several_hosts=True)
    (tmp_path / ".deepspeed_env").write_text("NCCL_DEBUG=INFO\n")
    launcher.check_launcher("deepspeed")
    with pytest.raises(Unsupported, match=r"would set the variables of .*\.deepspeed_env on every host"):
        launcher.check_launcher("deepspeed", several_hosts=True)
