import pytest

from tests.support import apiserver, clusterplay
from tests.support.client import Client


@pytest.fixture
def cluster():
    """A scripted cluster in which the submitter's Role holds."""
    made = apiserver.Cluster(rules=clusterplay.role())
    clusterplay.furnish(made)
    return made


@pytest.fixture
def client(cluster, tmp_path, capfd):
    with apiserver.Server(cluster) as server:
        yield Client(cluster, server, tmp_path, capfd)
