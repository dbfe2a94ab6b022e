"""Run buildah: the only module that does. Images are built, asked and pushed; nothing here knows a stack."""

import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from runner.contract.errors import Unreachable, Unsupported

PULL_S = 3600


def version():
    """Return the version of the buildah that is installed."""
    return _run("--version").split()[2]


def pull(reference):
    """Fetch an image by digest if it is not here. Raises ``Unreachable`` with the registry's last line."""
    try:
        _run("pull", "--quiet", "--policy", "missing", "--", reference, timeout_s=PULL_S)
    except Unsupported as problem:
        raise Unreachable(f"the registry, for {reference}: {problem}") from None


def build(context, tag, arguments, labels, epoch):
    """Build ``context`` without a cache and with all times at ``epoch`` (Unix seconds); return the image's id.

    Nothing of it stays but the image: a stage that is only copied from would else stay as a container, and keep its base here.
    The build has no network, unless BUILDAH_ISOLATION is chroot, which cannot take it away.
    """
    command = [
        "build",
        "--quiet",
        "--no-cache",
        "--layers=false",
        "--force-rm",
        "--pull-never",
        "--timestamp",
        str(epoch),
    ]
    command += _network()
    command += [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    command += [part for name, value in sorted(labels.items()) for part in ("--label", f"{name}={value}")]
    return _run(*command, "--tag", tag, "--", str(context), timeout_s=PULL_S).strip().splitlines()[-1]


def ask(image, *command, volumes=None):
    """Return what a command prints inside an image; nothing it does is kept. ``volumes`` maps folders here to places there."""
    options = [part for here, there in (volumes or {}).items() for part in ("--volume", f"{here}:{there}:ro")]
    with _container(image) as name:
        return _run("run", *_network(), *options, name, "--", *command)


def config(image):
    """Return the configuration of an image: ``config`` with user, labels and variables, ``rootfs`` with its layers."""
    return json.loads(_run("inspect", "--type", "image", "--", image))["OCIv1"]


def size(image):
    """Return the bytes of an image's layers, not compressed, as they lie here."""
    manifest = json.loads(json.loads(_run("inspect", "--type", "image", "--", image))["Manifest"])
    return sum(layer["size"] for layer in manifest["layers"])


def push(image, target):
    """Push an image, ``target`` in skopeo's words (docker://..., oci:...); return the digest of its manifest."""
    with tempfile.TemporaryDirectory() as folder:
        digest = Path(folder) / "digest"
        try:
            _run("push", "--quiet", "--digestfile", str(digest), "--", image, target, timeout_s=PULL_S)
        except Unsupported as problem:
            raise Unreachable(f"{target} did not take the image: {problem}") from None
        return digest.read_text(encoding="utf-8").strip()


def _network():
    return [] if os.environ.get("BUILDAH_ISOLATION") == "chroot" else ["--network", "none"]


@contextmanager
def _container(image):
    name = _run("from", "--pull-never", "--", image).strip()
    try:
        yield name
    finally:
        _run("rm", "--", name)


def _run(*arguments, timeout_s=600):
    command = ["buildah", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise Unsupported(f"buildah {arguments[0]} did not end in {timeout_s} s") from None
    except OSError as problem:
        raise Unsupported(
            f"buildah cannot be run: {problem.strerror}. Install it (apt-get install buildah podman runc)."
        ) from None
    if done.returncode != 0:
        told = [line for line in done.stderr.strip().splitlines() if line]
        raise Unsupported(f"buildah {arguments[0]} failed: {' | '.join(told[-4:]) or f'status {done.returncode}'}")
    return done.stdout
