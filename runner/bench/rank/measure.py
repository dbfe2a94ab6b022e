"""Time calls as a protocol says. Takes callables and a clock, imports no torch."""

from collections import namedtuple

# start_ns, end_ns: the clock around the call; token_ns: the clock when each token was on the host; forward_tokens: how many
# tokens of a row each forward pass was given.
TracedCall = namedtuple("TracedCall", "start_ns end_ns token_ns forward_tokens")


def untimed_pass(protocol, call, clock_ns):
    """Make the protocol's untimed calls and return how many seconds each took."""
    stamps_ns = [clock_ns()]
    for _ in range(protocol.untimed_calls):
        call()
        stamps_ns.append(clock_ns())
    return _seconds(stamps_ns)


def timed_pass(protocol, call, synchronize, clock_ns):
    """Run the timed window; return its durations in seconds and what the calls returned.

    The window is one span over all calls, as in the published scripts; the stamps between calls cost a clock read each.
    Nothing else happens inside it.
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


def residual_s(synchronize, clock_ns):
    """Return how many seconds the device still worked when the clock was stopped: right after a window, it should be none."""
    start_ns = clock_ns()
    synchronize()
    return (clock_ns() - start_ns) / 1e9


def control(enqueue, synchronize, clock_ns):
    """Return the seconds until work was queued and until it was finished.

    Where the two are the same, leaving a synchronisation out changes nothing: then either the device does not work
    asynchronously or its synchronisation does not wait, and a check by ``residual_s`` says nothing.
    """
    synchronize()
    start_ns = clock_ns()
    enqueue()
    queued_ns = clock_ns()
    synchronize()
    return {"queued_s": (queued_ns - start_ns) / 1e9, "finished_s": (clock_ns() - start_ns) / 1e9}


def per_token(calls):
    """Return TTFT, TPOT, ITL and end-to-end seconds of instrumented calls, one entry per ``TracedCall``.

    TPOT is (end to end - TTFT) / (tokens - 1), ITL the gaps between tokens; TPOT is None for a call of one token.
    """
    return {
        "e2e_s": [(call.end_ns - call.start_ns) / 1e9 for call in calls],
        "ttft_s": [(call.token_ns[0] - call.start_ns) / 1e9 for call in calls],
        "tpot_s": [_tpot_s(call) for call in calls],
        "itl_s": [_seconds(call.token_ns) for call in calls],
        "forward_calls": [len(call.forward_tokens) for call in calls],
    }


def cached(calls):
    """Return whether keys and values were cached: after the prompt, every forward pass was given one token. None of no calls."""
    return all(set(call.forward_tokens[1:]) <= {1} for call in calls) if calls else None


def _tpot_s(call):
    tokens = len(call.token_ns)
    return (call.end_ns - call.token_ns[0]) / 1e9 / (tokens - 1) if tokens > 1 else None


def _seconds(stamps_ns):
    return [(later - earlier) / 1e9 for earlier, later in zip(stamps_ns, stamps_ns[1:])]
