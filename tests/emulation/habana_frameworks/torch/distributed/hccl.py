"""The vendor's collective library, over gloo; importing it registers the backend ``hccl``."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from habana_frameworks import device as _device
from habana_frameworks import trace as _trace


def initialize_distributed_hpu() -> tuple[int, ...]:
    """Return (world size, rank, local rank) as the launcher's variables say; (1, -1, -1) without one."""
    for size, rank, local in (
        ("WORLD_SIZE", "RANK", "LOCAL_RANK"),
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ):
        if size in os.environ:
            return tuple(int(os.environ.get(name, "-1")) for name in (size, rank, local))
    return 1, -1, -1


# newer torches call a collective again, through the mode that watches over the device
_inside: list[str] = []


class _Done:
    """The handle of a collective that is over: callers who rely on the order of the device's stream never wait for it."""

    def wait(self, timeout: object = None) -> bool:
        return True

    def is_completed(self) -> bool:
        return True


def _finish(name: str, function: Callable[..., Any]) -> Callable[..., _Done | None]:
    """Wrap a collective so that it is noted, and over when it returns."""

    @functools.wraps(function)
    def collective(*args: Any, **kwargs: Any) -> _Done | None:
        if _inside:
            return function(*args, **kwargs)
        _inside.append(name)
        try:
            return once(*args, **kwargs)
        finally:
            _inside.pop()

    def once(*args: Any, **kwargs: Any) -> _Done | None:
        asynchronous = kwargs.pop("async_op", False)
        shown = next(_device.tensors((args, kwargs)), None)
        facts = {} if shown is None else {"shape": list(shown.shape), "dtype": str(shown.dtype).split(".")[-1]}
        _trace.note("collective", op=name, **facts)
        if shown is not None and name == "all_reduce" and shown.dtype is torch.bfloat16:
            # gloo of torch 1.13 knows no bfloat16: reduced in float32 and rounded once, on every torch alike
            wide = shown.float()
            function(*(wide if value is shown else value for value in args), **_replaced(kwargs, shown, wide))
            shown.copy_(wide)
        else:
            function(*args, **kwargs)
        return _Done() if asynchronous else None

    return collective


def _replaced(kwargs: dict[str, Any], old: torch.Tensor, new: torch.Tensor) -> dict[str, Any]:
    return {key: new if value is old else value for key, value in kwargs.items()}


def _gloo(store: Any, rank: int, size: int, timeout: Any) -> Any:
    return dist.ProcessGroupGloo(store, rank, size, timeout)


dist.Backend.register_backend("hccl", _gloo)
for _name in ("all_reduce", "broadcast", "barrier", "all_gather"):
    _finished = _finish(_name, getattr(dist, _name))
    setattr(dist, _name, _finished)
    setattr(dist.distributed_c10d, _name, _finished)
