"""Checks of the devices: each rank's device is what was asked for, holds what it should, and did no other work."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from runner.bench.parent.checks import evidence
from runner.bench.parent.checks.outcome import FLAG, REFUSE, equal, made, not_made
from runner.contract.records import Act, Check, Launch, Watched
from runner.contract.releases import firmware_version, release
from runner.contract.request import Request

# The fraction by which the memory of a loaded model may differ from its weights: allocators round, and buffers come on
# top.
MEMORY_RISE = 0.10


def device(request: Request, launch: Launch) -> Check:
    """The kind of processor is the stack's. Evidence: the type of the torch device that the model was loaded on."""
    return equal("device", request.stack.device, launch["conditions"]["device"])


def devices(request: Request, launch: Launch) -> Check:
    """As many devices worked as were asked for. Evidence: the ranks that sent their facts, one a device."""
    return equal("devices", request.devices, len(launch["ranks"]))


def accelerator(request: Request, launch: Launch) -> Check:
    """Every device is the accelerator that was asked for. Evidence: the product that the driver names."""
    if "accelerator" in launch["cannot_tell"]:
        return not_made("accelerator", REFUSE, launch["cannot_tell"]["accelerator"])
    products = [rank["device"].get("accelerator") for rank in launch["ranks"]]
    return equal("accelerator", [request.accelerator.name] * request.devices, products)


def parameters_on_device(request: Request, launch: Launch) -> Check:
    """All parameters lie on the device.

    Evidence: the type of each parameter's torch device, ``meta`` for an empty one.
    """
    places = sorted({place for rank in launch["ranks"] for place in rank["parameters_on"]})
    return equal("parameters_on_device", [request.stack.device], places)


def driver(request: Request, launch: Launch) -> Check:
    """Every host's driver is of the stack's release; builds of one release count as the same.

    Evidence: the driver's version by the vendor's program. The lock says which driver the vendor supports with the
    stack.
    """
    pinned, cannot_tell = request.stack.driver, launch["cannot_tell"]
    if "driver" in cannot_tell or pinned is None:
        return not_made("driver", FLAG, cannot_tell.get("driver", "the lock knows none for this stack"))
    versions = [rank["device"]["driver"] for rank in launch["ranks"]]
    releases = {release(version or "") for version in versions}
    return made("driver", FLAG, releases == {release(pinned)}, pinned, versions)


def firmware(request: Request, launch: Launch) -> Check:
    """Every device booted the stack's firmware.

    Evidence: the firmware's version by the vendor's program.
    """
    pinned, cannot_tell = request.stack.firmware, launch["cannot_tell"]
    if "firmware" in cannot_tell or pinned is None:
        return not_made("firmware", FLAG, cannot_tell.get("firmware", "the lock knows none for this accelerator"))
    versions = [rank["device"].get("firmware") for rank in launch["ranks"]]
    firmwares = {firmware_version(version or "") for version in versions}
    return made("firmware", FLAG, firmwares == {firmware_version(pinned)}, pinned, versions)


def device_memory(request: Request, launch: Launch) -> Check:
    """Loading raised each device's memory by the size of its weights: no part of the model stayed on the host.

    Evidence: the device's allocated bytes with the model loaded, less the bytes on opening the device.
    """
    sizes = evidence.weight_bytes(request)
    least, most = (1 - MEMORY_RISE) * min(sizes), (1 + MEMORY_RISE) * max(sizes)
    return _of_every_rank(
        "device_memory",
        REFUSE,
        launch,
        lambda seen: [seen["memory_rise_bytes"]],
        [least, most],
        lambda rise_bytes: least <= rise_bytes <= most,
    )


def operator_fallback(launch: Launch) -> Check:
    """No operator ran on the CPU instead of on the device in the timed window.

    Evidence: the counter of Gaudi's bridge, ``cpu_fallback``, before and after the window.
    """
    return _nothing_of("operator_fallback", REFUSE, launch, lambda seen: [seen["fallbacks"]])


def compilations(launch: Launch) -> Check:
    """Nothing was compiled or captured in the timed window.

    Evidence: the counts of compiled recipes, kernels and graphs before and after the window. Completing a dataset has
    no untimed calls, as upstream has none: its first batch compiles, and so does a smaller last batch. There the check
    flags only.
    """
    act = FLAG if "dataset" in launch else REFUSE
    return _nothing_of("compilations", act, launch, lambda seen: [seen["compilations"]])


def compile_cache(launch: Launch) -> Check:
    """The caches of compiled recipes and kernels were empty at the start: a filled cache is another condition.

    Evidence: the files in the caches on opening the device.
    """
    return _nothing_of("compile_cache", FLAG, launch, lambda seen: [seen["cached_kernels"]])


def exclusive_device(launch: Launch) -> Check:
    """No other process computed on the device.

    Evidence: the process ids that the vendor's program lists on opening the device, before and after the timed window.
    Source: optimum-benchmark@b263af4, whose device isolation watches for foreign processes too.
    """
    return _nothing_of("exclusive_device", REFUSE, launch, lambda seen: [seen["foreign_processes"]])


def throttling(launch: Launch) -> Check:
    """Nothing held the device's clock down.

    Evidence: the reasons that the vendor's program tells around the timed window.
    """
    return _nothing_of("throttling", FLAG, launch, lambda seen: [seen["throttle_reasons"]])


def numa(launch: Launch) -> Check:
    """Each rank ran on cores of the memory node that its device is attached to.

    Evidence: the kernel's node of the PCI device, and the nodes of the cores that the rank may run on.
    """
    return _of_every_rank(
        "numa",
        FLAG,
        launch,
        lambda seen: [seen["device_node"], seen["cpu_nodes"]],
        "cores of the device's own node",
        lambda device_node, cpu_nodes: cpu_nodes == [device_node],
    )


def _nothing_of(name: str, act: Act, launch: Launch, facts: Callable[[Watched], Sequence[object]]) -> Check:
    """Return the outcome of a check that passes if a fact is 0, or an empty list, for every rank."""
    return _of_every_rank(name, act, launch, facts, "nothing", lambda fact: not fact)


def _of_every_rank(
    name: str,
    act: Act,
    launch: Launch,
    facts: Callable[[Watched], Sequence[object]],
    wanted: object,
    # Called with the facts of one rank.
    is_good: Callable[..., bool],
) -> Check:
    """Return the outcome of a check that passes if the facts of every rank are good.

    The check fails where a rank did not tell a fact, and where there is no rank.
    """
    if name in launch["cannot_tell"]:
        return not_made(name, act, launch["cannot_tell"][name])
    facts_by_rank: list[list[Any]] = [list(facts(evidence.watched(rank))) for rank in launch["ranks"]]
    if not facts_by_rank or any(None in values for values in facts_by_rank):
        return made(name, act, False, "told by every rank", facts_by_rank)
    return made(name, act, all(is_good(*values) for values in facts_by_rank), wanted, facts_by_rank)
