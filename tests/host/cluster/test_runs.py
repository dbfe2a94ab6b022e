"""A run as it is known before it is followed."""

from __future__ import annotations

from pathlib import Path

from runner.host.cluster.runs import FollowedRun
from tests.support.clusterplay import bench_job


def test_the_log_of_an_init_container_can_hold_no_result(tmp_path: Path) -> None:
    manifest = bench_job("bench-a")
    assert [
        container["name"]
        for kind in ("initContainers", "containers")
        for container in manifest["spec"]["template"]["spec"][kind]
    ] == ["wait-for-weights", "bench"]
    for name in ("1234.wait-for-weights.log", "1234.bench.log", "0123.bench.log", "1234.collect.log", "job.json"):
        (tmp_path / name).write_text("")
    (tmp_path / "1235.bench.log").mkdir()
    run = FollowedRun("bench-a", "Job", manifest, tmp_path, {})
    assert [path.name for path in run.log_files] == ["0123.bench.log", "1234.bench.log", "1234.collect.log"]
