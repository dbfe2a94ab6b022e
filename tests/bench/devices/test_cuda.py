"""The device cuda where there is none: torch.cuda and the driver's library are doubled call by call, nvidia-smi by its text."""

import ctypes
import os
import sys
from types import SimpleNamespace

import pytest

from runner.bench.devices import compiling, cuda
from runner.bench.facts import host
from runner.bench.rank import device_log, measure
from runner.contract.errors import DoesNotFit, LaunchFailed
from runner.contract.records import RankDevice
from tests.support import samples
from tests.support.pynvml_double import Pynvml

PLACE, OTHER = "0000:0f:00.0", "0000:07:00.0"
OWN = 4711
MIB = 1 << 20


class Driver:
    """The calls of libcuda.so.1 that are made, with the arguments of cuda.h; device 0 is at PLACE."""

    def __init__(self, fails=None, count=1):
        self.fails, self.count = fails, count

    def _status(self, name):
        return 100 if name == self.fails else 0  # CUDA_ERROR_NO_DEVICE

    def cuInit(self, flags):
        assert flags == 0
        return self._status("cuInit")

    def cuDeviceGetCount(self, count):
        count._obj.value = self.count
        return self._status("cuDeviceGetCount")

    def cuDeviceGet(self, device, ordinal):
        device._obj.value = 70 + ordinal
        return self._status("cuDeviceGet")

    def cuDeviceGetPCIBusId(self, buffer, length, device):
        assert (length, device.value) == (32, 70)
        buffer.value = b"0000:0F:00.0"
        return self._status("cuDeviceGetPCIBusId")


class Event:
    def __init__(self, log, enable_timing):
        assert enable_timing
        self.log = log

    def record(self):
        self.log.append("record")

    def synchronize(self):
        self.log.append("wait")

    def elapsed_time(self, end):
        assert isinstance(end, Event)
        return 2500.0  # milliseconds, by torch's documentation


