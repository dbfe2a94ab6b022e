"""Run a real registry on this machine: Debian's docker-registry, with a password. What is started here knows how to log in."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.host.images import buildah
from runner.host.pins.origins import container_registry

OCI = "application/vnd.oci.image.{}.v1+json"
USER, PASSWORD = "bench", "a password"


class Registry:
    """A registry that runs on this machine; ``folder`` holds its settings and data."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.address = folder, f"127.0.0.1:{port}"

    def put(self, name: str, *architectures: str) -> tuple[str, str, dict[str, str]]:
        """Push an image, of a list where there are several architectures; return (reference, its digest, each one's digest)."""
        reference = f"{self.address}/{name}"
        digests = {}
        for architecture in architectures:
            container = run("buildah", "from", "scratch")
            run("buildah", "config", "--arch", architecture, "--label", f"of={name}", container)
            made = run("buildah", "commit", "--quiet", "--rm", "--timestamp", "0", container)
            digests[architecture] = buildah.push(made, f"docker://{reference}:{architecture}")
        if len(architectures) == 1:
            (architecture,) = architectures
            run("skopeo", "copy", "-q", f"docker://{reference}:{architecture}", f"docker://{reference}:latest")
            return reference, digests[architecture], digests
        entries = []
        for architecture, digest in digests.items():
            manifest = container_registry.manifest(f"{reference}@{digest}")
            assert manifest is not None, "the image was pushed just now"
            platform = {"os": "linux", "architecture": architecture}
            kind, size = OCI.format("manifest"), len(manifest)
            entries.append({"mediaType": kind, "digest": digest, "size": size, "platform": platform})
        listed = {"schemaVersion": 2, "mediaType": OCI.format("index"), "manifests": entries}
        self._call("PUT", name, "latest", json.dumps(listed).encode(), OCI.format("index"))
        of_list = container_registry.image_digest(reference, "latest")
        assert of_list is not None, "the list was put just now"
        return reference, of_list, digests

    def remove(self, name: str, digest: str) -> None:
        """Delete a manifest, as a registry's keeper does."""
        self._call("DELETE", name, digest)

    def _call(
        self, method: str, name: str, manifest: str, content: bytes | None = None, kind: str | None = None
    ) -> None:
        address = f"http://{self.address}/v2/{name}/manifests/{manifest}"
        call = urllib.request.Request(address, content, {"Content-Type": kind} if kind else {}, method=method)
        call.add_header("Authorization", "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        with urllib.request.urlopen(call) as answer:
            assert answer.status in (201, 202)


@contextmanager
def serve(folder: Path) -> Iterator[Registry]:
    """Serve a registry whose settings and data lie in a folder; programs that are started meanwhile know its password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hashed = run("htpasswd", "-Bbn", USER, PASSWORD)
    (folder / "htpasswd").write_text(hashed + "\n")
    (folder / "config.yml").write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
        f"auth: {{htpasswd: {{realm: here, path: {folder}/htpasswd}}}}\n"
        "log: {level: error}\n"
    )
    settings = folder / ".config" / "containers" / "registries.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n')
    login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "auth.json").write_text(json.dumps({"auths": {f"127.0.0.1:{port}": {"auth": login}}}))
    command = ["docker-registry", "serve", str(folder / "config.yml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        # skopeo and buildah read their settings below it
        patch.setenv("HOME", str(folder))
        patch.setenv("REGISTRY_AUTH_FILE", str(folder / "auth.json"))
        try:
            _wait(port)
            yield Registry(folder, port)
        finally:
            process.terminate()
            process.wait()


def run(*command: str) -> str:
    """Return what a command prints; the command must succeed."""
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()


def _wait(port: int) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/")
        except urllib.error.HTTPError as refused:
            assert refused.code == 401
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("docker-registry did not start")
