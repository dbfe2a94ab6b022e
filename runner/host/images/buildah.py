"""Run buildah, as the only module that does: images are pulled, built, asked and pushed. Nothing here knows a stack."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from runner.contract.errors import Unreachable, Unsupported
from runner.contract.records import JsonObject

PULL_S = 3600


def version() -> str:
    """Return the version of the buildah that is installed. Raises ``Unsupported`` where there is none."""
    return _run("--version").split()[2]


def pull(reference: str) -> None:
    """Fetch an image by digest if it is not here. Raises ``Unreachable`` with the registry's last line."""
    try:
        _run("pull", "--quiet", "--policy", "missing", "--", reference, timeout_s=PULL_S)
    except Unsupported as problem:
        raise Unreachable(f"the registry, for {reference}: {problem}") from None


def build_arguments(
    context: Path, tag: str, arguments: Mapping[str, str], labels: Mapping[str, str], epoch: int
) -> list[str]:
    """Return the words behind ``buildah`` that build ``context`` without a cache and with all times at ``epoch`` (Unix seconds).

    ``--force-rm`` and ``--layers=false`` leave nothing but the image: a stage that is only copied from would else stay as a
    container, and keep its base here. The build has no network, unless BUILDAH_ISOLATION is chroot, which cannot take it away.
    """
    words = ["build", "--quiet", "--no-cache", "--layers=false", "--force-rm", "--pull-never"]
    words += ["--timestamp", str(epoch), *_no_network()]
    words += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    words += [word for name, value in sorted(labels.items()) for word in ("--label", f"{name}={value}")]
    return [*words, "--tag", tag, "--", str(context)]


def build(arguments: Sequence[str]) -> str:
    """Build an image with the words of ``build_arguments``, and return its id. Raises ``Unsupported`` with the builder's last lines."""
    return _run(*arguments, timeout_s=PULL_S).strip().splitlines()[-1]


def ask(image: str, *command: str, volumes: Mapping[Path, str] | None = None) -> str:
    """Return what a command prints inside an image; nothing that the command does is kept.

    ``volumes`` maps folders here to places inside. Raises ``Unsupported`` where the command fails.
    """
    options = [word for folder, inside in (volumes or {}).items() for word in ("--volume", f"{folder}:{inside}:ro")]
    with _container(image) as name:
        return _run("run", *_no_network(), *options, name, "--", *command)


def config(image: str) -> JsonObject:
    """Return the OCI configuration of an image: ``config`` with user, labels and variables, ``rootfs`` with its layers."""
    configuration: JsonObject = _inspect(image)["OCIv1"]
    return configuration


def is_here(image: str) -> bool:
    """Return whether an image is in buildah's own storage. Raises ``Unsupported`` where buildah cannot be run."""
    version()
    try:
        _inspect(image)
    except Unsupported:
        return False
    return True


def size_bytes(image: str) -> int:
    """Return the bytes of an image's layers, not compressed, as they lie here."""
    manifest = json.loads(_inspect(image)["Manifest"])
    return sum(layer["size"] for layer in manifest["layers"])


def push(image: str, target: str) -> str:
    """Push an image, ``target`` in skopeo's words (docker://..., oci:...); return the digest of its manifest.

    Raises ``Unreachable`` where the registry does not take the image.
    """
    with tempfile.TemporaryDirectory() as folder:
        digest = Path(folder) / "digest"
        try:
            _run("push", "--quiet", "--digestfile", str(digest), "--", image, target, timeout_s=PULL_S)
        except Unsupported as problem:
            raise Unreachable(f"{target} did not take the image: {problem}") from None
        return digest.read_text(encoding="utf-8").strip()


def hand_over(image: str, name: str, taker: Sequence[str]) -> None:
    """Write an image, under a name, as docker's archive into the standard input of the command ``taker``, such as ``docker load``.

    No copy of the image is written between the two. Raises ``Unsupported`` where one of the two fails.
    """
    push_words = ["buildah", "push", "--quiet", "--", image, f"docker-archive:/dev/stdout:{name}"]
    quiet = subprocess.DEVNULL
    try:
        with subprocess.Popen(push_words, stdin=quiet, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as giver:
            done = subprocess.run(taker, stdin=giver.stdout, capture_output=True, timeout=PULL_S)
            # the taker has ended: a giver that has more to write fails
            assert giver.stdout is not None and giver.stderr is not None
            giver.stdout.close()
            words = giver.stderr.read()
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unsupported(
            f"The image could not be handed to {taker[0]}: {problem}. Try again, or use podman."
        ) from None
    if done.returncode != 0 or giver.returncode != 0:
        said = [*done.stderr.decode(errors="replace").split("\n"), *words.decode(errors="replace").split("\n")]
        raise Unsupported(
            f"{' '.join(taker)} did not take the image: {' | '.join(filter(None, said))[-300:]}. Free space, or use podman."
        )


def _inspect(image: str) -> JsonObject:
    description: JsonObject = json.loads(_run("inspect", "--type", "image", "--", image))
    return description


def _no_network() -> list[str]:
    return [] if os.environ.get("BUILDAH_ISOLATION") == "chroot" else ["--network", "none"]


@contextmanager
def _container(image: str) -> Iterator[str]:
    """Make a container of an image for a while, and yield its name."""
    name = _run("from", "--pull-never", "--", image).strip()
    try:
        yield name
    finally:
        _run("rm", "--", name)


def _run(*words: str, timeout_s: float = 600) -> str:
    """Return what buildah prints. Raises ``Unsupported`` where buildah is missing, too slow, or fails."""
    try:
        done = subprocess.run(
            ["buildah", *words], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise Unsupported(f"buildah {words[0]} did not end in {timeout_s} s") from None
    except OSError as problem:
        raise Unsupported(
            f"buildah cannot be run: {problem.strerror}. Install it (apt-get install buildah podman runc)."
        ) from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.strip().splitlines() if line]
        raise Unsupported(f"buildah {words[0]} failed: {' | '.join(lines[-4:]) or f'status {done.returncode}'}")
    return done.stdout
