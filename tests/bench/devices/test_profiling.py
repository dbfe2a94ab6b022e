"""What torch's profiler notes in a call, counted: by the real profiler on the CPU, and from a recording of a GPU's kinds of events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

from runner.bench.devices import cpu, hpu, profiling  # noqa: E402
from runner.contract.errors import Unsupported  # noqa: E402


def test_each_operator_is_counted_by_name_and_a_name_in_place_is_another() -> None:
    held = torch.zeros(2, 2)

    def call() -> None:
        for _ in range(3):
            torch.mm(held, held)
        held.add_(1)

    calls, kernels = cpu.profiled(call)
    assert (calls["aten::mm"], calls["aten::add_"], kernels) == (3, 1, [])
    assert "aten::add" not in calls
    assert list(calls) == sorted(calls)


def test_an_operator_inside_one_of_the_same_name_is_counted_every_time() -> None:
    """Counts of ``profiler.events()`` differed for this call in torch 1.13 and 2.0."""

    def call() -> None:
        for _ in range(20):
            torch.arange(5)

    assert [cpu.profiled(call).calls["aten::arange"] for _ in range(20)] == [40] * 20


def test_nothing_but_the_call_is_counted() -> None:
    torch.mm(torch.zeros(2, 2), torch.zeros(2, 2))
    assert cpu.profiled(lambda: None).calls == {}


def test_the_hash_of_a_compiled_graph_is_left_out_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["## Call CompiledFxGraph fs63ebgfw7 ##", "## Call CompiledFxGraph fyhaaii2nm ##", "## another f1 ##"]
    _note(monkeypatch, [(name, "CPU") for name in names])
    assert profiling.of_host(lambda: None).calls == {"## Call CompiledFxGraph ##": 2, "## another f1 ##": 1}


def test_of_a_gpu_operators_and_kernels_count_and_what_runtime_and_profiler_do_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = _note(
        monkeypatch,
        [
            *[("aten::mm", "CPU"), ("cudaLaunchKernel", "CPU"), ("cudaEventQuery", "CPU"), ("cuLaunchKernel", "CPU")],
            *[("Lazy Function Loading", "CPU"), ("Activity Buffer Request", "CPU"), ("Unrecognized", "CPU")],
            *[("void at::native::fill<int>(int)", "CUDA"), ("triton_poi_fused_add_0", "CUDA")],
            *[("triton_poi_fused_add_0", "CUDA"), ("Memcpy DtoH (Device -> Pageable)", "CUDA")],
            # A range of the host, which the profiler repeats on the GPU.
            *[("Torch-Compiled Region: 0/0", "CPU"), ("Torch-Compiled Region: 0/0", "CUDA")],
        ],
    )
    calls, kernels = profiling.of_host_and_gpu(lambda: None)
    assert kernels == [
        "Memcpy DtoH (Device -> Pageable)",
        "triton_poi_fused_add_0",
        "void at::native::fill<int>(int)",
    ]
    assert calls == {"aten::mm": 1, **dict.fromkeys(kernels, 1), "triton_poi_fused_add_0": 2}
    assert [activity.name for activity in asked] == ["CPU", "CUDA"]


class _Event:
    """An event with the two methods of Kineto's that are called."""

    def __init__(self, name: str, kind: Any) -> None:
        self._name, self._kind = name, kind

    def name(self) -> str:
        return self._name

    def device_type(self) -> Any:
        return self._kind


def _note(monkeypatch: pytest.MonkeyPatch, events: list[tuple[str, str]]) -> list[Any]:
    """Let the profiler note events by name and kind of device; return the list of the activities that it is asked for."""
    from torch.autograd import DeviceType

    asked: list[Any] = []
    noted = [_Event(name, getattr(DeviceType, kind)) for name, kind in events]

    class Profiler:
        def __init__(self, activities: list[Any]) -> None:
            asked.extend(activities)

        def __enter__(self) -> Profiler:
            return self

        def __exit__(self, *_ending: object) -> None:
            pass

        profiler = SimpleNamespace(kineto_results=SimpleNamespace(events=lambda: noted))

    monkeypatch.setattr(torch.profiler, "profile", Profiler)
    return asked


def test_a_gaudi_tells_no_operators_and_its_stand_in_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not hpu.emulated
    with pytest.raises(Unsupported, match="torch's profiler was not tried under the vendor's bridge"):
        hpu.profiled(lambda: None)
    monkeypatch.setattr(hpu, "emulated", True)
    assert hpu.profiled(lambda: torch.zeros(2)).calls["aten::zeros"] == 1
