"""NVML beside nvidia-smi: a double of pynvml answers what the recordings of the tool print, and both must be read alike."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from runner.bench.facts import host, nvidia, nvidia_smi, nvml
from tests.bench.facts import recordings
from tests.support.pynvml_double import NVMLError, NVMLError_FunctionNotFound, Pynvml

ROWS = [("00000000:07:00.0", 0x1, [4711, 4713]), ("00000000:0F:00.0", 0x24, [4712])]


def installed(monkeypatch: pytest.MonkeyPatch, *arguments: Any, **keywords: Any) -> Pynvml:
    module = Pynvml(*arguments, **keywords)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def recorded(table: str | None, apps: str | None) -> Any:
    """Return a stand-in of ``host.printed_by`` that prints recordings of nvidia-smi."""
    return lambda command: apps if "compute-apps" in command[1] else table


@pytest.mark.parametrize("driver", ["525.105.17", b"525.105.17"])
def test_nvml_and_the_tool_say_the_same(monkeypatch: pytest.MonkeyPatch, driver: Any) -> None:
    module = installed(monkeypatch, ROWS, driver)
    monkeypatch.setattr(host, "printed_by", recorded(recordings.TABLE, recordings.APPS))
    assert nvml.query() == nvidia_smi.query() != {}
    assert nvml.processes() == nvidia_smi.processes() != {}
    assert module.initialised == 0


def test_an_idle_h100_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an H100 under driver 580.159.04 answered the tool, without a process."""
    installed(monkeypatch, [("00000000:00:06.0", 0x1, [])], "580.159.04")
    monkeypatch.setattr(host, "printed_by", recorded("00000000:00:06.0, 580.159.04, 0x0000000000000001\n", ""))
    assert nvml.query() == nvidia_smi.query() == {"0000:00:06.0": {"driver": "580.159.04", "throttle_reasons": []}}
    assert nvml.processes() == nvidia_smi.processes() == {}


def test_a_gpu_that_tells_no_reasons_tells_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, [("00000000:07:00.0", None, []), ("00000000:0F:00.0", 0x4, [])])
    monkeypatch.setattr(
        host, "printed_by", recorded("00000000:07:00.0, 525.105.17, [N/A]\n00000000:0F:00.0, 525.105.17, 0x4\n", "")
    )
    assert nvml.query() == nvidia_smi.query()
    assert [gpu["throttle_reasons"] for gpu in (nvml.query() or {}).values()] == [None, ["sw_power_cap"]]


@pytest.mark.parametrize("lacks", [AttributeError("an older release of pynvml"), NVMLError_FunctionNotFound()])
def test_an_older_driver_is_asked_for_throttle_reasons(monkeypatch: pytest.MonkeyPatch, lacks: Exception) -> None:
    installed(monkeypatch, ROWS, fails={"nvmlDeviceGetCurrentClocksEventReasons": lacks})
    monkeypatch.setattr(host, "printed_by", recorded(recordings.TABLE, recordings.APPS))
    assert nvml.query() == nvidia_smi.query()


@pytest.mark.parametrize(
    "fails",
    [
        {"nvmlInit": NVMLError("Driver Not Loaded")},
        {"nvmlDeviceGetHandleByIndex": NVMLError("GPU is lost")},
        {"nvmlDeviceGetPciInfo": AttributeError("a release of pynvml without it")},
        {"nvmlDeviceGetCurrentClocksEventReasons": NVMLError("Unknown Error")},
    ],
)
def test_where_the_library_fails_the_tool_is_asked(
    monkeypatch: pytest.MonkeyPatch, fails: dict[str, Exception]
) -> None:
    installed(monkeypatch, [("00000000:99:00.0", 0x0, [99])], fails=fails)
    monkeypatch.setattr(host, "printed_by", recorded(recordings.TABLE, recordings.APPS))
    assert nvml.query() is None
    assert nvidia.query() == nvidia_smi.parse_devices(recordings.TABLE)
    if "nvmlDeviceGetCurrentClocksEventReasons" not in fails:
        assert nvml.processes() is None
        assert nvidia.processes() == nvidia_smi.parse_processes(recordings.APPS)


def test_without_the_package_the_tool_is_asked_and_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(host, "printed_by", recorded(recordings.TABLE, recordings.APPS))
    assert (nvml.query(), nvml.processes()) == (None, None)
    assert nvidia.query() == nvidia_smi.query()
    assert nvidia.processes() == nvidia_smi.processes()
    monkeypatch.setattr(host, "printed_by", recorded(None, None))
    assert (nvidia.query(), nvidia.processes()) == (None, None)
    assert capfd.readouterr() == ("", "")


def test_where_nvml_answers_no_program_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(command: list[str]) -> str:
        raise AssertionError(f"{command} was started")

    installed(monkeypatch, ROWS)
    monkeypatch.setattr(host, "printed_by", started)
    assert {*(nvidia.query() or {})} == {*(nvidia.processes() or {})} == {"0000:07:00.0", "0000:0f:00.0"}


def test_the_energy_of_a_gpu_is_told_in_joules_by_its_bus_id(monkeypatch: pytest.MonkeyPatch) -> None:
    module = installed(monkeypatch, ROWS)
    assert (nvml.energy_j("0000:07:00.0"), nvml.energy_j("0000:0f:00.0")) == (1.0, 2.0)
    assert nvml.energy_j("0000:99:00.0") is None
    assert module.initialised == 0


def test_a_gpu_that_counts_no_energy_and_a_host_without_nvml_tell_none(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ROWS, fails={"nvmlDeviceGetTotalEnergyConsumption": NVMLError("Not Supported")})
    assert nvml.energy_j("0000:07:00.0") is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.energy_j("0000:07:00.0") is None
