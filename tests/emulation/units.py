"""What the stand-in promises, piece by piece: run by test_units.py in a process of its own, on any torch.

Each function that starts with ``it_`` is one promise; the process prints, as JSON, name to None or to what went wrong.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

import habana_frameworks
import habana_frameworks.torch
import torch
from habana_frameworks import trace
from habana_frameworks.torch import core, hpu
from habana_frameworks.torch.distributed.hccl import initialize_distributed_hpu
from habana_frameworks.torch.hpex.kernels import FusedSDPA
from habana_frameworks.torch.utils import experimental


def kinds() -> list[str]:
    return [event["event"] for event in trace.events]


def wrapped(function: Callable[..., Any]) -> torch.nn.Module:
    module = torch.nn.Module()
    module.forward = function
    return hpu.wrap_in_hpu_graph(module)


def it_says_that_it_is_no_device() -> None:
    assert habana_frameworks.EMULATED is True


def it_places_what_is_made_on_the_device_and_what_is_computed_from_it() -> None:
    made = torch.ones(2, 3, device="hpu")
    seen = [
        made,
        made + 1,
        made[0],
        made[:, None],
        made.T,
        made.to(torch.bfloat16),
        torch.cat([made, made]),
        made.view(6),
    ]
    seen += [
        torch.ones(2).to("hpu"),
        torch.ones(2).to(torch.device("hpu", 0)),
        torch.ones(2).to(made),
        torch.zeros_like(made),
    ]
    seen += [torch.topk(made, 1).values, torch.nn.Parameter(made), torch.empty(2, device=made.device)]
    assert [str(tensor.device) for tensor in seen] == ["hpu:0"] * len(seen)
    assert (
        torch.ones(2).device.type == "cpu" and made.cpu().device.type == "cpu" and made.to("cpu").device.type == "cpu"
    )


def it_moves_a_module_with_its_ties() -> None:
    model = torch.nn.ModuleList([torch.nn.Embedding(4, 2), torch.nn.Linear(2, 4, bias=False)])
    model[1].weight = model[0].weight
    model.register_buffer("slopes", torch.ones(2))
    model.to("hpu")
    assert model[1].weight is model[0].weight
    assert [
        str(tensor.device) for tensor in (model[0].weight, model.slopes, model[1](torch.ones(2, device="hpu")))
    ] == ["hpu:0"] * 3
    assert kinds() == ["h2d", "h2d"]


def it_copies_between_host_and_device() -> None:
    host = torch.zeros(3)
    on_device = host.to("hpu")
    host.fill_(1)
    back = on_device.cpu()
    on_device.fill_(2)
    assert back.tolist() == [0, 0, 0]
    on_device.copy_(host)
    host.copy_(on_device)
    torch.tensor(7, device="hpu")
    assert kinds() == ["h2d", "d2h", "h2d", "d2h", "h2d"]
    assert trace.events[0] == {"event": "h2d", "shape": [3], "bytes": 12}


def it_does_not_copy_on_one_side() -> None:
    on_host, on_device = torch.ones(2), torch.ones(2, device="hpu")
    assert (
        on_host.to("cpu") is on_host
        and on_host.cpu() is on_host
        and on_device.to("hpu") is on_device
        and on_device.to(on_device.device) is on_device
    )
    assert on_device.to(torch.float64).device.type == "hpu"
    assert kinds() == []


def it_notes_every_wait_of_the_host() -> None:
    number, row = torch.ones((), device="hpu"), torch.ones(2, device="hpu")
    waits = [
        *(number.item, row.tolist, lambda: bool(number), lambda: int(number), lambda: float(number), row.nonzero),
        *(
            lambda: [0, 0][number.long()],
            lambda: torch.equal(row, row),
            lambda: row.max() == 0 or None,
            lambda: 1 in row,
        ),
    ]
    for wait in waits:
        wait()
    assert kinds() == ["sync"] * len(waits)
    trace.clear()
    bool(torch.ones(())), torch.ones(2).tolist()
    assert kinds() == []


def it_refuses_to_hand_out_the_device_s_memory() -> None:
    try:
        torch.ones(2, device="hpu").numpy()
    except TypeError as problem:
        assert "cpu()" in str(problem)
    else:
        raise AssertionError("numpy() of a device's tensor")


def it_notes_what_a_device_would_refuse() -> None:
    on_host, on_device = torch.ones(2), torch.ones(2, device="hpu")
    on_device * 2, on_device * torch.tensor(2.0), on_host * on_host, on_device[torch.tensor([0])]
    assert kinds() == []
    torch.mul(on_device, on_host)
    assert trace.events == [{"event": "mixed", "function": "mul"}]


def it_captures_once_for_each_signature() -> None:
    module = wrapped(lambda x, flag=None: x + 1)
    assert module(torch.zeros(2, device="hpu")).tolist() == [1, 1]
    assert module(torch.ones(2, device="hpu")).tolist() == [2, 2]
    module(torch.ones(3, device="hpu"))
    module(torch.ones(2, device="hpu").to(torch.float64))
    module(torch.ones(2, device="hpu"), flag=True)
    shown = [(event["event"], event.get("graph")) for event in trace.events if event["event"] != "sync"]
    assert shown == [("capture", 0), ("replay", 0), ("capture", 1), ("capture", 2), ("capture", 3)]
    assert trace.events[0]["shapes"] == [[2]]


def it_replays_into_storage_that_never_moves() -> None:
    module = wrapped(lambda x: {"doubled": x * 2, "parts": (x + 1, x)})
    first = module(torch.zeros(2, device="hpu"))
    kept, copied, place = first["doubled"], first["doubled"].cpu(), first["doubled"].data_ptr()
    second = module(torch.ones(2, device="hpu"))
    assert second["doubled"].data_ptr() == place
    # overwritten under whoever keeps it
    assert kept.tolist() == [2, 2]
    # unless it was brought to the host
    assert copied.tolist() == [0, 0]
    assert second["parts"][0].tolist() == [2, 2] and second["parts"][1].tolist() == [1, 1]


def it_replays_what_is_written_into_its_inputs() -> None:
    def forward(cache: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        cache.index_copy_(0, torch.tensor([0], device="hpu"), value)
        return cache

    module, cache = wrapped(forward), torch.zeros(2, device="hpu")
    assert module(cache, torch.ones(1, device="hpu")).tolist() == [1, 0]
    assert cache.tolist() == [0, 0]
    assert module(cache, torch.full((1,), 5.0, device="hpu")).tolist() == [5, 0]


def it_takes_its_own_results_back_as_inputs() -> None:
    module = wrapped(lambda total: total + 1)
    total = torch.zeros(1, device="hpu")
    for _ in range(5):
        total = module(total)
    assert total.tolist() == [5]


def it_hides_what_a_replay_does_not_do_and_marks_what_a_capture_cannot() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        core.mark_step()
        x.sum().item()
        return x + 1

    module = wrapped(forward)
    module(torch.ones(2, device="hpu")), module(torch.ones(2, device="hpu"))
    assert kinds() == ["capture", "mark_step", "sync", "replay"]
    assert [event.get("in_capture") for event in trace.events] == [None, True, True, None]


def it_keeps_the_signature_and_the_module() -> None:
    import inspect

    class Model(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
            return input_ids

    model = Model()
    assert hpu.wrap_in_hpu_graph(model) is model
    assert list(inspect.signature(model.forward).parameters) == ["input_ids", "attention_mask"]


def it_invents_no_memory() -> None:
    stats = hpu.memory_stats()
    assert stats == {"Limit": 0, "InUse": 0, "MaxInUse": 0} and stats.EMULATED
    assert hpu.memory_allocated() == hpu.max_memory_allocated() == 0
    assert kinds() == ["memory_stats"] * 3


def it_is_no_product() -> None:
    assert hpu.get_device_name() == "EMULATED"
    products = [kind for kind in experimental.synDeviceType if kind.name.startswith("synDeviceGaudi")]
    assert len(products) == 3 and experimental._get_device_type() not in products


def it_computes_no_fused_kernel() -> None:
    query = torch.ones(1, 1, 2, 4, device="hpu")
    try:
        FusedSDPA.apply(query, query, query, None, 0.0, True)
    except NotImplementedError as problem:
        assert "FusedSDPA" in str(problem)
    else:
        raise AssertionError("a fused kernel gave a result")


def it_notes_steps_waits_and_seeds() -> None:
    core.mark_step(), hpu.synchronize(), hpu.random.manual_seed_all(27)
    drawn = torch.rand(2)
    hpu.random.manual_seed_all(27)
    assert torch.equal(torch.rand(2), drawn)
    state = hpu.random.get_rng_state()
    drawn = torch.rand(2)
    hpu.random.set_rng_state(state)
    assert torch.equal(torch.rand(2), drawn)
    assert kinds() == ["mark_step", "synchronize", "seed", "seed"]
    assert trace.events[2]["value"] == 27


def it_reads_the_launcher_s_variables() -> None:
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
    for name in names:
        os.environ.pop(name, None)
    assert initialize_distributed_hpu() == (1, -1, -1)
    os.environ.update(dict(zip(names, "842")))
    assert initialize_distributed_hpu() == (8, 4, 2)
    os.environ.update({"OMPI_COMM_WORLD_" + name.replace("WORLD_", ""): "1" for name in names})
    for name in names:
        del os.environ[name]
    assert initialize_distributed_hpu() == (1, 1, 1)


def it_writes_its_events_to_a_file_of_the_rank() -> None:
    name = os.environ["HPU_EMULATION_TRACE"]
    core.mark_step()
    with open(name + ".0") as file:
        lines = file.read().splitlines()
    assert json.loads(lines[-1]) == {"event": "mark_step"}


def main() -> None:
    problems: dict[str, str | None] = {}
    for name in [name for name in globals() if name.startswith("it_")]:
        trace.clear()
        try:
            globals()[name]()
            problems[name] = None
        except Exception:
            problems[name] = f"{traceback.format_exc()}\nevents: {trace.events}"
    print(json.dumps(problems))


if __name__ == "__main__":
    main()
