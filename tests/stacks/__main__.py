"""``python -m tests.stacks STACK``: build the exact stacks, less the chip, or say where they are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runner.contract.errors import KitError, Unreachable
from tests.stacks import build


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        for name in options.stacks or build.names():
            if options.compile:
                print(f"written: {build.compile_requirements(name)}")
                continue
            try:
                print(build.make(name, lambda text: print(text, file=sys.stderr, flush=True)), flush=True)
            except Unreachable as problem:
                # nobody asked for this very stack, and what it is made of may be in reach of others alone
                if options.stacks or not build.commits(name):
                    raise
                print(problem, file=sys.stderr, flush=True)
    except KitError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m tests.stacks",
        description="Build the environment of each stack that can be built and print its folder; one that is there is only named."
        f" {build.OVERRIDE} names a folder or source distribution of the vendor's DeepSpeed, in place of the public one.",
    )
    parser.add_argument(
        "stacks", nargs="*", metavar="STACK", help="a stack of versions.lock (default: all that can be built)"
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile requirements-STACK.txt again, with uv; needs the network"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
