"""Graphs of the device: recorded once for each signature of inputs, then replayed into storage that never moves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from habana_frameworks import device, trace


class _Graph:
    """One recording: its own copies of the inputs, and the results, whose storage every replay writes again."""

    def __init__(
        self, number: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.number, self.function = number, function
        self.args, self.kwargs = _own((args, kwargs))
        self.inputs = list(device.tensors((self.args, self.kwargs)))
        with trace.capturing():
            self.results = function(*self.args, **self.kwargs)

    def replay(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run again with new inputs; what the function does to the host is not repeated by a device, so it is not noted."""
        with torch.no_grad():
            for kept, given in zip(self.inputs, device.tensors((args, kwargs))):
                kept.copy_(given)
        with trace.hidden():
            results = self.function(*self.args, **self.kwargs)
            with torch.no_grad():
                for fixed, new in zip(device.tensors(self.results), device.tensors(results)):
                    fixed.copy_(new)
        return self.results


def wrap_in_hpu_graph(module: torch.nn.Module, max_graphs: None = None) -> torch.nn.Module:
    """Patch the module's forward and return the same module, as the vendor's does: it stays what ``generate`` is called on.

    ``max_graphs`` is what the script of optimum-habana v1.20.0 passes: None, for no limit.
    """
    assert max_graphs is None
    module.forward = _wrap(module.forward)
    return module


def _wrap(function: Callable[..., Any]) -> Callable[..., Any]:
    graphs: dict[Any, _Graph] = {}

    @functools.wraps(function)
    def forward(*args: Any, **kwargs: Any) -> Any:
        signature = _signature((args, kwargs))
        graph = graphs.get(signature)
        if graph is None:
            number = len(graphs)
            trace.note("capture", graph=number, shapes=_shapes(args, kwargs))
            graphs[signature] = graph = _Graph(number, function, args, kwargs)
            return graph.results
        trace.note("replay", graph=graph.number)
        return graph.replay(args, kwargs)

    return forward


def _shapes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[list[int]]:
    return [list(tensor.shape) for tensor in device.tensors((args, kwargs))]


def _signature(value: Any) -> Any:
    """Return what decides whether a recording fits: shapes, types and places of tensors, and the values of all else."""
    if isinstance(value, torch.Tensor):
        return "tensor", tuple(value.shape), value.dtype, device.on_hpu(value)
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(_signature, value))
    if isinstance(value, dict):
        return type(value), tuple((key, _signature(value[key])) for key in sorted(value))
    return value


def _own(value: Any) -> Any:
    """Return a copy of nested arguments in which every tensor has storage of its own."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, (list, tuple)):
        return type(value)(map(_own, value))
    if isinstance(value, dict):
        return {key: _own(value[key]) for key in value}
    return value
