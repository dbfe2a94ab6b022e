"""The flags of the verbs with a cluster."""

from __future__ import annotations

import argparse
import dataclasses

from runner.host.cluster import options
from runner.host.cluster.client import Timeouts
from runner.host.cluster.follower import FollowOptions
from runner.host.diagnosis import stages


def test_every_timeout_and_every_wait_has_its_flag_and_its_help() -> None:
    assert {f"{name}_s" for name in options._TIMEOUT_HELP} == {field.name for field in dataclasses.fields(Timeouts)}
    assert set(stages.WAITS_FOR) == set(stages.WAITS_S)


def test_without_flags_runs_are_followed_as_the_defaults_say() -> None:
    parser = argparse.ArgumentParser()
    options.add_flags(parser)
    options.add_follow_flags(parser)
    assert options.follow_options(parser.parse_args([])) == FollowOptions()
    changed = options.follow_options(parser.parse_args(["--queue-s", "5", "--image-s", "0", "--detach-on-signal"]))
    assert (changed.waits_s["queue"], changed.waits_s["image"], changed.detach_on_signal) == (5.0, None, True)
