"""Print the version of a package that versions.lock pins in a stack: ``python -m tools.pinned STACK PACKAGE``.

The Makefile installs torch by this version, since torch stands in no requirements file of the CPU's stack.
"""

from __future__ import annotations

import sys

from runner.contract.errors import InputError, KitError
from runner.host.readers import lockfile


def version(stack: str, package: str) -> str:
    """Return the pinned version. Raises ``InputError`` where the lock has no such pin, ``UnresolvedPin`` where it is open."""
    stacks = lockfile.read().stacks
    if stack not in stacks or package not in stacks[stack].packages:
        raise InputError(f"versions.lock pins no {package} in a stack {stack}.")
    return lockfile.need(stacks[stack].packages[package].version, f"{package} of the stack {stack}")


def main(stack: str, package: str) -> int:
    """Print the version; return the exit code."""
    try:
        print(version(stack, package))
    except KitError as error:
        print(f"make: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
