"""Count what ran in a call, by torch's own profiler: operators on the host, and kernels on a device beside the host."""

from __future__ import annotations

import re
from collections import Counter
from typing import Callable, Iterable, NamedTuple

# torch.compile names each call of a compiled graph by a hash of graph, settings and torch itself. The hash of one graph differs
# between launches: under torch 2.13 another number of threads gave another hash.
_GRAPH_HASH = re.compile(r"(?<=^## Call CompiledFxGraph )\w+ (?=##$)")


class Profile(NamedTuple):
    """What ran in one call."""

    # Name of an operator or kernel to how often it ran.
    calls: dict[str, int]
    # The names in ``calls`` of what ran on a device beside the host, sorted.
    kernels: list[str]


def of_host(call: Callable[[], object]) -> Profile:
    """Make ``call()`` and count all that torch's profiler notes on the host."""
    import torch.profiler

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        call()
    return Profile(_counted(_GRAPH_HASH.sub("", event.name) for event in profiler.events()), [])


def of_host_and_gpu(call: Callable[[], object]) -> Profile:
    """Make ``call()`` and count torch's operators on the host, and all that runs on the GPU.

    Of the host only names with a namespace count, such as ``aten::mm``. The profiler notes calls of CUDA's runtime and its own
    work there too, without a namespace; allocators, watchers and the profiler's buffers decide how often those happen.
    """
    import torch.profiler
    from torch.autograd import DeviceType

    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        call()
    host: list[str] = []
    gpu: list[str] = []
    for event in profiler.events():
        (host if event.device_type == DeviceType.CPU else gpu).append(event.name)
    # A range of the host may be repeated on the GPU, around the kernels that the range has launched.
    ranges = set(host)
    kernels = [name for name in gpu if name not in ranges]
    return Profile(_counted([*(name for name in host if "::" in name), *kernels]), sorted(set(kernels)))


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, in the order of the names."""
    return dict(sorted(Counter(names).items()))
