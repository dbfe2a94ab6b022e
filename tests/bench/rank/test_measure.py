import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.bench.parent import checks
from runner.bench.rank import measure
from runner.bench.rank.measure import TracedCall
from tests.support import samples
from tests.support.known_device import KnownDevice

MILLISECOND_NS = 1_000_000

# From pins: calls before the clock, one synchronisation, five calls, and one more synchronisation on the GPU only.
SEQUENCES = [
    ({"untimed_calls": 2}, ["call"] * 2 + ["synchronize"] + ["call"] * 5),
    ({"untimed_calls": 3}, ["call"] * 3 + ["synchronize"] + ["call"] * 5),
    (
        {"untimed_calls": 3, "synchronize_after": True},
        ["call"] * 3 + ["synchronize"] + ["call"] * 5 + ["synchronize"],
    ),
]


def run(protocol, device, call):
    untimed_s = measure.untimed_pass(protocol, call, device.clock_ns)
    durations, returned = measure.timed_pass(protocol, call, device.synchronize, device.clock_ns)
    return untimed_s, durations, returned


@pytest.mark.parametrize("changes, expected", SEQUENCES)
def test_calls_and_synchronisations_come_in_the_protocol_s_order(changes, expected):
    device = KnownDevice()
    run(samples.protocol(**changes), device, lambda: device.queue(1000))
    assert device.log == expected


def test_durations_of_calls_that_wait_are_those_of_the_device():
    device = KnownDevice()
    numbers = iter(range(8))

    def call():
        device.queue(1000)
        device.copy_out()
        return next(numbers)

    untimed_s, durations, returned = run(samples.protocol(), device, call)
    assert untimed_s == [pytest.approx(1e-6)] * 3
    assert durations["iterations_s"] == [pytest.approx(1e-6)] * 5
    assert durations["span_s"] == pytest.approx(sum(durations["iterations_s"]))
    assert returned == [3, 4, 5, 6, 7]


def test_a_synchronisation_at_the_end_brings_queued_work_into_the_window():
    """Without it the clock of an asynchronous device stops too early: the protocol decides, the runner does not hide it."""
    spans = []
    for after in (True, False):
        device = KnownDevice()
        _, durations, _ = run(
            samples.protocol(synchronize_after=after), device, lambda device=device: device.queue(1000)
        )
        spans.append(durations["span_s"])
    assert spans == [pytest.approx(5e-6), 0]


def test_work_queued_before_the_window_is_not_in_it():
    device = KnownDevice()
    _, durations, _ = run(samples.protocol(synchronize_after=True), device, lambda: device.queue(1000))
    assert durations["span_s"] == pytest.approx(5e-6)


@settings(max_examples=300)
@given(
    st.lists(st.integers(10_000, 1_000_000_000), min_size=8, max_size=8),
    st.lists(st.integers(0, 5_000), min_size=64, max_size=64),
    st.booleans(),
)
def test_the_timer_agrees_with_a_device_of_known_speed(durations_ns, jitter_ns, waits_in_the_call):
    """To 1% or 50 microseconds, whatever the host's own delays: as the Gaudi scripts time (each call waits) and as the GPU one."""
    delays = iter(jitter_ns * 4)
    device = KnownDevice(host_ns=lambda: next(delays))
    works = iter(durations_ns)

    def call():
        device.queue(next(works))
        if waits_in_the_call:
            device.copy_out()

    protocol = samples.protocol(synchronize_after=not waits_in_the_call)
    _, durations, _ = run(protocol, device, call)
    truth_s = device.busy_s(3, 7)
    assert abs(durations["span_s"] - truth_s) <= max(checks.RESIDUAL * truth_s, checks.RESIDUAL_S)
    if waits_in_the_call:
        for number, measured_s in enumerate(durations["iterations_s"], 3):
            own_s = device.busy_s(number, number)
            assert abs(measured_s - own_s) <= max(checks.RESIDUAL * own_s, checks.RESIDUAL_S)


@pytest.mark.parametrize("waits, left_ms", [(True, 5 * 7), (False, 0)])
def test_what_the_device_still_had_to_do_is_seen_after_a_window_that_nobody_waited_for(waits, left_ms):
    device = KnownDevice(waits=waits)
    run(samples.protocol(), device, lambda: device.queue(7 * MILLISECOND_NS))
    assert measure.residual_s(device.synchronize, device.clock_ns) == pytest.approx(left_ms / 1e3)


@pytest.mark.parametrize("waits, queued_share", [(True, 0.05), (False, 0.99)])
def test_a_synchronisation_that_waits_makes_a_difference(waits, queued_share):
    """100 orders of 20 microseconds, given within a tenth of a millisecond."""
    device = KnownDevice(host_ns=lambda: 1000, waits=waits)

    def enqueue():
        for _ in range(100):
            device.queue(20_000)

    found = measure.control(enqueue, device.synchronize, device.clock_ns)
    assert found["queued_s"] / found["finished_s"] == pytest.approx(queued_share, abs=0.01)


def test_per_token_times_follow_their_definitions():
    call = TracedCall(
        start_ns=0, end_ns=1_000_000_000, token_ns=[200_000_000, 400_000_000, 900_000_000], forward_tokens=[7, 1, 1]
    )
    times = measure.per_token([call])
    assert times["ttft_s"] == [pytest.approx(0.2)]
    assert times["itl_s"] == [[pytest.approx(0.2), pytest.approx(0.5)]]
    assert times["tpot_s"] == [pytest.approx((1.0 - 0.2) / 2)]
    assert times["e2e_s"] == [pytest.approx(1.0)]
    assert times["forward_calls"] == [3]


def test_one_token_has_no_time_per_further_token():
    times = measure.per_token([TracedCall(0, 10, [5], [7])])
    assert times["tpot_s"] == [None]
    assert times["itl_s"] == [[]]


def test_a_cache_is_seen_in_what_the_forward_passes_are_given():
    call = TracedCall(0, 10, [5], [7, 1, 1])
    assert measure.cached([call]) is True
    assert measure.cached([call, call._replace(forward_tokens=[7, 8, 9])]) is False
    assert measure.cached([]) is None
