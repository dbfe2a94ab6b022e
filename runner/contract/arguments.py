"""Read the values of flags for argparse, which puts the sentence of a value that it refuses behind the flag's name."""

from __future__ import annotations

import argparse

from runner.contract.text import printable

MOST_S = 366 * 24 * 3600  # a time that is longer is a mistake


def seconds(text: str) -> float:
    """Return a time in seconds: 0 or more, and at most a year. Raises ``ArgumentTypeError``."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{printable(text, 60)!r} is no number of seconds") from None
    # neither holds for nan, which is neither less nor more than anything: who waited so long would wait for ever
    if not 0 <= value <= MOST_S:
        raise argparse.ArgumentTypeError(f"{printable(text, 60)} is not between 0 and {MOST_S:,} seconds, a year")
    return value


def port(text: str) -> int:
    """Return the number of a TCP port. Raises ``ArgumentTypeError``."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{printable(text, 60)!r} is no port: give a number from 1 to 65535")
    return int(text)
