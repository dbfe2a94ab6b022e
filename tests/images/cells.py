"""Scripted clusters that run every Job well, and the variables of make that lead to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.contract.records import JsonObject
from tests.images.registries import Registry
from tests.support import apiserver, clusterplay
from tests.support.client import FAST
from tests.support.scriptedcluster import Cluster


class Cell:
    """A scripted cluster that runs well, and the variables of make that lead to it."""

    def __init__(self, cluster: Cluster, server: apiserver.Server, folder: Path, team: str) -> None:
        self.cluster = cluster
        arguments = [
            "--kubeconfig",
            server.kubeconfig(folder / "kubeconfig"),
            "--runs",
            str(folder / "runs"),
            *FAST["submit"],
        ]
        self.variables = [
            f"REGISTRY={team}", f"RESULTS={folder}/results", "RENDER=--namespace bench", f"ARGS={' '.join(arguments)}",
        ]  # fmt: skip

    def jobs(self) -> list[JsonObject]:
        return self.cluster.all("Job")


@contextmanager
def serve(registry: Registry, folder: Path) -> Iterator[Cell]:
    """Serve a cluster that runs every Job well; images go to this registry."""
    cluster = Cluster(rules=clusterplay.role())
    clusterplay.furnish(cluster)
    cluster.put({**cluster.existing("PersistentVolumeClaim", "bench-results"), "metadata": {"name": "bench-models"}})
    attempts = (f"20261122T1{number}0000Z-0123abc{number}" for number in range(10))
    clusterplay.Play(cluster, lambda play, job: clusterplay.runs_well(play, job, next(attempts)))
    with apiserver.Server(cluster) as server:
        yield Cell(cluster, server, folder, f"{registry.address}/team")
