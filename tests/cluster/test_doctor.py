"""What `doctor` says of a real API server, to its administrator and to somebody who may submit and no more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.__main__ import main
from runner.contract.errors import NotReady
from runner.host.objects import names
from tests.cluster.conftest import Real

pytestmark = pytest.mark.cluster

CLAIMS: list[dict[str, Any]] = [
    {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    }
    for name in (names.RESULTS, names.PACKAGES_CLAIM)
]
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": names.ACCOUNT}}


def looked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return the findings about the cluster by what was looked at."""
    assert main(["doctor", "--set", "cpu", "--json", *arguments]) in (0, NotReady.exit_code)
    events = map(json.loads, capsys.readouterr().out.splitlines())
    return {event["what"]: event for event in events if event["area"] == "cluster"}


def test_an_administrator_is_told_what_is_missing_and_nothing_is_made(
    api: Real, capsys: pytest.CaptureFixture[str]
) -> None:
    found = looked(capsys, "--namespace", api.namespace)
    ready = ("API server", "clock of the API server", "rights", "namespace", "operator")
    assert {what: found[what]["state"] for what in ready} == dict.fromkeys(ready, "ready")
    assert "answers with Kubernetes v1." in found["API server"]["finding"]
    assert "enforces the level restricted" in found["namespace"]["finding"]
    assert found["account"]["state"] == "not ready"
    assert found["volumes"]["state"] in ("warning", "not ready")
    assert found["network policies"]["state"] == "cannot be told"
    assert not api.get_all("jobs") and not api.get_all("pvc")
    assert names.ACCOUNT not in {account["metadata"]["name"] for account in api.get_all("serviceaccounts")}
    api.apply(ACCOUNT, *CLAIMS)
    found = looked(capsys, "--namespace", api.namespace)
    assert (found["account"]["state"], found["volumes"]["state"]) == ("ready", "ready")


def test_a_submitter_is_told_of_the_own_namespace_and_of_nothing_beyond(
    api: Real, capsys: pytest.CaptureFixture[str]
) -> None:
    api.apply(ACCOUNT, *CLAIMS)
    found = looked(capsys, "--kubeconfig", api.person())
    assert {what: found[what]["state"] for what in ("rights", "account", "volumes")} == {
        "rights": "ready",
        "account": "ready",
        "volumes": "ready",
    }
    assert found["namespace"]["state"] == found["nodes"]["state"] == "cannot be told"
    assert "may not get the Namespace" in found["namespace"]["finding"]


def test_a_namespace_that_is_not_there(api: Real, capsys: pytest.CaptureFixture[str]) -> None:
    found = looked(capsys, "--namespace", f"{api.namespace}-not")
    assert (found["namespace"]["state"], found["account"]["state"]) == ("not ready", "not ready")
