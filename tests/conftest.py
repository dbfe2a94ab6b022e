"""Give the tests the same signals, locale, terminal, variables, folder and umask wherever somebody starts them.

Tests of exact stacks, of images and of a real cluster keep the variables of who runs them, which name indexes, proxies and the cluster.
"""

from __future__ import annotations

import contextlib
import locale
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# All other variables may change what a test sees: COLUMNS, LC_ALL, HTTPS_PROXY, KUBECONFIG, OMP_NUM_THREADS, MAKEFLAGS, TZ, ...
KEPT = {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH", "PYENV_ROOT", "CI", "FUZZ_EXAMPLES"}
KEPT |= {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED"}
# name clones of tools that are on no index, which then read exports (tests/host/exports)
KEPT |= {"BLOOMZ_BENCH_LLMD", "BLOOMZ_BENCH_TEST_INFRA"}
# those of the test tools, and of processors whose own name for themselves misleads a library
KEPT_PREFIXES = ("PYTEST_", "HYPOTHESIS_", "COVERAGE_", "OPENBLAS_", "NVPL_")
LONGEST = "test_walk.py"
OUTSIDE = ("stacks", "images", "cluster")

# Examples are the same each time, and may take as long as they do on a loaded machine.
settings.register_profile("kit", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kit")


def pytest_configure(config: pytest.Config) -> None:
    _take_own_signals()
    os.umask(0o022)
    os.chdir(ROOT)
    if config.getoption("markexpr") not in OUTSIDE:
        _take_own_variables()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the file that takes longest: a worker takes a file at a time, and the others have work until that file ends."""
    items.sort(key=lambda item: item.path.name != LONGEST)


def _take_own_signals() -> None:
    """Undo what ``nohup`` and a background job of a script ask for: a child would inherit that a signal is ignored.

    A handler, unlike SIG_IGN, is not handed on to children; this process itself goes on ignoring SIGHUP.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)


def _take_own_variables() -> None:
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(KEPT_PREFIXES):
            del os.environ[name]
    # Threads that spin while they wait keep each other from the cores of a loaded machine: with four busy loops beside it, two
    # threads of torch took 13 times as long as one for a product of matrices.
    os.environ.update(LANG="C.UTF-8", OMP_WAIT_POLICY="PASSIVE")
    # a system may lack this locale, as those of musl do, where all locales are UTF-8
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
    time.tzset()
