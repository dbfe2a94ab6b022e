"""Local copies of the git sources of Gaudi's stacks, for machines that cannot reach GitHub."""

from __future__ import annotations

import os
from pathlib import Path

from runner.host.readers import lockfile

# From a product of a stack to the variable that names a copy of its repository.
COPIES = {"deepspeed": "BLOOMZ_BENCH_DEEPSPEED_GIT", "pdsh": "BLOOMZ_BENCH_PDSH_GIT"}


def copies(stack: str) -> dict[str, Path]:
    """Return the local copies that were named, by the source that each is of."""
    sources = lockfile.read().stacks[stack].sources
    return {sources[name]: Path(os.environ[variable]) for name, variable in COPIES.items() if os.environ.get(variable)}
