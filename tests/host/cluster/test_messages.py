"""The messages that wait for the loop that follows runs."""

from __future__ import annotations

import threading

from runner.host.cluster.messages import Changed, Failed, Inbox, LogLine, Signalled


def filled(*messages: Changed | LogLine | Failed | Signalled) -> Inbox:
    inbox = Inbox()
    for message in messages:
        inbox.put(message)
    return inbox


def test_messages_are_taken_in_order_and_an_empty_inbox_is_not_waited_for_longer_than_asked() -> None:
    inbox = filled(Changed("a"), LogLine("a", "text"))
    assert list(inbox.take(wait_s=60)) == [Changed("a"), LogLine("a", "text")]
    assert list(inbox.take(wait_s=0.01)) == list(inbox.take_waiting()) == []


def test_the_first_message_is_waited_for() -> None:
    inbox = Inbox()
    threading.Timer(0.05, lambda: inbox.put(Changed("a"))).start()
    assert list(inbox.take(wait_s=60)) == [Changed("a")]


def test_a_signal_is_found_behind_other_messages_and_what_comes_after_it_stays() -> None:
    inbox = filled(Changed("a"), Signalled(2), Signalled(15))
    assert inbox.has_signal()
    assert list(inbox.take_waiting()) == [Signalled(15)]
    assert not filled(Changed("a")).has_signal()


def test_a_second_signal_is_waited_for_and_other_messages_are_not_it() -> None:
    assert filled(Changed("a"), Failed(OSError()), Signalled(2)).wait_for_signal(60)
    assert not filled(Changed("a")).wait_for_signal(0.05)
