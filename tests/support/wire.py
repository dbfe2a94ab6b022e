"""Two networks of their own, joined by a wire: what two hosts are to each other. It takes root and the program ip."""

import os
import subprocess
from contextlib import contextmanager

ADDRESSES = ("10.77.0.1", "10.77.0.2")


@contextmanager
def joined():
    """Yield the names of two network namespaces; each has one of ``ADDRESSES`` on its eth0. They are gone with the block."""
    first, second = names = [f"bench-{os.getpid()}-{number}" for number in (1, 2)]
    made = []
    try:
        for name in names:
            run("ip", "netns", "add", name)
            made.append(name)
        run("ip", "link", "add", "eth0", "netns", first, "type", "veth", "peer", "name", "eth0", "netns", second)
        for name, address in zip(names, ADDRESSES, strict=True):
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                run("ip", "-n", name, "link", "set", link, "up")
        yield names
    finally:
        for name in made:
            run("ip", "netns", "del", name)


def run(*command):
    subprocess.run(command, check=True, capture_output=True)
