"""Make two network namespaces that are joined by a wire, as two hosts are. Needs root and the program ip."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

ADDRESSES = ("10.77.0.1", "10.77.0.2")


@contextmanager
def joined() -> Iterator[list[str]]:
    """Yield the names of two network namespaces, each with one of ``ADDRESSES`` on its eth0; remove both when the block ends."""
    first, second = names = [f"bench-{os.getpid()}-{number}" for number in (1, 2)]
    created = []
    try:
        for name in names:
            run("ip", "netns", "add", name)
            created.append(name)
        run("ip", "link", "add", "eth0", "netns", first, "type", "veth", "peer", "name", "eth0", "netns", second)
        for name, address in zip(names, ADDRESSES, strict=True):
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                run("ip", "-n", name, "link", "set", link, "up")
        yield names
    finally:
        for name in created:
            run("ip", "netns", "del", name)


def run(*command: str) -> None:
    """Run a command. Raises ``subprocess.CalledProcessError`` for a command that fails."""
    subprocess.run(command, check=True, capture_output=True)
