"""The common parts of all verbs' command lines: the parser, the flag ``--json``, and the values of flags.

argparse puts the sentence of a value that a function here refuses behind the flag's name.
"""

from __future__ import annotations

import argparse
import os
import sys

from runner.contract.text import printable

EXIT_CODES = "Exit codes: see `python -m runner --help`."
# A longer time is a mistake.
MOST_S = 366 * 24 * 3600


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


def program() -> str:
    """Return how this program was started: ``bloomz-bench`` where it is installed, else ``python -m runner``."""
    return "bloomz-bench" if os.path.basename(sys.argv[0]) == "bloomz-bench" else "python -m runner"


def verb_parser(verb: str, description: str, epilog: str = EXIT_CODES) -> argparse.ArgumentParser:
    """Return the parser of a verb without any flags. A flag is never abbreviated: a script must mean the same next year."""
    return argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{program()} {verb}",
        description=description,
        epilog=epilog,
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the flag ``--json`` to a verb's parser. ``what`` names what the verb prints. Errors become JSON by the same flag."""
    parser.add_argument(
        "--json",
        action="store_true",
        help=f"print {what} as JSON, for programs; an error becomes JSON on standard error",
    )


def asks_for_json(arguments: list[str]) -> bool:
    """Return whether a command line asks for JSON, even where the rest of the command line is wrong."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]