@pytest.fixture
def gpu(monkeypatch):
    """Stand in for one A100 that torch, the driver and nvidia-smi agree on; returns what a test may turn."""
    # a test that compiled before has filled the caches of this process
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", "/proc/nowhere")
    turned = SimpleNamespace(
        log=[],
        count=1,
        apps=f"00000000:0F:00.0, {OWN}\n",
        table="00000000:07:00.0, 525.1, 0x0000000000000004\n00000000:0F:00.0, 525.2, 0x0000000000000001\n",
        node="1",
    )

    class CUDAGraph:
        def capture_end(self):
            turned.log.append("captured")

    turned.graph = CUDAGraph
    module = SimpleNamespace(
        is_available=lambda: turned.count > 0,
        device_count=lambda: turned.count,
        set_device=lambda ordinal: turned.log.append(("set_device", ordinal)),
        current_device=lambda: 0,
        get_device_name=lambda: "NVIDIA A100-SXM4-80GB",
        mem_get_info=lambda: (70_000 * MIB, 81_051 * MIB),
        memory_allocated=lambda: 17 * MIB,
        max_memory_allocated=lambda: 23 * MIB,
        synchronize=lambda: turned.log.append("synchronize"),
        Event=lambda enable_timing: Event(turned.log, enable_timing),
        CUDAGraph=CUDAGraph,
    )
    torch = SimpleNamespace(
        __version__="1.13.1+cu117",
        version=SimpleNamespace(cuda="11.7"),
        cuda=module,
        zeros=lambda *shape, device: turned.log.append(("zeros", device)),
        device=lambda *parts: parts,
    )
    turned.torch = torch

    def printed_by(command):
        turned.log.append(command[1].split("=")[0])
        return turned.apps if "compute-apps" in command[1] else turned.table

    def read_text(path):
        assert path == f"/sys/bus/pci/devices/{PLACE}/numa_node"
        return turned.node

    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    monkeypatch.delitem(sys.modules, "torch._dynamo.utils", raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    monkeypatch.setattr(os, "getpid", lambda: OWN)
    monkeypatch.setattr(host, "printed_by", printed_by)
    monkeypatch.setattr(host, "read_text", read_text)
    monkeypatch.setattr(cuda, "cannot_tell", dict(cuda.cannot_tell))
    monkeypatch.setattr(cuda, "_captured", {"graphs": 0})
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR"):
        monkeypatch.setenv(name, "/nowhere")
    cuda._bus_id.cache_clear()
    yield turned
    cuda._bus_id.cache_clear()


def test_a_device_that_tells_all_leaves_one_check_out(gpu):
    assert cuda.open(0) == ("cuda", 0)
    assert gpu.log[:2] == [("set_device", 0), ("zeros", "cuda")]
    assert list(cuda.cannot_tell) == ["operator_fallback"]


def test_facts_are_those_of_the_bus_id_and_not_of_the_first_line(gpu):
    assert cuda.describe() == {
        "name": "NVIDIA A100-SXM4-80GB",
        "accelerator": "a100-80gb",
        "driver": "525.2",
        "bus_id": PLACE,
        "memory_bytes": 81_051 * MIB,
    }
    assert {*cuda.describe()} <= {
        *RankDevice.__annotations__
    }  # a key beyond the record is refused by every reader of results
    assert cuda.numa_node() == 1
    assert cuda.peak_memory_bytes() == 23 * MIB


def test_a_look_tells_all_words_but_fallbacks(gpu):
    gpu.apps = f"00000000:0F:00.0, {OWN}\n00000000:0F:00.0, 9\n00000000:07:00.0, 8\n"
    gpu.table = gpu.table.replace("0x0000000000000001", "0x0000000000000041")
    found = cuda.observe()
    assert found == {
        "memory_bytes": 17 * MIB,
        "compilations": 0,
        "cached_kernels": 0,
        "foreign_processes": [9],
        "throttle_reasons": ["hw_thermal_slowdown"],
    }
    assert set(device_log.OBSERVED) - set(found) == {"fallbacks"}


def test_captures_and_compiled_graphs_are_counted(gpu, monkeypatch):
    cuda.open(0)
    for _ in range(3):
        gpu.graph().capture_end()
    assert gpu.log.count("captured") == 3
    assert cuda.observe()["compilations"] == 3
    dynamo = SimpleNamespace(counters={"stats": {"unique_graphs": 2}})
    monkeypatch.setitem(sys.modules, "torch._dynamo.utils", dynamo)
    assert cuda.observe()["compilations"] == 5


def test_kernels_compiled_before_are_counted(gpu, monkeypatch, tmp_path):
    for number, name in enumerate(("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR"), 1):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for file in range(number):
            (tmp_path / name / "deeper" / str(file)).write_text("")
        monkeypatch.setenv(name, str(tmp_path / name))
    assert cuda.cached_kernels() == 6
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cuda.cached_kernels() == 0
    (tmp_path / ".triton" / "cache" / "key").mkdir(parents=True)
    (tmp_path / ".triton" / "cache" / "key" / "kernel.cubin").write_text("")
    assert cuda.cached_kernels() == 1


def test_the_device_s_clock_is_two_events_around_the_call_in_seconds(gpu):
    assert cuda.clock(lambda: gpu.log.append("call")) == 2.5
    assert gpu.log == ["record", "call", "record", "wait"]


def test_synchronising_waits_for_the_device(gpu):
    measure.residual_s(cuda.synchronize, lambda: 0)
    assert gpu.log == ["synchronize"]


@pytest.mark.parametrize(
    "turn, untold",
    [
        ({"apps": "00000000:0F:00.0, 815\n"}, {"exclusive_device": "a container with process ids of its own"}),
        ({"apps": ""}, {"exclusive_device": "the driver does not list this process"}),
        ({"apps": None}, {"exclusive_device": "nvidia-smi is not here, or fails"}),
        ({"table": None}, {"driver": "nvidia-smi is not here, or fails", "throttling": "nvidia-smi is not here"}),
        ({"table": ""}, {"driver": f"lists no device at {PLACE}", "throttling": f"lists no device at {PLACE}"}),
        ({"table": "00000000:0F:00.0, 525.2, [N/A]\n"}, {"throttling": "does not tell it of this device"}),
        ({"node": "-1"}, {"numa": "the kernel names no memory node"}),
        ({"node": None}, {"numa": "the kernel names no memory node"}),
    ],
)
def test_what_this_place_does_not_tell_is_said_with_its_reason(gpu, turn, untold):
    vars(gpu).update(turn)
    cuda.open(0)
    assert set(cuda.cannot_tell) == {"operator_fallback", *untold}
    for check, reason in untold.items():
        assert reason in cuda.cannot_tell[check]


def test_where_nvml_is_installed_the_tool_is_not_needed(gpu, monkeypatch):
    gpu.table = gpu.apps = None
    gpus = [("00000000:07:00.0", 0x4, [8]), ("00000000:0F:00.0", 0x41, [OWN, 9])]
    monkeypatch.setitem(sys.modules, "pynvml", Pynvml(gpus, "525.2"))
    cuda.open(0)
    assert list(cuda.cannot_tell) == ["operator_fallback"]
    found = cuda.observe()
    assert (found["foreign_processes"], found["throttle_reasons"]) == ([9], ["hw_thermal_slowdown"])
    assert cuda.describe()["driver"] == "525.2"
    assert not [entry for entry in gpu.log if str(entry).startswith("--query")]


def test_the_energy_is_that_of_this_rank_s_device(gpu, monkeypatch):
    cuda.open(0)
    assert cuda.energy_j() is None
    monkeypatch.setitem(
        sys.modules, "pynvml", Pynvml([("00000000:07:00.0", 0, []), ("00000000:0F:00.0", 0, [])], "525.2")
    )
    assert cuda.energy_j() == 2.0


def missing_library(name):
    raise OSError(f"{name}: cannot open shared object file")


@pytest.mark.parametrize(
    "library",
    [
        missing_library,
        *(lambda name, call=call: Driver(fails=call) for call in ("cuInit", "cuDeviceGet", "cuDeviceGetPCIBusId")),
    ],
)
def test_a_driver_that_does_not_say_where_the_device_is_leaves_all_of_that_untold(gpu, monkeypatch, library):
    monkeypatch.setattr(ctypes, "CDLL", library)
    cuda.open(0)
    untold = set(cuda.cannot_tell) - {"operator_fallback"}
    assert untold == {"driver", "throttling", "exclusive_device", "numa"}
    assert (cuda.describe()["bus_id"], cuda.describe()["driver"]) == (None, None)
    assert cuda.observe()["throttle_reasons"] is None


def test_without_a_gpu_it_says_what_to_look_at(gpu):
    gpu.count = 0
    with pytest.raises(LaunchFailed, match="Rank 0 of this host has no GPU: torch 1.13.1.* sees 0;.* Run `nvidia-smi`"):
        cuda.open(0)
    gpu.count = 2
    with pytest.raises(LaunchFailed, match="Rank 2 of this host has no GPU.* sees 2.*CUDA_VISIBLE_DEVICES"):
        cuda.open(2)


def asked(memory_bytes=80 * 10**9):
    return samples.request(
        accelerator=samples.Accelerator("a100-80gb", "cuda", memory_bytes, None),
        stack=samples.Stack("cuda", "cuda", "3.12", "deepspeed", {"torch": "2.13.0"}, None, None),
    )


@pytest.mark.parametrize(
    "library, there",
    [
        (lambda name: Driver(), True),
        (lambda name: Driver(count=0), False),
        (lambda name: Driver(fails="cuInit"), False),
        (missing_library, False),
    ],
)
def test_a_host_without_any_gpu_is_told_before_anything_is_started(monkeypatch, library, there):
    monkeypatch.setattr(ctypes, "CDLL", library)
    problem = cuda.missing(asked())
    assert (problem is None) is there
    if not there:
        assert isinstance(problem, LaunchFailed)
        assert str(problem).startswith("There is no GPU here. Run `nvidia-smi`")


@pytest.mark.parametrize(
    "listed, ranks, hosts, set_to",
    [
        (None, 1, 1, None),
        ("", 1, 1, None),
        ("3", 1, 1, "3"),
        ("5, 2,7", 2, 1, "5,2"),
        ("5,2", 8, 1, "5,2"),
        ("5,2", 8, 2, None),
    ],
)
def test_a_launch_gets_the_gpus_that_the_user_names_one_a_rank(monkeypatch, listed, ranks, hosts, set_to):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert cuda.environment(ranks, hosts).get("CUDA_VISIBLE_DEVICES") == set_to


def test_a_gpu_that_is_named_by_its_uuid_is_refused_since_deepspeed_would_take_another(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8e100991")
    problem = cuda.missing(asked())
    assert isinstance(problem, LaunchFailed)
    assert "takes numbers alone" in str(problem)


def test_a_product_that_the_catalog_does_not_have_is_named_by_its_own_name(gpu):
    gpu.torch.cuda.get_device_name = lambda *arguments: "NVIDIA A100-PCIE-40GB"
    cuda.open(0)
    assert cuda.describe()["accelerator"] == "nvidia-a100-pcie-40gb"


def test_what_does_not_fit_is_told_first(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", missing_library)
    assert isinstance(cuda.missing(asked(memory_bytes=10**9)), DoesNotFit)


def test_a_torch_without_cuda_is_named(gpu):
    gpu.torch.version.cuda = None
    with pytest.raises(LaunchFailed, match="torch 1.13.1.* is a build without CUDA"):
        cuda.open(0)


@pytest.mark.torch
def test_the_torch_of_this_place_says_that_it_has_no_gpu():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(LaunchFailed, match=r"build without CUDA|has no GPU"):
        cuda.open(0)


@pytest.mark.torch
def test_torch_has_the_calls_that_are_made():
    """The doubles above have names that the real torch has too, with what they are called with."""
    import inspect

    import torch

    names = ("is_available", "device_count", "set_device", "current_device", "get_device_name", "mem_get_info")
    for name in (*names, "memory_allocated", "max_memory_allocated", "synchronize"):
        assert callable(getattr(torch.cuda, name))
    assert "enable_timing" in inspect.signature(torch.cuda.Event.__new__).parameters
    assert callable(torch.cuda.CUDAGraph.capture_end)


@pytest.mark.torch
def test_a_graph_that_torch_compiles_is_counted():
    import torch

    before = compiling.graphs()
    compiled = torch.compile(lambda x: x + 1, backend="eager")
    for _ in range(2):
        compiled(torch.ones(2))
    assert compiling.graphs() == before + 1
