"""Build each image once on a stand-in base, and run it as a cluster would: any user, a read-only root, no network.

Needs root, buildah, podman, runc and mmdebstrap; `make test-images` installs them. Bases stay in the local image store under a
name that is a hash of their recipe.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.contract.errors import Unreachable
from runner.host.images import build
from runner.host.readers import lockfile
from tests.images import bases, gaudi

# From a stack to its image.
Built = Callable[[str], build.BuiltImage]

TOOLS = ("buildah", "podman", "runc", "mmdebstrap", "skopeo", "ip", "ssh-keygen")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("offline") is None:
            item.add_marker(pytest.mark.images)


@pytest.fixture(scope="session", autouse=True)
def runtime() -> Iterator[None]:
    """Use runc, which takes the limits of a confined machine as they are."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    assert not missing, f"not installed: {', '.join(missing)}. Run `make test-images`."
    assert os.geteuid() == 0, "images are built as root here. Run `make test-images` as root."
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUILDAH_ISOLATION", "oci")
        patch.setenv("BUILDAH_RUNTIME", "runc")
        yield


@pytest.fixture(scope="session")
def built() -> Built:
    """Return a function from a stack to its image, built on a stand-in base, and the folder with what was written beside it.

    Git sources are in the lock's own place, or in the copies that were named.
    """
    known: dict[str, build.BuiltImage] = {}

    def of(name: str) -> build.BuiltImage:
        if name not in known:
            planned = build.plan(lockfile.read(), name, bases.make(name), bases.interpreter_of(name), gaudi.copies())
            try:
                known[name] = build.execute(planned)
            except Unreachable as problem:
                if name != gaudi.STACK or len(gaudi.copies()) == len(gaudi.COPIES):
                    raise
                pytest.skip(f"{problem}. Name copies in {' and '.join(gaudi.COPIES.values())}.")
        return known[name]

    return of
