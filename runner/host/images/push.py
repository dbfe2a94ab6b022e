"""Push a built image, and write it into the lock; tell whether a pushed image is still of this checkout's inputs."""

from __future__ import annotations

from dataclasses import asdict

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.images import build, buildah
from runner.host.images.build import BuiltImage
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import Lock, PushedImage


def push(name: str, built: BuiltImage, team: str) -> PushedImage:
    """Push an image to ``REGISTRY/TEAM``, write it into the lock, and return its entry there.

    Raises ``InputError`` for an image that nobody could build again, ``Unreachable`` where the registry does not take it.
    """
    if built.revision.endswith("-dirty") or built.revision == "unknown":
        raise InputError(f"{name} was not pushed: it holds changes that no commit has. Commit them and build again.")
    pinned, installed = lockfile.read().tools["buildah"], buildah.version()
    if installed != pinned:
        raise InputError(
            f"{name} was not pushed: buildah {installed} built it, and versions.lock says {pinned}. Install that one, or move"
            " the pin."
        )
    repository = f"{team}/bloomz-bench-{name}"
    digest = buildah.push(built.image, f"docker://{repository}:{built.revision}")
    entries = {**lockfile.read().built, name: PushedImage(repository, digest, built.inputs)}
    table = {stack: lock_editor.in_braces(asdict(entry)) for stack, entry in sorted(entries.items())}
    lock_editor.edit(paths.LOCK, {("built",): lock_editor.in_braces(table)})
    return entries[name]


def is_current(lock: Lock, name: str, entry: PushedImage) -> bool:
    """Return, offline, whether a stack's pushed image was built from this checkout's inputs."""
    return entry.inputs == build.inputs_of(lock, name)
