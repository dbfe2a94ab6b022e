"""Quotas, limits and throttling of control groups, of both versions, on trees that each test lays out."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Tuple

import pytest

from runner.bench.facts import cgroups, host

Tree = Callable[..., Tuple[str, str]]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a function that lays files out below a root, and the line of /proc/self/cgroup; it returns (root, proc)."""

    def lay(lines: str, **contents: str) -> tuple[str, str]:
        proc = tmp_path / "proc" / "self"
        proc.mkdir(parents=True, exist_ok=True)
        (proc / "cgroup").write_text(lines)
        for name, text in contents.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path / "cgroup"), str(tmp_path / "proc")

    return lay


V2, NESTED = "0::/\n", "0::/slurm/job_7/step_0\n"
V1 = "9:cpu,cpuacct:/docker/0a1b\n8:memory:/docker/0a1b\n0::/\n"


@pytest.mark.parametrize(
    "lines, files, cores",
    [
        (V2, {"cpu.max": "150000 100000\n"}, 1.5),
        (V2, {"cpu.max": "max 100000\n"}, None),
        (V2, {}, None),
        (NESTED, {"slurm/job_7/step_0/cpu.max": "max 100000\n", "slurm/job_7/cpu.max": "400000 100000\n"}, 4.0),
        (NESTED, {"slurm/job_7/step_0/cpu.max": "200000 100000\n", "slurm/cpu.max": "800000 100000\n"}, 2.0),
        (NESTED, {"cpu.max": "300000 100000\n"}, 3.0),
        ("0::/../other\n", {"cpu.max": "300000 100000\n", "other/cpu.max": "100000 100000\n"}, 3.0),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 2.0),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"cpu/docker/0a1b/cpu.cfs_quota_us": "50000", "cpu/docker/0a1b/cpu.cfs_period_us": "100000"}, 0.5),
        (V1, {"cpu/docker/cpu.cfs_quota_us": "50000", "cpu/docker/cpu.cfs_period_us": "25000"}, 2.0),
        (V1, {"cpu/elsewhere/cpu.cfs_quota_us": "50000", "cpu/elsewhere/cpu.cfs_period_us": "25000"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "nonsense", "cpu/cpu.cfs_period_us": "0"}, None),
        ("", {"cpu.max": "100000 100000\n"}, 1.0),
        ("nonsense\n\n:\n", {"cpu.max": "100000 100000\n"}, 1.0),
    ],
)
def test_the_least_quota_on_the_way_up_counts(
    tree: Tree, lines: str, files: dict[str, str], cores: float | None
) -> None:
    assert cgroups.cores(*tree(lines, **files)) == cores


@pytest.mark.parametrize(
    "lines, files, free",
    [
        (V2, {"memory.max": "1000\n", "memory.current": "400\n"}, 600),
        (V2, {"memory.max": "1000", "memory.current": "400", "memory.stat": "anon 300\ninactive_file 50\n"}, 650),
        (V2, {"memory.max": "max\n", "memory.current": "400\n"}, None),
        (V2, {"memory.max": "100", "memory.current": "400"}, 0),
        (NESTED, {"slurm/memory.max": "1000", "slurm/memory.current": "100", "slurm/job_7/memory.max": "max"}, 900),
        (V1, {"memory/memory.limit_in_bytes": "1000", "memory/memory.usage_in_bytes": "400"}, 600),
        (V1, {"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "4"}, None),
        (
            V1,
            {
                "memory/docker/0a1b/memory.limit_in_bytes": "1000",
                "memory/docker/0a1b/memory.usage_in_bytes": "900",
                "memory/docker/0a1b/memory.stat": "inactive_file 1\ntotal_inactive_file 200\n",
            },
            300,
        ),
    ],
)
def test_the_least_memory_on_the_way_up_counts(tree: Tree, lines: str, files: dict[str, str], free: int | None) -> None:
    assert cgroups.free_bytes(*tree(lines, **files)) == free


@pytest.mark.parametrize(
    "lines, files, periods",
    [
        (V2, {"cpu.stat": "nr_periods 4\nnr_throttled 3\n"}, 3),
        (V2, {"cpu.stat": "usage_usec 1\n"}, None),
        (NESTED, {"slurm/cpu.stat": "nr_throttled 3\n", "slurm/job_7/cpu.stat": "nr_throttled 4\n"}, 7),
        (V1, {"cpu/cpu.stat": "nr_periods 4\nnr_throttled 3\nthrottled_time 5\n"}, 3),
        (V1, {"cpu,cpuacct/docker/0a1b/cpu.stat": "nr_throttled 5\n"}, 5),
        ("", {}, None),
    ],
)
def test_every_group_s_throttling_is_counted(
    tree: Tree, lines: str, files: dict[str, str], periods: int | None
) -> None:
    root, proc = tree(lines, **files)
    assert cgroups.throttled_periods(root, proc) == periods
    assert host.noise_counters(proc, root).throttled_periods == periods


def test_one_folder_under_two_names_counts_once(tree: Tree, tmp_path: Path) -> None:
    root, proc = tree("3:cpuacct,cpu:/\n", **{"cpu,cpuacct/cpu.stat": "nr_throttled 3\n"})
    for name in ("cpu", "cpuacct,cpu"):
        (tmp_path / "cgroup" / name).symlink_to("cpu,cpuacct")
    assert cgroups.throttled_periods(root, proc) == 3
