"""The path of a rank, from the calls to the checks, over a device of known speed instead of a model."""

from types import SimpleNamespace

import pytest

from runner.bench.parent import checks
from runner.bench.processes import deaths
from runner.bench.rank import collectives, latency, worker
from runner.bench.rank.measure import TracedCall
from runner.bench.rank.model import Logits
from runner.bench.rank.window import Window
from runner.contract.progress import SILENT
from tests.support import samples
from tests.support.known_device import KnownDevice
from tests.support.tasks import RecordedTask

CALL_NS, FORWARD_NS = 40_000_000, 400_000


class Ids(list):
    """Rows of ids with the little of a tensor that the worker uses."""

    def __getitem__(self, key):
        return Ids([row[key[1]] for row in self]) if isinstance(key, tuple) else super().__getitem__(key)

    def tolist(self):
        return list(self)


class KnownModel:
    """Stands where ``runner.bench.rank.model`` stands: every call queues work of a known length and may wait for it."""

    def __init__(self, asked, device, waits):
        self.asked, self.device, self.waits = asked, device, waits
        self.prompt, self.answer = list(range(10, 17)), [place % 50 for place in range(100)]

    def encode(self, loaded, rows, input_tokens=None):
        return {"input_ids": Ids([self.prompt] * len(rows))}

    def generate(self, loaded, rows, workload):
        self.device.queue(CALL_NS)
        if self.waits:
            self.device.copy_out()
        return SimpleNamespace(ids=Ids([self.prompt + self.answer]), texts=["…"])

    def traced_call(self, loaded, rows, workload, clock_ns):
        return TracedCall(0, 1000, [10 * (number + 1) for number in range(100)], [7] + [1] * 99)

    def prompt_logits(self, loaded, rows):
        for _ in range(20):
            self.device.queue(FORWARD_NS // 20)

    def describe_logits(self, logits):
        return Logits(True, "hpu")


def measured(monkeypatch, protocol, waits=True, device=None, task=SILENT):
    """Return what a rank measured and its checks: ``latency.run`` on the virtual clock of a ``KnownDevice``."""
    device = device or KnownDevice(host_ns=lambda: 500)
    asked = samples.request(protocol=protocol)
    loaded = SimpleNamespace(tokenizer=SimpleNamespace(batch_decode=lambda ids, **_: [samples.PROMPT]))
    monkeypatch.setattr(latency, "model", KnownModel(asked, device, waits))
    monkeypatch.setattr(latency.time, "perf_counter_ns", device.clock_ns)
    measured = latency.run(asked, loaded, device, task)
    assert measured.kv_cached is True
    launch = samples.body(asked)["launches"][0]
    for name in ("untimed_s", "timed", "instrumented", "tokens"):
        launch[name] = getattr(measured, name)
    window = measured.window
    launch.update(clock=window.clock, host_noise=window.host_noise, cannot_tell=device.cannot_tell)
    watched = {name: getattr(measured, name) for name in ("residual_s", "control", "device_clock")}
    launch["ranks"][0]["watched"].update(watched, major_faults=window.major_faults, energy_j=window.energy_j)
    found = checks.run(asked, launch, samples.environment(), device.shared)
    return device, launch, {check["name"]: check for check in found}


def test_the_window_holds_the_energy_of_the_timed_calls_alone(monkeypatch):
    device = KnownDevice(host_ns=lambda: 500)
    read = []
    monkeypatch.setattr(device, "energy_j", lambda: read.append(len(device.work)) or 400.0 * device.now_ns / 1e9)
    _, launch, _ = measured(monkeypatch, samples.protocol(), device=device)
    # after the three untimed calls, and after the five timed ones
    assert read == [3, 8]
    assert launch["ranks"][0]["watched"]["energy_j"] == pytest.approx(400.0 * 5 * CALL_NS / 1e9, rel=0.01)


def test_the_energy_of_waiting_for_other_ranks_is_not_counted(monkeypatch):
    """A rank that has observed waits, at the power of an idle device, for ranks that still observe."""
    device = KnownDevice()
    seen = []
    monkeypatch.setattr(device, "observe", lambda: seen.append("observe") or {})
    monkeypatch.setattr(device, "energy_j", lambda: seen.append("energy") or 1.0)
    monkeypatch.setattr(collectives, "wait_for_all", lambda ranks: seen.append("wait"))
    with Window(device, 2):
        seen.append("calls")
    assert seen == ["observe", "wait", "energy", "wait", "calls", "energy", "observe"]


@pytest.mark.parametrize("told", [(None, 1.0), (1.0, None), (9.0, 1.0)])
def test_energy_that_a_counter_does_not_tell_is_none(monkeypatch, told):
    """A counter that began anew tells less than before."""
    device = KnownDevice()
    answers = iter(told)
    monkeypatch.setattr(device, "energy_j", lambda: next(answers))
    with Window(device, 1) as window:
        pass
    assert window.energy_j is None


@pytest.mark.parametrize("protocol", [samples.protocol(), samples.protocol(synchronize_after=True)])
def test_a_launch_that_is_waited_for_is_timed_to_the_truth_and_passes(monkeypatch, protocol):
    device, launch, found = measured(monkeypatch, protocol)
    assert launch["timed"]["span_s"] == pytest.approx(device.busy_s(3, 7), rel=checks.RESIDUAL)
    assert launch["untimed_s"] == [pytest.approx(CALL_NS / 1e9, rel=0.01)] * 3
    for name in ("synchronised", "synchronisation_control", "device_clock", "timed_calls"):
        assert found[name]["passed"] is True, found[name]


def test_a_call_without_synchronisation_is_caught_and_refused(monkeypatch):
    """The calls come back at once and the protocol does not wait at its end: the clock stops 0.2 s too early."""
    device, launch, found = measured(monkeypatch, samples.protocol(), waits=False)
    assert launch["timed"]["span_s"] < 0.001 < 0.2 == pytest.approx(device.busy_s(3, 7))
    assert (found["synchronised"]["passed"], found["synchronised"]["act"]) == (False, checks.REFUSE)
    assert found["synchronised"]["found"] == pytest.approx(5 * CALL_NS / 1e9, rel=0.01)
    assert found["device_clock"]["passed"] is False


def test_the_gpu_protocol_s_own_synchronisation_saves_the_same_calls(monkeypatch):
    device, launch, found = measured(monkeypatch, samples.protocol(synchronize_after=True), waits=False)
    assert launch["timed"]["span_s"] == pytest.approx(device.busy_s(3, 7), rel=checks.RESIDUAL)
    assert found["synchronised"]["passed"] is True


def test_a_synchronisation_that_does_not_wait_is_caught_by_the_control(monkeypatch):
    """It would let every unsynchronised call pass: what is left when the clock stops reads as nothing."""
    broken = KnownDevice(host_ns=lambda: 500, waits=False)
    _, _, found = measured(monkeypatch, samples.protocol(), waits=False, device=broken)
    assert found["synchronised"]["passed"] is True
    assert found["synchronisation_control"]["passed"] is False


def test_nothing_is_told_while_calls_are_timed(monkeypatch):
    events = []

    class Watched(Window):
        def __enter__(self):
            events.append("window opens")
            return super().__enter__()

        def __exit__(self, *ending):
            super().__exit__(*ending)
            events.append("window closed")

    monkeypatch.setattr(latency, "Window", Watched)
    measured(monkeypatch, samples.protocol(), task=RecordedTask(events))
    around = ["untimed calls: 3", "timed calls: 5", "window opens", "window closed", "timed"]
    assert events == [*around, *["instrumented calls"] * 3, "checks of tokens and clocks"]


def test_last_words_go_to_the_parent_s_folder_masked_and_cut(tmp_path):
    worker._tell(str(tmp_path), deaths.Death(3, 6, "HF_TOKEN=planted1 was refused. " + "x" * 9000, False, 1.0))
    (told,) = deaths.read(str(tmp_path))
    assert (told.rank, "planted1" in told.message, len(told.message)) == (3, False, worker.MESSAGE_CHARACTERS + 1)


@pytest.mark.parametrize("echo", [False, True])
def test_on_another_host_a_cause_is_told_and_an_echo_waits_for_the_cause(tmp_path, capsys, echo):
    worker._tell(str(tmp_path / "none"), deaths.Death(3, 6, "shapes differ.", echo, 1.0))
    out = capsys.readouterr().out
    assert out.startswith(worker.ERROR) is not echo
    assert ("shapes differ. This was on " in out) is not echo
