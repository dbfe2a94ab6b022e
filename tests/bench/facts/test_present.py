"""Which accelerators a driver lists, by recordings of the vendors' tools, and which of them variables leave visible."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runner.bench.facts import device_files, hl_smi, nvidia_smi
from runner.bench.facts.present import Present, visible_to_cuda, visible_to_habana
from tests.bench.facts import recordings

MIB = 1 << 20


def tool(*answers):
    """Return a program that prints, or fails with None, by what its arguments contain."""
    return lambda arguments: next((text for part, text in answers if part in " ".join(arguments)), None)


def test_a_gpu_is_told_with_memory_place_and_processes():
    run = tool(("--query-gpu", recordings.PCIE_40GB), ("--query-compute-apps", recordings.APPS))
    assert nvidia_smi.present(run) == [
        Present(0, "NVIDIA A100-PCIE-40GB", 40960 * MIB, "580.95.05", "0000:07:00.0", 2, "GPU-5d5ba0d6")
    ]


def test_the_slices_of_a_gpu_stand_in_its_place():
    asked = tool(("--query-gpu", recordings.CUT), ("-L", recordings.SLICES), ("--query-compute-apps", ""))
    first, second, whole = nvidia_smi.present(asked)
    name = "NVIDIA A100-SXM4-80GB MIG"
    assert first == Present(0, f"{name} 3g.40gb", 40 * 10**9, "580.95.05", None, None, "MIG-dcf43e8e")
    assert second == Present(0, f"{name} 1c.2g.20gb", 20 * 10**9, "580.95.05", None, None, "MIG-6b84cf06")
    assert (whole.name, whole.processes) == ("NVIDIA A100-SXM4-80GB", 0)


def test_a_gpu_that_is_cut_and_has_no_slice_is_not_there():
    assert [found.index for found in nvidia_smi.present(tool(("--query-gpu", recordings.CUT), ("-L", "")))] == [1]


def test_what_the_tool_does_not_tell_of_a_gpu_is_null():
    (found,) = nvidia_smi.present(tool(("--query-gpu", recordings.RTX.replace("24564", "[N/A]"))))
    assert (found.memory_bytes, found.processes) == (None, None)


@pytest.mark.parametrize("text", ["", "No devices were found\n", "a, b\n"], ids=["empty", "none", "other"])
def test_no_gpu_is_no_row(text):
    assert nvidia_smi.present(tool(("--query-gpu", text))) == []
    assert nvidia_smi.present(tool()) is None


def test_gaudis_are_told_in_the_order_of_their_modules():
    found = hl_smi.present(tool(("memory.total", recordings.GAUDI2), ("-L", recordings.GAUDI_VERSIONS)))
    assert [device.module for device in found] == list(range(8))
    assert [device.index for device in found] == list(reversed(range(8)))
    booted = "1.10.0-fw-43.2.0"
    assert found[0] == Present(
        7, "HL-225", 98304 * MIB, "1.10.0-494ae52", "0000:07:00.0", None, module=0, firmware=booted
    )


def test_an_older_hl_smi_is_asked_for_what_it_knows():
    def old(arguments):
        return recordings.GAUDIS if arguments[1:2] == ["name,driver_version,module_id"] else None

    assert hl_smi.present(old) == [
        Present(module, "HL-225", None, "1.10.0-494ae52", None, None, module=module) for module in (0, 1)
    ]
    assert hl_smi.present(lambda arguments: None) is None


def gpus(count: int) -> list[Present]:
    return [Present(index, "GPU", None, None, None, 0, f"GPU-{index}abc") for index in range(count)]


@pytest.mark.parametrize(
    "listed, kept",
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        ("2", [2]),
        ("3, 1", [3, 1]),
        ("1,7,2", [1]),
        ("-1,0", []),
        ("1,1", [1]),
        ("GPU-2", [2]),
        ("GPU-", []),
    ],
)
def test_cuda_s_variable_limits_and_orders_gpus(listed, kept):
    environment = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert [device.index for device in visible_to_cuda(gpus(4), environment)] == kept


def test_a_slice_is_named_by_its_uuid():
    parts = nvidia_smi.present(tool(("--query-gpu", recordings.CUT), ("-L", recordings.SLICES)))
    assert visible_to_cuda(parts, {"CUDA_VISIBLE_DEVICES": "MIG-6b84cf06"}) == [parts[1]]


@pytest.mark.parametrize(
    "environment, kept",
    [
        ({}, [0, 1, 2, 3]),
        ({"HABANA_VISIBLE_DEVICES": "all"}, [0, 1, 2, 3]),
        ({"HABANA_VISIBLE_DEVICES": "0,3"}, [0, 3]),
        ({"HABANA_VISIBLE_MODULES": "0,1"}, [2, 3]),
        # the container runtime has chosen: this container shows four of the host's eight
        ({"HABANA_VISIBLE_DEVICES": "4,5,6,7"}, [0, 1, 2, 3]),
    ],
    ids=["none", "all", "devices", "modules", "container"],
)
def test_gaudi_s_variables_limit_devices(environment, kept):
    devices = [Present(index, "HL-225", None, None, None, None, module=3 - index) for index in range(4)]
    assert [device.index for device in visible_to_habana(devices, environment)] == kept


def test_device_files_are_counted_by_maker(tmp_path):
    for path in (
        "nvidia0",
        "nvidia1",
        "nvidiactl",
        "nvidia-uvm",
        "hl0",
        "hl_controlD0",
        "accel/accel0",
        "accel/accel1",
    ):
        (tmp_path / "dev" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dev" / path).touch()
    # a neural processor of a laptop lies in the kernel's folder accel too
    for name, vendor in (("accel0", "0x1da3"), ("accel1", "0x8086")):
        (tmp_path / "sys/class/accel" / name / "device").mkdir(parents=True)
        (tmp_path / "sys/class/accel" / name / "device/vendor").write_text(f"{vendor}\n")
    assert device_files.count("cuda", str(tmp_path)) == 2
    assert device_files.count("hpu", str(tmp_path)) == 2
    assert device_files.count("cpu", str(tmp_path)) == 0


class Nvml:
    """The calls of pynvml that list GPUs and slices: one GPU that is cut, with a gap in its slices, and one that is whole."""

    class NVMLError_NotSupported(Exception):
        pass

    class NVMLError_NotFound(Exception):
        pass

    def __init__(self) -> None:
        self.names: dict[Any, Any] = {
            0: b"NVIDIA A100-SXM4-80GB",
            1: "NVIDIA GeForce RTX 4090",
            "slice": "NVIDIA A100-SXM4-80GB MIG 3g.40gb",
        }

    def nvmlInit(self):
        pass

    nvmlShutdown = nvmlInit

    def nvmlSystemGetDriverVersion(self):
        return "580.95.05"

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetPciInfo(self, handle):
        return SimpleNamespace(busId=f"00000000:0{handle}:00.0")

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [SimpleNamespace(pid=7)] if handle == 1 else []

    def nvmlDeviceGetName(self, handle):
        return self.names[handle]

    def nvmlDeviceGetUUID(self, handle):
        return f"MIG-{handle}" if handle == "slice" else f"GPU-{handle}"

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=24564 * MIB + 5)

    def nvmlDeviceGetMigMode(self, handle):
        if handle == 1:
            raise self.NVMLError_NotSupported
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):
        return 2

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, number):
        if number == 0:
            raise self.NVMLError_NotFound
        return "slice"


def test_nvml_tells_what_the_tool_tells(monkeypatch):
    from runner.bench.facts import nvml

    monkeypatch.setitem(__import__("sys").modules, "pynvml", Nvml())
    assert nvml.present() == [
        Present(0, "NVIDIA A100-SXM4-80GB MIG 3g.40gb", 40 * 10**9, "580.95.05", None, None, "MIG-slice"),
        Present(1, "NVIDIA GeForce RTX 4090", 24564 * MIB, "580.95.05", "0000:01:00.0", 1, "GPU-1"),
    ]
