"""Sort requests by their stacks: ``python -m tools.by_stack LIST`` writes a list for each stack beside LIST, and prints the stacks.

The Makefile runs the requests of a stack with the Python of the stack. An empty LIST is no error: nothing is printed then.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runner.contract import path_lists
from runner.contract.errors import KitError
from runner.contract.request import read_request


def sort(listed_in: Path) -> list[str]:
    """Write the paths of each stack's requests into a file of the stack's name beside ``listed_in``; return the stacks in order.

    Raises ``InputError`` for a list or a request that cannot be read.
    """
    by_stack: dict[str, list[str]] = {}
    if listed_in.stat().st_size:
        for path in path_lists.read_paths(str(listed_in), path_lists.REQUESTS):
            by_stack.setdefault(read_request(path).stack.name, []).append(path)
    for stack, paths in by_stack.items():
        (listed_in.parent / f"of-{stack}").write_bytes(b"".join(os.fsencode(path) + b"\n" for path in paths))
    return list(by_stack)


def main(listed_in: str) -> int:
    """Print the stacks, one a line; return the exit code."""
    try:
        for stack in sort(Path(listed_in)):
            print(stack)
    except KitError as error:
        print(f"make: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
