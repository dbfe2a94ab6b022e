"""The program that builds and pushes images on this host."""

from __future__ import annotations

from functools import partial

from runner.contract.errors import Unsupported
from runner.contract.text import printable
from runner.host.doctor.findings import Answer, Look, not_ready, ready, warning
from runner.host.images import buildah
from runner.host.readers.lockfile import Lock


def looks(lock: Lock) -> list[Look]:
    """Return the look at buildah."""
    return [Look("registry", "buildah", partial(of_version, lock.tools["buildah"]))]


def of_version(pinned: str) -> Answer:
    """Say whether buildah is there, in the version of the lock: another one may give other bytes."""
    try:
        version = printable(buildah.version(), 40)
    except Unsupported:
        return not_ready(
            "It cannot be run, and it builds and pushes the images.", "`apt-get install buildah podman runc`."
        )
    if version != pinned:
        return warning(
            f"It is {version}, and versions.lock says {pinned}: the bytes of an image may differ.",
            f"Install {pinned}, or keep in mind that nobody else gets the same digest.",
        )
    return ready(f"It is {version}, as versions.lock says.")
