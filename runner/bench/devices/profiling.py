"""Count what ran in a call, by torch's own profiler: operators on the host, and kernels on a device beside the host."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Callable, Iterable, NamedTuple

if TYPE_CHECKING:
    from torch.profiler import ProfilerActivity

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
    from torch.profiler import ProfilerActivity

    return Profile(_counted(_GRAPH_HASH.sub("", name) for name, _ in _noted(call, [ProfilerActivity.CPU])), [])


def of_host_and_gpu(call: Callable[[], object]) -> Profile:
    """Make ``call()`` and count torch's operators on the host, and all that runs on the GPU.

    Of the host only names with a namespace count, such as ``aten::mm``. The profiler notes calls of CUDA's runtime and its own
    work there too, without a namespace; allocators, watchers and the profiler's buffers decide how often those happen.
    """
    from torch.profiler import ProfilerActivity

    noted = _noted(call, [ProfilerActivity.CPU, ProfilerActivity.CUDA])
    host = [name for name, on_host in noted if on_host]
    ranges = set(host)
    # A range of the host may be repeated on the GPU, around the kernels that the range has launched.
    kernels = [name for name, on_host in noted if not on_host and name not in ranges]
    return Profile(_counted([*(name for name in host if "::" in name), *kernels]), sorted(set(kernels)))


def _noted(call: Callable[[], object], activities: list[ProfilerActivity]) -> list[tuple[str, bool]]:
    """Make ``call()``; return name and place (whether on the host) of each event that torch's profiler notes.

    The events are Kineto's own. Those of ``profiler.events()`` differ between launches: torch leaves out an event inside another
    of the same name, and up to torch 2.0 their rounded microseconds decided which event is inside which.
    """
    from torch.autograd import DeviceType
    from torch.profiler import profile

    with profile(activities=activities) as profiler:
        call()
    noted = profiler.profiler.kineto_results.events()
    return [(event.name(), event.device_type() == DeviceType.CPU) for event in noted]


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, in the order of the names."""
    return dict(sorted(Counter(names).items()))
