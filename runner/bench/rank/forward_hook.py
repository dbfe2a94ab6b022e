"""Put together what a device told of itself while it was measured. Pure; the device modules make the observations."""

# What ``observe()`` of a device module may tell; None, or left out, where it does not.
#   memory_bytes        in use on the device by this process
#   compilations        kernels, recipes or graphs compiled or captured so far by this process
#   cached_kernels      of them, those that were there before this process began, on disk
#   fallbacks           how often an operator ran on the CPU instead, so far
#   foreign_processes   ids of other processes on the device, now
#   throttle_reasons    why the device holds its clock down, now
OBSERVED = (
    "memory_bytes",
    "compilations",
    "cached_kernels",
    "fallbacks",
    "foreign_processes",
    "throttle_reasons",
)


def summary(opened, loaded, before, after):
    """Return what four observations say: on opening the device, with the model loaded, and around the timed window."""
    opened, loaded, before, after = (
        {name: part.get(name) for name in OBSERVED} for part in (opened, loaded, before, after)
    )
    return {
        "memory_rise_bytes": _difference(opened["memory_bytes"], loaded["memory_bytes"]),
        "compilations": _difference(before["compilations"], after["compilations"]),
        "cached_kernels": opened["cached_kernels"],
        "fallbacks": _difference(before["fallbacks"], after["fallbacks"]),
        "foreign_processes": _union(
            opened["foreign_processes"], before["foreign_processes"], after["foreign_processes"]
        ),
        "throttle_reasons": _union(before["throttle_reasons"], after["throttle_reasons"]),
    }


def _difference(earlier, later):
    return None if None in (earlier, later) else later - earlier


def _union(*found):
    """Return all members of all parts, sorted; None if some part is missing, since something may be missing with it."""
    return None if None in found else sorted(set().union(*found))
