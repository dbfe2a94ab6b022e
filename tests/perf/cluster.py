"""Measure what it takes to follow many runs: requests to the API server, and memory."""

from __future__ import annotations

import gc
import tempfile
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from runner.contract.records import JsonObject
from runner.host.cluster import logs
from runner.host.cluster.client import Cluster
from runner.host.cluster.follower import Follower, FollowOptions
from runner.host.cluster.runs import FollowedRun
from runner.host.objects.submitted import to_submit
from tests.support import apiserver, clusterplay
from tests.support.clusterplay import Play, Script


class Load(TypedDict):
    """What following ``runs`` runs took.

    ``requests`` counts by "verb resource". ``peak_bytes`` is what the client and the scripted server allocate in Python beyond what
    they hold before the first run: an upper bound of the client's own. ``served_bytes`` is the content of all answers.
    """

    runs: int
    results: int
    distinct_results: int
    failed: int
    requests: dict[str, int]
    peak_bytes: int
    served_bytes: int


def follow(count: int, together: int = 20) -> Load:
    """Follow ``count`` runs to their results, ``together`` of which run at a time."""
    with tempfile.TemporaryDirectory() as folder:
        scripted = apiserver.Cluster(rules=clusterplay.role())
        with apiserver.Server(scripted) as server:
            cluster = Cluster(server.kubeconfig(Path(folder) / "kubeconfig"))
            play = clusterplay.Play(scripted, _script(threading.BoundedSemaphore(together)))
            manifests = [_manifest(number) for number in range(count)]
            runs = [
                replace(FollowedRun.of(manifest, cluster, Path(folder)), expected_until_s=float("inf"))
                for manifest in manifests
            ]
            before = Counter(scripted.requests)
            gc.collect()
            tracemalloc.start()
            creating = threading.Thread(target=_create, args=(scripted, manifests))
            creating.start()
            outcomes = Follower(cluster, runs, FollowOptions(drain_s=30.0), _nothing).follow()
            peak_bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            creating.join()
            attempts = [attempt for run in runs for attempt in logs.read_frames(run.log_files).whole]
            assert not play.errors
            return {
                "runs": count,
                "results": len(attempts),
                "distinct_results": len(set(attempts)),
                "failed": sum(outcome.error is not None for outcome in outcomes),
                "requests": {" ".join(key): number for key, number in (scripted.requests - before).items()},
                "peak_bytes": peak_bytes,
                "served_bytes": scripted.bytes_sent,
            }


def _manifest(number: int) -> JsonObject:
    manifest: JsonObject = to_submit(clusterplay.bench_job(f"bench-{number:03d}-v0-1-0"))
    return manifest


def _create(scripted: apiserver.Cluster, manifests: Iterable[JsonObject]) -> None:
    for manifest in manifests:
        scripted.put(manifest, {})


def _script(slots: threading.BoundedSemaphore) -> Script:
    def script(play: Play, job: JsonObject) -> None:
        with slots:
            number = int(job["metadata"]["name"].split("-")[1])
            clusterplay.runs_well(play, job, attempt=f"20261122T100000Z-{number:08x}")

    return script


def _nothing(line: str) -> None:
    return None
