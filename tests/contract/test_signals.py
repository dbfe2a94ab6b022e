from __future__ import annotations

import os
import signal
import threading

import pytest

from runner.contract import signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_as_ctrl_c_does_and_is_then_as_before(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), signals.as_interrupt():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.as_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_must_not_be_cut_off_is_done_before_a_signal_acts(number: signal.Signals) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), signals.as_interrupt():
        with signals.held_back():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            done.append("all")
        done.append("too late")
    assert done == ["all"]


def test_a_block_that_stops_anyway_drops_the_signals_that_came() -> None:
    with signals.held_back() as came:
        os.kill(os.getpid(), signal.SIGINT)
        came.clear()
    with pytest.raises(RuntimeError), signals.held_back():
        os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError


def test_holding_back_changes_no_signal_that_is_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.held_back():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_changes() -> None:
    """Python lets the main thread alone change what a signal does."""
    before = [signal.getsignal(number) for number in signals.ENDING]
    seen: list[list[object]] = []

    def work() -> None:
        with signals.as_interrupt(), signals.held_back(), signals.handled(lambda number, frame: None):
            seen.append([signal.getsignal(number) for number in signals.ENDING])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
