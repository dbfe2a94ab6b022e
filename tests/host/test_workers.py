from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.host import workers
from runner.host.workers import Workers
from tests.support.patience import HANG_S


def doubled(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def killed_at(number: int) -> int:
    """End the process of the pool that comes to a number; the process of the test comes through."""
    if number == 50 and os.getpid() != int(os.environ["BLOOMZ_TEST_PARENT"]):
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_values_come_in_the_order_of_the_items_from_other_processes() -> None:
    with Workers(2) as pool:
        found = list(pool.map(doubled, range(100)))
    assert [value for value, _ in found] == list(range(0, 200, 2))
    assert os.getpid() not in {process for _, process in found}


@pytest.mark.parametrize("processes, items", [(1, 100), (2, 3)])
def test_little_work_and_one_core_begin_no_process(processes: int, items: int) -> None:
    with Workers(processes) as pool:
        assert {process for _, process in pool.map(doubled, range(items))} == {os.getpid()}


def test_what_a_killed_process_did_not_do_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOOMZ_TEST_PARENT", str(os.getpid()))
    with Workers(2) as pool:
        assert list(pool.map(killed_at, range(100))) == list(range(100))
        assert list(pool.map(killed_at, range(100))) == list(range(100))


def test_where_no_process_can_begin_the_work_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(processes: int) -> None:
        raise OSError("no semaphores")

    monkeypatch.setattr(workers, "_pool", refused)
    with Workers(2) as pool:
        assert {process for _, process in pool.map(doubled, range(100))} == {os.getpid()}


def test_an_error_of_the_work_is_the_callers() -> None:
    with Workers(2) as pool, pytest.raises(TypeError):
        list(pool.map(len, range(100)))  # type: ignore[arg-type]


def test_processes_end_with_a_first_process_that_was_killed() -> None:
    program = (
        "import time\nfrom runner.host.workers import Workers\nfrom tests.host.test_workers import doubled\n"
        "if __name__ == '__main__':\n"
        "    with Workers(2) as pool:\n"
        "        print(*{process for _, process in pool.map(doubled, range(100))}, flush=True)\n"
        "        time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        processes = [int(word) for word in first.stdout.readline().split()]
        first.kill()
    until_s = time.monotonic() + HANG_S
    while any(map(_runs, processes)) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert processes and not any(map(_runs, processes))


# Ends as the command line does; a process of the pool takes its time before it comes to what the pool tells it.
SLOW_TO_BEGIN = """
import os, sys, time
from runner.contract import signals
from runner.host.workers import Workers
from tests.host.test_workers import doubled

if __name__ == "__main__":
    try:
        with signals.as_interrupt(), Workers(2) as pool:
            print(*pool.map(doubled, range(100)))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
else:
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(0.5)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_processes_begin_ends_all_and_only_the_first_one_speaks(
    tmp_path: Path, number: signal.Signals
) -> None:
    program = tmp_path / "slow_to_begin.py"
    program.write_text(SLOW_TO_BEGIN)
    first = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    with first:
        assert first.stdout is not None
        processes = [int(first.stdout.readline()) for _ in range(2)]
        # a terminal sends Ctrl-C to all processes, `kill` its signal to one
        (os.killpg if number == signal.SIGINT else os.kill)(first.pid, number)
        _, told = first.communicate(timeout=HANG_S)
    assert (told, first.returncode) == ("stopped\n", 130)
    assert not any(map(_runs, processes))


def test_an_interruption_waits_until_the_processes_have_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    real = workers._pool
    begun = []

    def interrupted(processes: int) -> workers.ProcessPoolExecutor:
        signal.raise_signal(signal.SIGINT)
        begun.append(real(processes))
        return begun[0]

    monkeypatch.setattr(workers, "_pool", interrupted)
    with pytest.raises(KeyboardInterrupt), Workers(2) as pool:
        pool.map(doubled, range(100))
    assert begun


def _runs(process: int) -> bool:
    """Return whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
