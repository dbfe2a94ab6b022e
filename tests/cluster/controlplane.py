"""A control plane of etcd and kube-apiserver alone, from the folder that KUBEBUILDER_ASSETS names, as controllers' tests use it.

It validates, admits and authorises as any cluster does. Nothing else runs: no Job gets a pod, and nothing that is owned is
collected.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.contract.records import JsonObject

BINARIES = ("etcd", "kube-apiserver")
TOKEN = "administrator"
READY_S = 90


def missing(assets: str) -> list[str]:
    """Return which binaries are not in a folder."""
    return [name for name in BINARIES if not os.access(Path(assets, name), os.X_OK)]


@contextlib.contextmanager
def running(assets: str, folder: Path) -> Iterator[Path]:
    """Yield the kubeconfig of an administrator while both run on loopback; all their files lie in ``folder``."""
    client, peer, secure = _free_ports(3)
    key = folder / "service-accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f"{TOKEN},administrator,1,system:masters\n")
    etcd: list[str | Path] = [
        *(Path(assets, "etcd"), "--data-dir", folder / "etcd", "--listen-client-urls", f"http://127.0.0.1:{client}"),
        *("--advertise-client-urls", f"http://127.0.0.1:{client}", "--listen-peer-urls", f"http://127.0.0.1:{peer}"),
    ]
    apiserver: list[str | Path] = [
        *(Path(assets, "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{client}", f"--secure-port={secure}"),
        *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--cert-dir={folder}"),
        *(f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC"),
        "--service-account-issuer=https://kubernetes.default.svc",
        *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
        *("--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true"),
        "--disable-admission-plugins=ServiceAccount",  # nothing makes the account that it would wait for
    ]
    with contextlib.ExitStack() as stack:
        for name, command in (("etcd", etcd), ("apiserver", apiserver)):
            stack.enter_context(_process(command, folder / f"{name}.log"))
        path = folder / "kubeconfig"
        path.write_text(json.dumps(_kubeconfig(secure, folder / "apiserver.crt")))
        _until_ready(path, folder / "apiserver.log")
        yield path


@contextlib.contextmanager
def _process(command: Sequence[str | Path], log: Path) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in sockets]


def _kubeconfig(port: int, certificate: Path) -> JsonObject:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(certificate)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "alone", "cluster": cluster}],
        "users": [{"name": "administrator", "user": {"token": TOKEN}}],
        "contexts": [{"name": "alone", "context": {"cluster": "alone", "user": "administrator"}}],
        "current-context": "alone",
    }


def _until_ready(kubeconfig: Path, log: Path) -> None:
    until_s = time.monotonic() + READY_S
    while subprocess.run(
        ["kubectl", "--kubeconfig", kubeconfig, "get", "--raw=/readyz"], capture_output=True
    ).returncode:
        assert time.monotonic() < until_s, f"kube-apiserver is not ready after {READY_S} s: {log.read_text()[-2000:]}"
        time.sleep(0.5)
