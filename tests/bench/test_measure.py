import pytest

from runner.bench import measure
from runner.bench.measure import TracedCall
from tests import samples


class Device:
    """A clock and an asynchronous device: a call queues work, only a synchronisation (or a copy) waits for it."""

    def __init__(self, blocking):
        self.now_ns, self.busy_until_ns, self.blocking, self.log = 0, 0, blocking, []

    def clock_ns(self):
        return self.now_ns

    def call(self):
        self.log.append("call")
        self.now_ns += 10
        self.busy_until_ns = max(self.now_ns, self.busy_until_ns) + 1000
        if self.blocking:
            self.now_ns = self.busy_until_ns
        return len(self.log)

    def synchronize(self):
        self.log.append("synchronize")
        self.now_ns = max(self.now_ns, self.busy_until_ns)


# From pins: calls before the clock, one synchronisation, five calls, and one more synchronisation on the GPU only.
SEQUENCES = {
    "gaudi-1.8": ["call"] * 2 + ["synchronize"] + ["call"] * 5,
    "gaudi-1.9": ["call"] * 2 + ["synchronize"] + ["call"] * 5,
    "gaudi-1.10": ["call"] * 3 + ["synchronize"] + ["call"] * 5,
    "gpu-2023": ["call"] * 3 + ["synchronize"] + ["call"] * 5 + ["synchronize"],
}


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"untimed_calls": 2}, SEQUENCES["gaudi-1.9"]),
        ({"untimed_calls": 3}, SEQUENCES["gaudi-1.10"]),
        ({"untimed_calls": 3, "synchronize_after": True}, SEQUENCES["gpu-2023"]),
    ],
)
def test_calls_and_synchronisations_come_in_the_protocol_s_order(changes, expected):
    device = Device(blocking=False)
    measure.timed_pass(samples.protocol(**changes), device.call, device.synchronize, device.clock_ns)
    assert device.log == expected


def test_durations_of_a_blocking_device_are_those_of_its_calls():
    device = Device(blocking=True)
    durations, returned = measure.timed_pass(samples.protocol(), device.call, device.synchronize, device.clock_ns)
    assert durations["untimed_s"] == [pytest.approx(1010e-9)] * 3
    assert durations["iterations_s"] == [pytest.approx(1010e-9)] * 5
    assert durations["span_s"] == pytest.approx(sum(durations["iterations_s"]))
    assert returned == [5, 6, 7, 8, 9]


def test_a_synchronisation_at_the_end_brings_queued_work_into_the_window():
    """Without it the clock of an asynchronous device stops too early: the protocol decides, the runner does not hide it."""
    with_sync, without = Device(blocking=False), Device(blocking=False)
    gpu, gaudi = samples.protocol(synchronize_after=True), samples.protocol()
    waited, _ = measure.timed_pass(gpu, with_sync.call, with_sync.synchronize, with_sync.clock_ns)
    hurried, _ = measure.timed_pass(gaudi, without.call, without.synchronize, without.clock_ns)
    assert waited["span_s"] == pytest.approx(5010e-9)
    assert hurried["span_s"] == pytest.approx(50e-9)


def test_work_queued_before_the_window_is_not_in_it():
    device = Device(blocking=False)
    durations, _ = measure.timed_pass(samples.protocol(), device.call, device.synchronize, device.clock_ns)
    assert durations["span_s"] == pytest.approx(50e-9)


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
