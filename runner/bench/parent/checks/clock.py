"""Checks of the clock: it was not set during the launch, and when it stopped the device had finished its work."""

from __future__ import annotations

from runner.bench.parent.checks import evidence
from runner.bench.parent.checks.outcome import FLAG, REFUSE, not_made, within
from runner.contract.records import Check, Launch

CLOCK_DRIFT_S = 1.0
# The work that may be left when the clock has stopped, as a fraction of the window and in seconds: the error that a
# timer may have.
RESIDUAL, RESIDUAL_S = 0.01, 50e-6
# The fraction of a forward pass that queueing may take. If it took all, leaving a synchronisation out would change
# nothing.
QUEUED = 0.90
# The fraction by which the device's clock may differ from the host's.
DEVICE_CLOCK = 0.05


def clock_drift_s(launch: Launch) -> Check:
    """The wall clock was not set during the launch.

    Evidence: the wall clock against the monotonic clock, in seconds.
    """
    return within("clock_drift_s", 0, CLOCK_DRIFT_S, abs(launch["clock"]["drift_s"]), REFUSE)


def synchronised(launch: Launch) -> Check:
    """The device had finished its work when the clock stopped.

    Evidence: how long a synchronisation takes right after the timed window. On Gaudi ``mark_step(sync=True)`` is no
    synchronisation of the device. Source: docs.habana.ai, reference of ``mark_step``.
    """
    if "synchronised" in launch["cannot_tell"]:
        return not_made("synchronised", REFUSE, launch["cannot_tell"]["synchronised"])
    span_s = launch["timed"]["span_s"] if "timed" in launch else sum(launch["dataset"]["batches_s"])
    residual_s = evidence.largest(evidence.watched(rank)["residual_s"] for rank in launch["ranks"])
    return within("synchronised", 0, max(RESIDUAL_S, RESIDUAL * span_s), residual_s, REFUSE)


def synchronisation_control(launch: Launch) -> Check:
    """A synchronisation makes a difference: the device works asynchronously, and its synchronisation waits.

    Evidence: the time until a forward pass was queued, over the time until the pass was finished. Where both are the
    same, ``synchronised`` proves nothing.
    """
    name = "synchronisation_control"
    if name in launch["cannot_tell"]:
        return not_made(name, FLAG, launch["cannot_tell"][name])
    shares = []
    for rank in launch["ranks"]:
        control = evidence.watched(rank)["control"]
        shares.append(_ratio(control["queued_s"], control["finished_s"]) if control else None)
    return within(name, 0, QUEUED, evidence.largest(shares), FLAG)


def device_clock(launch: Launch) -> Check:
    """The device's own clock agrees with the host's. Evidence: one call, timed by both clocks."""
    name = "device_clock"
    if name in launch["cannot_tell"]:
        return not_made(name, FLAG, launch["cannot_tell"][name])
    distances = []
    for rank in launch["ranks"]:
        clocks = evidence.watched(rank)["device_clock"]
        ratio = _ratio(clocks["host_s"], clocks["device_s"]) if clocks else None
        distances.append(None if ratio is None else abs(ratio - 1))
    return within(name, 0, DEVICE_CLOCK, evidence.largest(distances), FLAG)


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0 else None
