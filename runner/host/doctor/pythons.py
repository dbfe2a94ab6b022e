"""The Pythons and the compiler that `make bench` makes the environments of stacks with on this host, outside of containers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from runner.host.doctor.findings import Answer, Look, not_ready, ready
from runner.host.doctor.looking import ANSWER_S
from runner.host.doctor.needs import Need
from runner.host.readers.lockfile import PinnedStack
from runner.host.stacks import prerequisites
from runner.host.stacks.prerequisites import Lacking


def looks(needs: Sequence[Need]) -> list[Look]:
    """Return a look for each Python that the stacks of the cases run under, and for the compiler of those that compile.

    The stack of the CPU runs under this Python.
    """
    stacks = {need.case.stack: need.stack for need in needs if need.stack.runs_in_image and need.stack.runs_on_host}
    wanted: dict[str, list[str]] = {}
    for name, stack in stacks.items():
        wanted.setdefault(stack.python, []).append(name)
    made = [Look("host", f"Python {version}", partial(of_version, version, names)) for version, names in wanted.items()]
    compiling = {name: stack for name, stack in stacks.items() if stack.engine == "compiled"}
    return [*made, *(Look("host", f"compiler for {name}", partial(compiler, row)) for name, row in compiling.items())]


def of_version(version: str, stacks: Sequence[str]) -> Answer:
    """Say which Python of a version such as 3.12 the environments of the stacks would be made with."""
    found = prerequisites.find_python(version, os.environ, ANSWER_S)
    if isinstance(found, Lacking):
        return not_ready(*found)
    return ready(f"{found} is there for {', '.join(stacks)}.")


def compiler(stack: PinnedStack) -> Answer:
    """Say whether torch finds a C compiler for a stack that compiles."""
    lacking = prerequisites.lacking_compiler(stack, os.environ)
    return ready("A C compiler is there for torch.compile.") if lacking is None else not_ready(*lacking)
