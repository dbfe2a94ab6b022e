"""Push a built image, and write it into the lock; tell whether a pushed image is still of this checkout's inputs."""

from __future__ import annotations

import json
from dataclasses import asdict

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.images import build, buildah
from runner.host.images.build import BuiltImage
from runner.host.pins.origins import container_registry
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import Lock, PushedImage


def push(name: str, built: BuiltImage, team: str) -> PushedImage:
    """Push an image to ``REGISTRY/TEAM``, write it into the lock, and return its entry there.

    Raises ``InputError`` for an image that nobody could build again, ``Unreachable`` where the registry does not take it.
    """
    return record(name, built, team, upload(name, built, team))


def upload(name: str, built: BuiltImage, team: str) -> str:
    """Push an image to ``REGISTRY/TEAM``, tagged with its revision, and return the digest that the registry has for it.

    Raises ``InputError`` for an image that nobody could build again, ``Unreachable`` where the registry does not take it.
    """
    refuse_uncommitted(name, built)
    return buildah.push(built.image, f"docker://{repository(name, team)}:{built.revision}")


def record(name: str, built: BuiltImage, team: str, digest: str) -> PushedImage:
    """Write a pushed image into the lock, and return its entry there. Raises ``InputError`` where the lock cannot be written."""
    entries = {**lockfile.read().built, name: PushedImage(repository(name, team), digest, built.inputs)}
    table = {stack: lock_editor.in_braces(asdict(entry)) for stack, entry in sorted(entries.items())}
    lock_editor.edit(paths.LOCK, {("built",): lock_editor.in_braces(table)})
    return entries[name]


def repository(name: str, team: str) -> str:
    """Return the repository of a stack's image below ``REGISTRY/TEAM``."""
    return f"{team.rstrip('/')}/bloomz-bench-{name}"


def pushed_digest(name: str, built: BuiltImage, team: str) -> str | None:
    """Return the digest that the registry has for an image's tag, None unless that is this very image: a push may have been cut off.

    Raises ``Unreachable`` where the registry does not answer.
    """
    manifest = container_registry.manifest(f"{repository(name, team)}:{built.revision}")
    try:
        is_this = manifest is not None and json.loads(manifest)["config"]["digest"] == f"sha256:{built.image}"
    # a manifest of another kind
    except (ValueError, KeyError, TypeError):
        is_this = False
    return container_registry.digest_of(manifest) if manifest is not None and is_this else None


def refuse_uncommitted(name: str, built: BuiltImage) -> None:
    """Raise ``InputError`` for an image that nobody could build again: it holds changes that no commit has."""
    if built.revision.endswith("-dirty") or built.revision == "unknown":
        raise InputError(f"{name} was not pushed: it holds changes that no commit has. Commit them and build again.")


def other_builder(built: BuiltImage, lock: Lock) -> str | None:
    """Return in words that another buildah built the image than the one of the lock, None where that one did.

    Such an image is pushed all the same. What is installed in it is decided by hashes, and ``bench`` compares every file with them;
    a Job names the image by its digest, and the image's label names the builder. The pinned builder only decides whether somebody
    who builds again gets the same bytes. A refusal would send a person off to find the one release of one distribution.
    """
    pinned = lock.tools["buildah"]
    if built.builder == pinned:
        return None
    return (
        f"buildah {built.builder} built the image, and versions.lock says {pinned}: a build with that one may give another digest."
        " The label bloomz-bench.builder says which it was"
    )


def is_current(lock: Lock, name: str, entry: PushedImage) -> bool:
    """Return, offline, whether a stack's pushed image was built from this checkout's inputs."""
    return entry.inputs == build.inputs_of(lock, name)
