"""Give each test of the stand-in a Python that has torch: this one, or that of a stack made by ``make test-stacks``."""

import sys
from pathlib import Path

import pytest

from tests.emulation import drive
from tests.stacks import build

HERE = "here"


def _asked_for(config):
    return "stacks" in (config.getoption("-m") or "")


def pytest_collection_modifyitems(config, items):
    """Leave out the tests of stacks that are not on this machine, unless they are asked for with ``-m stacks``."""
    if _asked_for(config):
        return
    left_out = [
        item for item in items if (mark := item.get_closest_marker("stacks")) and build.find(mark.args[0]) is None
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
        config.stash[_LEFT_OUT] = len(left_out)


_LEFT_OUT = pytest.StashKey[int]()


def pytest_report_collectionfinish(config):
    if _LEFT_OUT in config.stash:
        return f"stacks: {config.stash[_LEFT_OUT]} tests need environments that are not built here; `make test-stacks` builds them"
    return []


def stacks(*names):
    """Parametrize a test by stacks, each with its mark."""
    return pytest.mark.parametrize("stack", [pytest.param(name, marks=pytest.mark.stacks(name)) for name in names])


@pytest.fixture(scope="session")
def python():
    """Return a function from a stack's name, or ``here``, to the Python of it."""

    def of(name):
        return Path(sys.executable) if name == HERE else build.python(build.find(name) or build.make(name))

    return of


@pytest.fixture(scope="session")
def outcome(python):
    """Return a function that runs a script of this folder once for each set of arguments, and remembers what it printed."""
    known = {}

    def of(name, script, *arguments, ranks=None):
        key = (name, script, *arguments, ranks)
        if key not in known:
            known[key] = drive.run(python(name), script, arguments, ranks)
        return known[key]

    return of
