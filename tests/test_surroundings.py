"""The tests see the same surroundings wherever somebody starts them; tests/conftest.py makes these."""

from __future__ import annotations

import locale
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.patience import HANG_S

ROOT = Path(__file__).parents[1]
HOSTILE = {
    "COLUMNS": "20",
    "LC_ALL": "C",
    "KUBECONFIG": "/no/a:b",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "TZ": "Asia/Kathmandu",
}
HOSTILE |= {
    "WORLD_SIZE": "2",
    "OMP_NUM_THREADS": "3",
    "MAKEFLAGS": "-- ARGS=x",
    "HF_HOME": "/no",
    "PIP_INDEX_URL": "http://u:p@no",
}
CHILD = "import signal; print([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)])"


def test_signals_variables_locale_and_umask_are_the_tests_own() -> None:
    assert not set(os.environ) & {*HOSTILE}
    assert locale.getpreferredencoding(False).lower() == "utf-8"
    assert Path.cwd() == ROOT
    umask = os.umask(0o022)
    assert umask == 0o022
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, encoding="utf-8", check=True).stdout
    assert said.count("SIG_IGN") == 0 and said.count("SIG_DFL") == 2


def test_they_are_so_in_the_background_of_a_script_with_foreign_variables(tmp_path: Path) -> None:
    tests = f"{Path(__file__).relative_to(ROOT)}::{test_signals_variables_locale_and_umask_are_the_tests_own.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests]
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT HUP TERM; umask 077; exec "$@"', "sh", *command],
        env={**os.environ, **HOSTILE},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_S,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
