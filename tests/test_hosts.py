"""A launch over two hosts by the real software; a stand-in for pdsh and ssh starts both here, the second as apart as it can be.

Where the system allows it the second host has a name of its own, and neither the folder of the launch nor that of the results.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import remote_shell
from tests.support.house import House, output_ids
from tests.support.plain_transformers import plain_tokens

pytestmark = [pytest.mark.torch, pytest.mark.slow]
FIRST, SECOND = "127.0.0.2", "127.0.0.3"


def _apart() -> bool:
    try:
        command = ["unshare", "--map-root-user", "--mount", "--uts", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


APART = _apart()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(
        0, {min(cores)}
    )  # a host has one core: two ranks with the threads of all cores wait for each other
    yield _house(tmp_path, cores)
    os.sched_setaffinity(0, cores)


def _house(tmp_path: Path, cores: set[int]) -> House:
    house = House(tmp_path)
    programs = tmp_path / "programs"
    for path in (programs, house.results):
        path.mkdir()
    for name in ("pdsh", "ssh"):
        (programs / name).write_text(f"#!{sys.executable}\n{Path(remote_shell.__file__).read_text()}")
        (programs / name).chmod(0o755)
    house.environment.update(
        PATH=f"{programs}:{house.environment['PATH']}",
        GLOO_SOCKET_IFNAME="lo",
        CORES=",".join(map(str, cores)),
        APART="yes" if APART else "no",
        HIDDEN=f"{tmp_path / 'tmp'}:{house.results}",
    )
    (tmp_path / "hostfile").write_text(f"# two hosts\n{FIRST} slots=1\n{SECOND} slots=1\n")
    return house


def test_two_hosts_give_the_tokens_of_one(house: House) -> None:
    (path,) = house.requests("cpu-2")
    (result,) = house.bench(path, "--hostfile", house.folder / "hostfile")
    assert output_ids(result) == plain_tokens(29)
    (launch,) = result["launches"]
    command = launch["command"]
    start = command.index("--hostfile")
    assert command[start + 2 : start + 5] == ["--master_addr", FIRST, "--no_local_rank"]
    assert "PACKED" in command
    assert [rank["rank"] for rank in launch["ranks"]] == [0, 1]
    first, second = (rank["variables"] for rank in launch["ranks"])
    assert (
        first["GLOO_SOCKET_IFNAME"] == second["GLOO_SOCKET_IFNAME"] == "lo"
    )  # which only a message can have brought there
    assert first["HF_HUB_OFFLINE"] == second["HF_HUB_OFFLINE"] == "1"
    if APART:
        assert [rank["host"] == SECOND for rank in launch["ranks"]] == [False, True]
    assert house.left_behind() == []


@pytest.mark.skipif(not APART, reason="this system gives a user no mounts of his own")
def test_what_only_the_other_host_lacks_is_told_as_if_it_were_here(house: House) -> None:
    rows = house.folder / "tmp" / "rows.jsonl"
    rows.write_text('{"text": "a machine"}\n')
    (path,) = house.requests("cpu-dataset", "--devices", 2, "--dataset-file", rows, "--column", "text")
    done = house.runner(
        *("bench", path, "--results", house.results, "--dataset-file", rows, "--hostfile", house.folder / "hostfile")
    )
    assert done.returncode == 3, done.stderr
    assert f"{rows} cannot be read: No such file or directory. Check --dataset-file." in done.stderr
    assert f"This was on {SECOND}." in done.stderr
    assert [path for path in house.results.rglob("*") if path.is_file()] == []
