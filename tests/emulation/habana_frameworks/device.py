"""Map device "hpu" to the CPU, and keep count of which tensor is where.

A ``TorchFunctionMode`` sees every call of torch's Python interface. A tensor of the device is an ordinary one with a mark; what is
computed from marked tensors is marked, and says ``hpu:0`` when asked for its device. What torch does by itself behind one call is not
seen. Copies between host and device are real copies here too, so that neither side sees the other's later changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from habana_frameworks import trace
from torch.overrides import TorchFunctionMode

HPU = torch.device("hpu", 0)
_CPU = torch.device("cpu")
_MARK = "_on_emulated_hpu"

_DEVICE = torch.Tensor.device.__get__
_DATA = torch.Tensor.data.__set__
# Each makes the host wait for a value of the device; those of the second row hand out memory, which a device refuses.
_SYNCS = {
    getattr(torch.Tensor, f"__{name}__"): name for name in ("bool", "int", "float", "index", "contains", "complex")
}
_SYNCS.update({getattr(torch.Tensor, name): name for name in ("item", "tolist", "nonzero", "equal")})
_SYNCS.update({getattr(torch, name): name for name in ("nonzero", "equal", "is_nonzero")})
_REFUSED = {torch.Tensor.numpy: "numpy", torch.Tensor.__array__: "__array__"}
_FROM_HOST = {torch.tensor, torch.as_tensor}
# what a device does with tensors of both sides: indexing, and what only compares or points
_BOTH_SIDES = {
    torch.Tensor.__getitem__,
    torch.Tensor.__setitem__,
    torch.Tensor.set_,
    torch._has_compatible_shallow_copy_type,
}


def is_hpu(value: object) -> bool:
    """Return whether ``value`` names the device: ``"hpu"``, ``"hpu:0"`` or a ``torch.device`` of that type."""
    if isinstance(value, str):
        return value == "hpu" or value.startswith("hpu:")
    return isinstance(value, torch.device) and value.type == "hpu"


def on_hpu(tensor: torch.Tensor) -> bool:
    return getattr(tensor, _MARK, False)


def tensors(values: object) -> Iterator[torch.Tensor]:
    """Yield the tensors in arguments or results, through lists, tuples and dicts."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors(value)
    elif isinstance(values, dict):
        for value in values.values():
            yield from tensors(value)


class Emulation(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func == _DEVICE:
            return HPU if on_hpu(args[0]) else func(*args)
        if func == _DATA:
            func(*args)
            return setattr(args[0], _MARK, on_hpu(args[1]))
        if func is torch.Tensor.to or func is torch.Tensor.cpu:
            return _to(func, args, kwargs)
        if func is torch.Tensor.copy_:
            return _copy(func, args, kwargs)
        given = list(tensors(args)) + list(tensors(kwargs))
        marked = any(map(on_hpu, given))
        if marked:
            if func in _SYNCS:
                trace.note("sync", by=_SYNCS[func])
            elif func in _REFUSED:
                raise TypeError("can't convert hpu:0 device type tensor to numpy. Use Tensor.cpu() first")
            # a device takes single numbers of the host
            if (
                any(not on_hpu(tensor) and tensor.dim() and tensor.device.type == "cpu" for tensor in given)
                and func not in _BOTH_SIDES
            ):
                trace.note("mixed", function=getattr(func, "__name__", str(func)))
        device = kwargs.get("device")
        if device is not None:
            marked = is_hpu(device)
            kwargs = {**kwargs, "device": _CPU} if marked else kwargs
        result = func(*args, **kwargs)
        if func in _FROM_HOST and marked:
            _crossed(result, True)
        return _mark(result, marked)


def _mark(results: Any, marked: bool) -> Any:
    if marked:
        for tensor in tensors(results):
            setattr(tensor, _MARK, True)
    return results


def _to(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """Do ``to`` and ``cpu``; one that crosses copies, whatever torch thinks."""
    tensor, target = args[0], _CPU if func is torch.Tensor.cpu else kwargs.get("device")
    if target is None and len(args) > 1:
        target = args[1]
    if isinstance(target, torch.Tensor):
        to_hpu = on_hpu(target)
    elif isinstance(target, (str, torch.device)):
        to_hpu = is_hpu(target)
    else:
        # another dtype, on the same device
        to_hpu = on_hpu(tensor)
    if is_hpu(target):
        args = tuple(_CPU if is_hpu(value) else value for value in args)
        kwargs = {key: _CPU if is_hpu(value) else value for key, value in kwargs.items()}
    result = func(*args, **kwargs)
    if to_hpu == on_hpu(tensor) or result.device.type != "cpu":
        return _mark(result, to_hpu)
    _crossed(tensor, to_hpu)
    return _mark(result.clone(), to_hpu)


def _copy(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    target, source = args[0], args[1] if len(args) > 1 else kwargs["src"]
    if on_hpu(target) != on_hpu(source):
        _crossed(source, on_hpu(target))
    return func(*args, **kwargs)


def _crossed(tensor: torch.Tensor, to_hpu: bool) -> None:
    trace.note("h2d" if to_hpu else "d2h", shape=list(tensor.shape), bytes=tensor.numel() * tensor.element_size())


def _getitem(tensor: torch.Tensor, index: Any) -> torch.Tensor:
    return _mark(_unmarked_getitem(tensor, index), on_hpu(tensor))


# torch 1.13 and 2.0 do not show a mode what a whole number or None selects
_unmarked_getitem, torch.Tensor.__getitem__ = torch.Tensor.__getitem__, _getitem
_BOTH_SIDES.add(_getitem)


def _parameter(
    cls: type[torch.nn.Parameter], data: torch.Tensor | None = None, requires_grad: bool = True
) -> torch.Tensor:
    return _mark(_unmarked_parameter(cls, data, requires_grad), data is not None and on_hpu(data))


# no torch shows a mode what becomes a parameter
_unmarked_parameter, torch.nn.Parameter.__new__ = torch.nn.Parameter.__new__, staticmethod(_parameter)

MODE = Emulation()
# for good: the device exists from the import on
MODE.__enter__()
