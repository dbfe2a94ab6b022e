"""The verb ``devices`` with the vendors' tools as programs on the path, which print recordings, fail, or hang."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from runner.bench.facts import device_files
from runner.bench.facts.present import Present
from runner.bench.pods import devices
from runner.contract import found_devices
from tests.bench.facts import recordings
from tests.support.json_output import events


class Tools:
    """A path with the programs that a test puts there, and nothing else but a shell's own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        shell = shutil.which("sleep")
        assert shell is not None
        (folder / "sleep").symlink_to(shell)
        monkeypatch.setenv("PATH", str(folder))
        for variable in ("CUDA_VISIBLE_DEVICES", "HABANA_VISIBLE_DEVICES", "HABANA_VISIBLE_MODULES"):
            monkeypatch.delenv(variable, raising=False)
        # without pynvml and pyhlml, whatever this environment has
        for module in ("pynvml", "pyhlml"):
            monkeypatch.setitem(__import__("sys").modules, module, None)
        monkeypatch.setattr(device_files, "count", lambda device: 0)

    def put(self, name: str, script: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o755)

    def nvidia_smi(self, gpus: str, slices: str = "", apps: str = "") -> None:
        cases = (("--query-gpu*", gpus), ("-L", slices), ("--query-compute-apps*", apps))
        branches = "".join(f"{pattern}) printf '%s' '{text}';;\n" for pattern, text in cases)
        self.put("nvidia-smi", f'case "$1" in\n{branches}*) exit 2;;\nesac')

    def hl_smi(self, table: str) -> None:
        self.put("hl-smi", f"printf '%s' '{table}'")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(tmp_path / "bin", monkeypatch)


