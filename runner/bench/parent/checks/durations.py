"""Checks of the timed calls' durations: their number, and how they scatter and drift.

Limits without a source are this kit's own, to be calibrated by runs of one request against itself.
"""

from __future__ import annotations

import statistics
from typing import Sequence

from runner.bench.parent.checks.outcome import FLAG, REFUSE, equal, within
from runner.contract.records import Check, Launch
from runner.contract.request import Request

# Of the median duration. torch's own benchmark holds repeats within 7% of each other (pytorch/benchmark@0e83c44).
FIRST_CALL = 0.10
# Standard deviation over mean, and distance from the mean. Source: psf/pyperf@ab7fd04, which warns beyond both.
SPREAD, EXTREMES = 0.10, 0.50
# Of the mean of the first third.
DRIFT = 0.05
# The last quarter of a call over its first. Without a cache the time of a token grows with its position.
DECODE_GROWTH = 1.3
# Of the shortest duration.
CLOCK_RESOLUTION = 1e-4


def timed_calls(request: Request, launch: Launch) -> Check:
    """As many calls were timed as the protocol says. Evidence: the durations."""
    return equal("timed_calls", request.protocol.timed_calls, len(launch["timed"]["iterations_s"]))


def clock_resolution(launch: Launch) -> Check:
    """The clock resolves the shortest call. Evidence: the resolution that Python tells of ``perf_counter``."""
    durations_s = launch["timed"]["iterations_s"]
    resolution = launch["clock"]["resolution_s"] / min(durations_s) if durations_s else None
    return within("clock_resolution", 0, CLOCK_RESOLUTION, resolution, REFUSE)


def first_call(launch: Launch, shared: bool) -> Check:
    """The first timed call took as long as the others: the untimed calls had warmed everything up.

    Evidence: the first duration over the median. On a device that other work shares a slow call may have that cause,
    and is flagged.
    """
    durations_s = launch["timed"]["iterations_s"]
    distance = abs(durations_s[0] / statistics.median(durations_s) - 1) if durations_s else None
    return within("first_call", 0, FIRST_CALL, distance, FLAG if shared else REFUSE)


def spread(launch: Launch) -> Check:
    """The calls took about the same time. Evidence: the standard deviation over the mean."""
    relative = _relative(launch)
    return within("spread", 0, SPREAD, statistics.stdev(relative) if len(relative) > 1 else None, FLAG)


def extremes(launch: Launch) -> Check:
    """No call took much more or much less time than the mean. Evidence: the largest distance from the mean."""
    return within("extremes", 0, EXTREMES, max((abs(value - 1) for value in _relative(launch)), default=None), FLAG)


def drift(launch: Launch) -> Check:
    """The calls became neither slower nor faster. Evidence: the mean of the last third over that of the first third."""
    relative = _relative(launch)
    third = len(relative) // 3
    distance = abs(statistics.mean(relative[-third:]) / statistics.mean(relative[:third]) - 1) if third else None
    return within("drift", 0, DRIFT, distance, FLAG)


def _relative(launch: Launch) -> list[float]:
    """Return the durations of the timed calls, each over their mean."""
    durations_s = launch["timed"]["iterations_s"]
    mean_s = statistics.mean(durations_s) if durations_s else None
    return [duration_s / mean_s for duration_s in durations_s] if mean_s else []


def decode_growth(launch: Launch) -> Check:
    """A token takes no longer at the end of a call than at its begin: keys and values are cached.

    Evidence: the gaps between the tokens of the instrumented calls.
    """
    return within("decode_growth", 0, DECODE_GROWTH, median_growth(launch["instrumented"]["itl_s"]), FLAG)


def median_growth(calls_s: Sequence[Sequence[float]]) -> float | None:
    """Return how much the gaps between tokens grow within a call: the median of all calls.

    The growth of a call is the mean of the last quarter of its gaps over the mean of the first quarter.
    Return None where no call has four gaps.
    """
    growths = []
    for gaps_s in calls_s:
        quarter = len(gaps_s) // 4
        if quarter:
            growths.append(statistics.mean(gaps_s[-quarter:]) / statistics.mean(gaps_s[:quarter]))
    return statistics.median(growths) if growths else None
