"""Stand-ins for the pinned base images, made from Debian's packages: what a stack's own base has, less the vendor's binary parts."""

import hashlib
import inspect
import subprocess
import tempfile
from pathlib import Path

EPOCH = "1700000000"

# Debian's own files that no image needs; with them a base is twice the size.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def make(stack):
    """Return the local name of a stack's stand-in base, made if it is not there."""
    recipe = {"cpu": slim, "cuda": slim}[stack]
    tag = f"localhost/bloomz-bench/stand-in:{_key(recipe)}"
    if subprocess.run(["buildah", "inspect", "--type", "image", tag], capture_output=True).returncode != 0:
        recipe(tag)
    return tag


def slim(tag):
    """A slim image with Debian 12's Python 3.11, as the one of python:3.12-slim-bookworm has 3.12."""
    debian(tag, "python3", "libstdc++6")


def debian(tag, *packages, add=()):
    """Make an image of Debian 12 with ``packages``; ``add`` holds (folder here, folder there)."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "base.tar"
        leave = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
        include = f"--include={','.join(packages)}"
        command = ["mmdebstrap", "--quiet", "--variant=essential", include, *leave, "bookworm", str(archive)]
        subprocess.run(command, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": EPOCH})
        container = _buildah("from", "scratch")
        try:
            _buildah("add", "--quiet", container, str(archive), "/")
            for here, there in add:
                _buildah("copy", "--quiet", container, str(here), there)
            _buildah("commit", "--quiet", "--timestamp", EPOCH, container, tag)
        finally:
            _buildah("rm", container)


def _key(recipe):
    return hashlib.sha256((inspect.getsource(recipe) + inspect.getsource(debian)).encode()).hexdigest()[:16]


def _buildah(*arguments):
    return subprocess.run(["buildah", *arguments], check=True, capture_output=True, encoding="utf-8").stdout.strip()