def test_a_host_without_accelerators_has_none_and_that_is_no_error(tools, capsys):
    assert devices.main([]) == 0
    assert capsys.readouterr() == ("no accelerator was found\n", "")
    assert devices.main(["--json"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "gpus, slices, name, accelerator, memory_bytes",
    [
        (recordings.PCIE_40GB, "", "NVIDIA A100-PCIE-40GB", None, 40960 << 20),
        (recordings.RTX, "", "NVIDIA GeForce RTX 4090", None, 24564 << 20),
        (recordings.CUT, recordings.SLICES, "NVIDIA A100-SXM4-80GB MIG 3g.40gb", None, 40 * 10**9),
        (recordings.EIGHT_H100, "", "NVIDIA H100 80GB HBM3", "h100", 81559 << 20),
    ],
    ids=["pcie", "rtx", "slice", "h100"],
)
def test_a_gpu_is_told_to_programs(tools, capsys, tmp_path, gpus, slices, name, accelerator, memory_bytes):
    tools.nvidia_smi(gpus, slices)
    assert devices.main(["--json"]) == 0
    out, err = capsys.readouterr()
    first, *_ = events(out, "devices")
    assert (first["name"], first["accelerator"], first["memory_bytes"]) == (name, accelerator, memory_bytes)
    assert (first["device"], first["driver"], first["source"], err) == ("cuda", "580.95.05", "nvidia-smi", "")
    (tmp_path / "found").write_text(out)
    assert [found.facts() for found in found_devices.read(tmp_path / "found")] == events(out, "devices")


def test_people_read_a_line_for_each_product(tools, capsys):
    tools.nvidia_smi(recordings.EIGHT_H100, apps="00000000:03:00.0, 4711\n")
    tools.hl_smi(recordings.FIRST_GAUDI)
    assert devices.main([]) == 0
    assert capsys.readouterr().out == (
        "8 x NVIDIA H100 80GB HBM3, h100, driver 580.95.05, 86 GB each, other processes on 3\n"
        "1 x HL-205, gaudi, driver 1.10.0-494ae52, 34 GB each\n"
    )


def test_gaudis_are_told_to_programs(tools, capsys):
    tools.hl_smi(recordings.GAUDI2)
    assert devices.main(["--json"]) == 0
    found = events(capsys.readouterr().out, "devices")
    assert len(found) == 8
    assert {(event["accelerator"], event["device"], event["source"]) for event in found} == {
        ("gaudi2", "hpu", "hl-smi")
    }


def test_variables_limit_what_is_listed(tools, capsys, monkeypatch):
    tools.nvidia_smi(recordings.EIGHT_H100)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,2")
    assert devices.main(["--json"]) == 0
    assert [event["index"] for event in events(capsys.readouterr().out, "devices")] == [5, 2]


@pytest.mark.parametrize(
    "script, told",
    [("exit 9", "nvidia-smi fails"), (None, "nvidia-smi is not on the path")],
    ids=["fails", "missing"],
)
def test_device_files_alone_are_counted_and_said_to_be(tools, capsys, monkeypatch, script, told):
    monkeypatch.setattr(device_files, "count", lambda device: 2 if device == "cuda" else 0)
    if script:
        tools.put("nvidia-smi", script)
    assert devices.main(["--json"]) == 0
    out, err = capsys.readouterr()
    *found, complaint = sorted(events(out, "devices"), key=lambda event: event["event"])
    assert [(event["name"], event["source"]) for event in found] == [(None, "device-files")] * 2
    assert err == ""
    assert f"2 device file(s) of NVIDIA are here, and {told}: no product is known." in complaint["message"]
    assert devices.main([]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (complaint["message"] + "\n2 x cuda, product unknown\n", "")


def test_a_tool_that_hangs_is_left_behind(tools, capsys, monkeypatch):
    monkeypatch.setattr(devices, "ANSWER_S", 0.2)
    tools.put("nvidia-smi", "exec sleep 600")
    tools.hl_smi(recordings.FIRST_GAUDI)
    started = time.monotonic()
    assert devices.main(["--json"]) == 0
    assert time.monotonic() - started < 60
    out, err = capsys.readouterr()
    complaint, gaudi = events(out, "devices")
    assert (gaudi["accelerator"], err) == ("gaudi", "")
    assert (complaint["device"], complaint["device_files"]) == ("cuda", 0)
    assert "nvidia-smi did not answer within" in complaint["message"]
    assert "`sudo nvidia-smi -pm 1`" in complaint["message"]


def test_of_a_tool_that_hangs_the_library_is_asked_and_the_wait_is_said(tools, capsys, monkeypatch):
    monkeypatch.setattr(devices, "ANSWER_S", 1.0)
    monkeypatch.setattr(devices, "_UNSAID_S", 0.1)
    tools.put("nvidia-smi", "exec sleep 600")
    gpu = Present(0, "NVIDIA H100 80GB HBM3", 80 << 30, "580.95.05", None, 0)
    monkeypatch.setattr(devices, "VENDORS", [devices.VENDORS[0]._replace(library=lambda: [gpu])])
    assert devices.main(["--json"]) == 0
    out, err = capsys.readouterr()
    assert [(event["accelerator"], event["source"]) for event in events(out, "devices")] == [("h100", "nvml")]
    assert err == "waiting for nvidia-smi, 1 s at most\n"


def test_a_tool_that_fails_without_device_files_is_not_taken_for_a_host_without_accelerators(tools, capsys, tmp_path):
    tools.put("nvidia-smi", "exit 9")
    assert devices.main([]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("No device file of NVIDIA is here, and nvidia-smi fails: no product is known.")
    assert "no accelerator was found" not in out
    assert devices.main(["--json"]) == 0
    (tmp_path / "found").write_text(capsys.readouterr().out)
    (untold,) = found_devices.read(tmp_path / "found")
    assert isinstance(untold, found_devices.DevicesUntold) and (untold.device, untold.device_files) == ("cuda", 0)


def test_a_library_that_hangs_is_left_behind(tools, capsys, monkeypatch):
    monkeypatch.setattr(devices, "ANSWER_S", 0.2)
    vendors = [devices.VENDORS[0]._replace(library=lambda: time.sleep(30) or [])]
    monkeypatch.setattr(devices, "VENDORS", vendors)
    started = time.monotonic()
    assert devices.main([]) == 0
    assert time.monotonic() - started < 25
    assert capsys.readouterr().out == "no accelerator was found\n"


def test_a_name_from_a_driver_is_made_printable(tools, capsys):
    tools.nvidia_smi(recordings.RTX.replace("GeForce", "Ge\x1b[31mForce"))
    assert devices.main([]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_program_runs_where_python_starts(tools):
    """As ``make bench`` starts it: a process of its own, whose output is a list."""
    tools.nvidia_smi(recordings.RTX)
    import sys

    done = subprocess.run([sys.executable, "-m", "runner", "devices", "--json"], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["name"] == "NVIDIA GeForce RTX 4090"
