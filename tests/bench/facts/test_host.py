from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.bench.facts import cgroups, host, small_files


def test_a_source_that_is_absent_is_none(tmp_path: Path) -> None:
    absent = str(tmp_path / "none")
    assert host.governor(absent) is None
    assert host.memory_bytes("MemTotal", absent) is None


def test_memory_is_read_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       24689424 kB\nMemAvailable:    1000 kB\n")
    assert host.memory_bytes("MemAvailable", str(tmp_path / "meminfo")) == 1_024_000


def test_the_least_of_all_limits_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "memory_bytes", lambda key: 1000)
    monkeypatch.setattr(cgroups, "free_bytes", lambda: 600)
    assert host.available_memory_bytes() == 600


def test_this_host_has_what_every_linux_has() -> None:
    assert host.usable_cores() >= 1
    assert host.memory_bytes("MemTotal") > 2**28
    assert host.peak_rss_bytes() > 2**20
    assert host.load_average() >= 0


def test_noise_is_what_counters_differ_by(tmp_path: Path) -> None:
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "cpu").write_text(
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 total=9\n"
    )
    (tmp_path / "vmstat").write_text("pswpin 5\npswpout 7\noom_kill 2\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 1\nnr_periods 4\nnr_throttled 3\n")
    before = host.noise_counters(str(tmp_path), str(tmp_path))
    assert before == host.NoiseCounters(cpu_stalled_us=1500000, throttled_periods=3, swapped_pages=7, oom_kills=2)
    after = host.NoiseCounters(cpu_stalled_us=2500000, throttled_periods=5, swapped_pages=7, oom_kills=None)
    noise = host.noise_between(before, after, elapsed_s=4.0)
    assert noise == {"cpu_pressure": 0.25, "throttled_periods": 2, "swapped_pages": 0, "oom_kills": None}


def test_counters_that_a_host_has_not_are_none(tmp_path: Path) -> None:
    assert set(host.noise_counters(str(tmp_path), str(tmp_path))) == {None}


def test_threads_that_want_a_core_are_counted_without_the_one_that_asks(tmp_path: Path) -> None:
    loadavg = tmp_path / "loadavg"
    loadavg.write_text("0.10 0.20 0.30 4/412 99\n")
    assert host.runnable_threads(str(loadavg), interval_s=0) == 3
    for text in ("", "0.1 0.2", "0.1 0.2 0.3 x/1 9"):
        loadavg.write_text(text)
        assert host.runnable_threads(str(loadavg), interval_s=0) is None


def test_nodes_are_those_of_the_cores(tmp_path: Path) -> None:
    for node, cores in ((0, "0-3,8"), (1, "4-7")):
        (tmp_path / f"node{node}").mkdir()
        (tmp_path / f"node{node}" / "cpulist").write_text(cores + "\n")
    (tmp_path / "node2").mkdir()
    assert host.numa_nodes({8}, str(tmp_path)) == [0]
    assert host.numa_nodes({3, 5}, str(tmp_path)) == [0, 1]
    assert host.numa_nodes({99}, str(tmp_path)) is None
    assert host.numa_nodes({0}, str(tmp_path / "none")) is None


def test_a_page_that_came_from_disk_is_counted() -> None:
    assert host.major_faults() >= 0


@pytest.mark.parametrize("quota, threads", [(None, 8), (16.0, 8), (8.0, 8), (2.0, 2), (1.5, 1), (0.5, 1)])
def test_threads_follow_cores_and_quota(monkeypatch: pytest.MonkeyPatch, quota: float | None, threads: int) -> None:
    monkeypatch.setattr(host, "usable_cores", lambda: 8)
    monkeypatch.setattr(cgroups, "cores", lambda: quota)
    assert host.threads() == threads


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_regular_file_tells_nothing_and_is_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "fact"
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    assert small_files.read_text(str(path)) is None
