"""The verb ``completion``: print the script by which a shell completes verbs, flags and their values."""

from __future__ import annotations

import argparse
import importlib

import shtab

from runner.__main__ import VERBS
from runner.contract.arguments import verb_parser

SHELLS = ("bash", "zsh", "tcsh")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    described = verb_parser(
        "completion",
        description='Print the script by which a SHELL completes verbs and flags. For bash: `eval "$(bloomz-bench completion bash)"`'
        " in ~/.bashrc. For zsh: write the script to a file named _bloomz-bench in a folder of $fpath.",
    )
    described.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    return described


def main(arguments: list[str]) -> int:
    """Print the script of the shell that is named, and return 0."""
    options = parser().parse_args(arguments)
    print(shtab.complete(whole_command(), options.shell))
    return 0


def whole_command() -> argparse.ArgumentParser:
    """Return one parser of all verbs with their flags, as a shell completes them."""
    command = argparse.ArgumentParser(allow_abbrev=False, prog="bloomz-bench")
    command.add_argument("--version", action="store_true", help="print the version")
    verbs = command.add_subparsers(metavar="VERB")
    for name, verb in VERBS.items():
        described = importlib.import_module(verb.module).parser()
        verbs.add_parser(
            name, parents=[described], add_help=False, help=verb.summary, description=described.description
        )
    return command
