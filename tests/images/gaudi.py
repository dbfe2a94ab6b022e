"""The stack of SynapseAI 1.10 in the tests of images: where its sources come from, and a request of the emulated device."""

from __future__ import annotations

import os
from pathlib import Path

from runner.contract import strictjson
from runner.host.readers import lockfile
from tests.emulation import runs
from tests.stacks import build

STACK = "gaudi-1.10"
COPIES = {"deepspeed": "BLOOMZ_BENCH_DEEPSPEED_GIT", "pdsh": "BLOOMZ_BENCH_PDSH_GIT"}


def copies() -> dict[str, Path]:
    """Return the local copies that were named, by the source that each is of."""
    sources = lockfile.read().stacks[STACK].sources
    return {sources[name]: Path(os.environ[variable]) for name, variable in COPIES.items() if os.environ.get(variable)}


def request(path: Path, ranks: int) -> Path:
    """Write a request of the emulated device: the versions are those of the image, the vendor's stand-ins by their names."""
    folder = build.find(STACK)
    assert folder is not None
    asked = runs.request(STACK, folder, ranks)
    packages = {**asked.stack.packages, "deepspeed": lockfile.read().stacks[STACK].packages["deepspeed"].version}
    asked = runs.replace(asked, stack=runs.replace(asked.stack, packages=packages))
    path.write_text(strictjson.pretty(asked.to_json()))
    return path
