"""Give each test of the stand-in a Python that has torch: this one, or that of a stack made by ``make test-stacks``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.bench import engines
from runner.contract import strictjson
from runner.contract.errors import Unreachable
from runner.contract.records import JsonObject
from tests.emulation import drive, runs
from tests.stacks import build

HERE = "here"

# From a stack's name, or ``here``, to its Python.
PythonOf = Callable[[str], Path]
# From a stack's name, a script of this folder and its arguments to what the script printed, read as JSON.
Outcome = Callable[..., Any]
# From a stack's name and arguments of a request to the outcome of the runner.
Ran = Callable[..., runs.Outcome]
# From a script of this folder, a stack's name and arguments of a request to what rank 0 wrote.
Loaded = Callable[..., JsonObject]


def stacks(*names: str) -> pytest.MarkDecorator:
    """Parametrize a test by stacks, each with its mark."""
    return pytest.mark.parametrize("stack", [pytest.param(name, marks=pytest.mark.stacks(name)) for name in names])


@pytest.fixture(scope="session")
def python() -> PythonOf:
    """Return a function from a stack's name, or ``here``, to the Python of it."""

    def of(name: str) -> Path:
        if name == HERE:
            return Path(sys.executable)
        try:
            return build.python(build.make(name))
        except Unreachable as problem:
            # what a stack takes from a commit may be out of reach of who runs the tests
            if not build.commits(name):
                raise
            pytest.skip(str(problem))

    return of


@pytest.fixture(scope="session")
def outcome(python: PythonOf) -> Outcome:
    """Return a function that runs a script of this folder once for each set of arguments, and remembers what it printed."""
    known = {}

    def of(name: str, script: str, *arguments: object, ranks: tuple[str, int] | None = None) -> Any:
        key = (name, script, *arguments, ranks)
        if key not in known:
            known[key] = drive.run(python(name), script, arguments, ranks)
        return known[key]

    return of


@pytest.fixture(scope="session")
def ran(python: PythonOf) -> Ran:
    """Return a function that runs a request once for each set of arguments: exit status, result, errors, rank 0's events."""
    known = {}

    def of(name: str, *arguments: Any, **options: Any) -> runs.Outcome:
        key = (name, *arguments, *sorted(options.items()))
        if key not in known:
            known[key] = runs.run(python(name), name, *arguments, **options)
        return known[key]

    return of


@pytest.fixture(scope="session")
def loaded(python: PythonOf, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return a function that runs a script of this folder over a request of a stack, started by the launcher that a worker gets.

    The script's arguments are the request's file and the folder for ``rank-0.json``, which is returned.
    """

    def of(script: str, name: str, output_tokens: int = 100, **options: Any) -> JsonObject:
        interpreter = python(name)
        asked = runs.request(name, interpreter.parents[1], **options)
        asked = replace(asked, workload=replace(asked.workload, output_tokens=output_tokens))
        path = tmp_path_factory.mktemp("request") / "request.json"
        path.write_text(strictjson.pretty(asked.to_json()))
        launcher = engines.load(asked.engine).launcher(asked.stack, asked.devices)
        return drive.run(interpreter, script, [path], (launcher, asked.devices))[0]

    return of
