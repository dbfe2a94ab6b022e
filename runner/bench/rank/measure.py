"""Time calls as a protocol says. Takes callables and a clock, imports no torch."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence, TypedDict, TypeVar

from runner.contract.records import InstrumentedPass, SynchronisationControl
from runner.contract.request import Protocol

# Returns nanoseconds since some moment, as ``time.perf_counter_ns`` does.
ClockNs = Callable[[], int]

_Returned = TypeVar("_Returned")


class Durations(TypedDict):
    """The durations of the timed calls, in seconds, and the span of them all."""

    iterations_s: list[float]
    span_s: float


class TracedCall(NamedTuple):
    """One instrumented call."""

    start_ns: int
    end_ns: int
    # The clock when each token was on the host.
    token_ns: list[int]
    # How many tokens of a row each forward pass was given.
    forward_tokens: list[int]


def untimed_pass(protocol: Protocol, call: Callable[[], object], clock_ns: ClockNs) -> list[float]:
    """Make the protocol's untimed calls and return how many seconds each took."""
    stamps_ns = [clock_ns()]
    for _ in range(protocol.untimed_calls):
        call()
        stamps_ns.append(clock_ns())
    return _seconds(stamps_ns)


def timed_pass(
    protocol: Protocol, call: Callable[[], _Returned], synchronize: Callable[[], None], clock_ns: ClockNs
) -> tuple[Durations, list[_Returned]]:
    """Make the protocol's timed calls; return their durations and what they returned.

    The window is one span over all calls, as in the published scripts. Between two calls the clock is read once; nothing else
    happens inside the window.
    """
    if protocol.synchronize_before:
        synchronize()
    returned = []
    stamps_ns = [clock_ns()]
    for _ in range(protocol.timed_calls):
        returned.append(call())
        stamps_ns.append(clock_ns())
    if protocol.synchronize_after:
        synchronize()
        stamps_ns[-1] = clock_ns()
    return {"iterations_s": _seconds(stamps_ns), "span_s": (stamps_ns[-1] - stamps_ns[0]) / 1e9}, returned


def residual_s(synchronize: Callable[[], None], clock_ns: ClockNs) -> float:
    """Return how many seconds the device still works: right after a window the answer should be 0."""
    start_ns = clock_ns()
    synchronize()
    return (clock_ns() - start_ns) / 1e9


def control(
    enqueue: Callable[[], object], synchronize: Callable[[], None], clock_ns: ClockNs
) -> SynchronisationControl:
    """Return the seconds until the work of ``enqueue`` was queued and until it was finished.

    Where both durations are the same, a missing synchronisation changes nothing: the device does not work asynchronously, or
    its synchronisation does not wait. A check by ``residual_s`` then says nothing.
    """
    synchronize()
    start_ns = clock_ns()
    enqueue()
    queued_ns = clock_ns()
    synchronize()
    return {"queued_s": (queued_ns - start_ns) / 1e9, "finished_s": (clock_ns() - start_ns) / 1e9}


def per_token(calls: Sequence[TracedCall]) -> InstrumentedPass:
    """Return TTFT, TPOT, ITL and end-to-end seconds of instrumented calls, one entry per ``TracedCall``.

    TTFT is the time to the first token, TPOT is (end to end - TTFT) / (tokens - 1), ITL are the gaps between tokens. TPOT is None
    for a call of one token.
    """
    return {
        "e2e_s": [(call.end_ns - call.start_ns) / 1e9 for call in calls],
        "ttft_s": [(call.token_ns[0] - call.start_ns) / 1e9 for call in calls],
        "tpot_s": [_tpot_s(call) for call in calls],
        "itl_s": [_seconds(call.token_ns) for call in calls],
        "forward_calls": [len(call.forward_tokens) for call in calls],
    }


def cached(calls: Sequence[TracedCall]) -> bool | None:
    """Return whether keys and values were cached: every forward pass after the prompt's was given one token. None without calls."""
    return all(set(call.forward_tokens[1:]) <= {1} for call in calls) if calls else None


def _tpot_s(call: TracedCall) -> float | None:
    tokens = len(call.token_ns)
    return (call.end_ns - call.token_ns[0]) / 1e9 / (tokens - 1) if tokens > 1 else None


def _seconds(stamps_ns: Sequence[int]) -> list[float]:
    """Return the seconds between neighbouring stamps."""
    return [(later - earlier) / 1e9 for earlier, later in zip(stamps_ns, stamps_ns[1:])]
