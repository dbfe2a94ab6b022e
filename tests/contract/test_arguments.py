"""What flags take for times and ports."""

from __future__ import annotations

import argparse

import pytest

from runner.contract import arguments


@pytest.mark.parametrize("text, value", [("0", 0.0), ("1.5", 1.5), (str(arguments.MOST_S), float(arguments.MOST_S))])
def test_a_time_is_seconds(text: str, value: float) -> None:
    assert arguments.seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-inf", "-1", "1e300", str(arguments.MOST_S + 1)])
def test_what_is_no_time_to_wait_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="seconds"):
        arguments.seconds(text)


@pytest.mark.parametrize("text", ["0", "-1", "65536", "1e3", "\u0662\u0662", "ssh", "0000022222222", "9" * 5000])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no port: give a number from 1 to 65535"):
        arguments.port(text)


def test_a_port_is_a_number() -> None:
    assert (arguments.port("1"), arguments.port("65535")) == (1, 65535)
