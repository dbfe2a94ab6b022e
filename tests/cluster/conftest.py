"""A real cluster: that of KUBECONFIG, else a control plane alone from KUBEBUILDER_ASSETS, else none.

Whoever runs these must be its administrator; each test has a namespace of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar, overload

import pytest
import yaml

from runner.contract.records import JsonObject
from tests.cluster import controlplane
from tests.support import clusterplay

GAUDI = "habana.ai/gaudi"

Found = TypeVar("Found")


class Real:
    """kubectl, in the namespace of one test."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace, self.folder = namespace, folder

    @overload
    def kubectl(self, *arguments: str, stdin: str | None = None, fails: Literal[False] = False) -> str: ...

    @overload
    def kubectl(
        self, *arguments: str, stdin: str | None = None, fails: Literal[True]
    ) -> subprocess.CompletedProcess[str]: ...

    def kubectl(
        self, *arguments: str, stdin: str | None = None, fails: bool = False
    ) -> str | subprocess.CompletedProcess[str]:
        """Return what kubectl prints; with ``fails`` how it ended, well or not."""
        done = subprocess.run(
            ["kubectl", "--namespace", self.namespace, *arguments],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        if fails:
            return done
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, *things: JsonObject) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(things))

    def get(self, kind: str, name: str) -> JsonObject:
        found: JsonObject = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def get_all(self, kind: str) -> list[JsonObject]:
        found: list[JsonObject] = json.loads(self.kubectl("get", kind, "-o", "json"))["items"]
        return found

    def knows(self, definition: str) -> bool:
        """Return whether the cluster has a custom kind, by the name of its definition."""
        return self.kubectl("get", "crd", definition, fails=True).returncode == 0

    def patch_status(self, kind: str, name: str, status: JsonObject) -> None:
        self.kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))

    def person(self, rules: Sequence[JsonObject] | None = None) -> str:
        """Return a kubeconfig of somebody who has the submitter's Role, or ``rules``, and nothing else."""
        self.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "person"}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "submitter"},
                "rules": rules or clusterplay.role(),
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "person"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "submitter"},
                "subjects": [{"kind": "ServiceAccount", "name": "person", "namespace": self.namespace}],
            },
        )
        config = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        config["users"][0]["user"] = {"token": self.kubectl("create", "token", "person").strip()}
        config["contexts"][0]["context"]["namespace"] = self.namespace
        path = self.folder / "person.kubeconfig"
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return str(path)

    def until(self, holds: Callable[[], Found], seconds: float = 60) -> Found:
        """Wait until ``holds()`` returns something true, and return it."""
        until_s = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < until_s, f"not within {seconds} s"
            time.sleep(0.5)
        return found


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bool]:
    """Return whether there is a control plane and nothing else; KUBECONFIG leads to it then."""
    if os.environ.get("KUBECONFIG"):
        yield False
        return
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        pytest.skip(
            "no cluster: set KUBECONFIG to that of an administrator, or KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver"
        )
    if lacking := controlplane.missing(assets):
        pytest.fail(f"KUBEBUILDER_ASSETS is {assets}, which lacks {' and '.join(lacking)}")
    with (
        controlplane.running(assets, tmp_path_factory.mktemp("controlplane")) as kubeconfig,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("KUBECONFIG", str(kubeconfig))
        yield True


@pytest.fixture
def real(api: Real, alone: bool) -> Real:
    """Yield a namespace of a cluster whose controllers, scheduler and kubelets run."""
    if alone:
        pytest.skip("KUBEBUILDER_ASSETS gives a control plane alone; controllers and a scheduler need KUBECONFIG")
    api.until(lambda: api.kubectl("get", "serviceaccount", "default", fails=True).returncode == 0)
    return api


@pytest.fixture
def api(tmp_path: Path, alone: bool) -> Iterator[Real]:
    """Yield a namespace of whatever API server there is."""
    space = Real(f"bloomz-bench-test-{secrets.token_hex(3)}", tmp_path)
    if space.kubectl("version", fails=True).returncode != 0:
        pytest.fail("the cluster of KUBECONFIG does not answer")
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    space.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.namespace, "labels": levels}})
    yield space
    space.kubectl("delete", "namespace", space.namespace, "--wait=false")


@contextlib.contextmanager
def pretend_node(real: Real, name: str, devices: int = 8, accelerator: str = "gaudi2") -> Iterator[str]:
    """Add a node that is always ready and runs nothing: pods are scheduled to it, and a test says what becomes of them."""
    offers = {
        "cpu": "96",
        "memory": "760Gi",
        "hugepages-2Mi": "42000Mi",
        "ephemeral-storage": "400Gi",
        "pods": "20",
        GAUDI: str(devices),
    }
    labels = {"bloomz-bench.dev/accelerator": accelerator, "kubernetes.io/hostname": name}
    taints = [{"key": GAUDI, "effect": "NoSchedule"}]
    real.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}
    )
    stop = threading.Event()

    def beat() -> None:
        while not stop.is_set():
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            ready = {
                "type": "Ready",
                "status": "True",
                "reason": "Pretended",
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
            }
            real.patch_status("node", name, {"capacity": offers, "allocatable": offers, "conditions": [ready]})
            stop.wait(10)

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        yield name
    finally:
        stop.set()
        beating.join()
        real.kubectl("delete", "node", name)
        for pod in real.get_all("pods"):  # nobody there would ever say that they have ended, which their Jobs wait for
            if pod["spec"].get("nodeName") == name:
                real.patch_status("pod", pod["metadata"]["name"], {"phase": "Failed"})
                real.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0", "--wait=false")
