"""Many runs followed by one client: requests to the API server and memory, for each run and against fewer."""

import gc
import tempfile
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

from runner.host.cluster import follower, logs
from runner.host.cluster.client import Cluster
from runner.host.cluster.follower import Attendance
from runner.host.cluster.runs import Run
from runner.host.objects.submitted import to_submit
from tests.support import apiserver, clusterplay


def follow(count, together=20):
    """Follow ``count`` runs to their results, ``together`` of which run at a time; return requests, peak memory and results.

    ``requests`` are by "verb resource" and ``peak_bytes`` is what the client and the scripted server allocate in Python beyond
    what they hold before the first run: an upper bound of the client's own.
    """
    with tempfile.TemporaryDirectory() as folder:
        scripted = apiserver.Cluster(rules=clusterplay.role())
        with apiserver.Server(scripted) as server:
            cluster = Cluster(server.kubeconfig(Path(folder) / "kubeconfig"))
            play = clusterplay.Play(scripted, _script(threading.BoundedSemaphore(together)))
            things = [_thing(number) for number in range(count)]
            runs = [Run.of(one, cluster, Path(folder)) for one in things]
            before = Counter(scripted.requests)
            gc.collect()
            tracemalloc.start()
            creating = threading.Thread(target=_create, args=(scripted, things))
            creating.start()
            for run in runs:
                run.expected_until_s = float("inf")
            Attendance(cluster, runs, follower.Manner(drain_s=30.0), _nothing).until_done()
            peak_bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            creating.join()
            found = [attempt for run in runs for attempt in _attempts(run)]
            assert not play.errors
            return {
                "runs": count,
                "results": len(found),
                "distinct_results": len(set(found)),
                "failed": sum(run.error is not None for run in runs),
                "requests": {" ".join(key): number for key, number in (scripted.requests - before).items()},
                "peak_bytes": peak_bytes,
                "served_bytes": scripted.bytes_sent,
            }


def _thing(number):
    return to_submit(clusterplay.bench_job(f"bench-{number:03d}-v0-1-0"))


def _create(scripted, things):
    for thing in things:
        scripted.put(thing, {})


def _script(slots):
    def script(play, job):
        with slots:
            number = int(job["metadata"]["name"].split("-")[1])
            clusterplay.runs_well(play, job, attempt=f"20261122T100000Z-{number:08x}")

    return script


def _attempts(run):
    return list(logs.frames(run.log_files)[0])


def _nothing(text):
    return None
