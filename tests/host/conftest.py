from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import apiserver, clusterplay
from tests.support.client import Client
from tests.support.scriptedcluster import Cluster


@pytest.fixture
def cluster() -> Cluster:
    """A scripted cluster in which the submitter's Role holds."""
    cluster = Cluster(rules=clusterplay.role())
    clusterplay.furnish(cluster)
    return cluster


@pytest.fixture
def client(cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Client]:
    with apiserver.Server(cluster) as server:
        yield Client(cluster, server, tmp_path, capfd)
