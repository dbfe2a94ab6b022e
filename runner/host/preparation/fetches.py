"""List what preparing a stack or a model fetches, and how large that is as far as anybody knows it without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock
from runner.host.stacks import agreement, requirements

# Who fetches: this machine while an image is built, or the cluster.
Fetcher = Literal["this machine", "the cluster"]


@dataclass(frozen=True)
class Fetch:
    """A thing that is fetched; ``size_bytes`` is None where nobody knows it before its origin is asked."""

    what: str
    fetcher: Fetcher
    size_bytes: int | None


def of_stack(lock: Lock, name: str) -> list[Fetch]:
    """Return what the build of a stack's image fetches.

    Raises ``InputError`` for a requirements file that is not the one of the lock.
    """
    stack = lock.stacks[name]
    images = [stack.image] if stack.interpreter is None else [stack.image, stack.interpreter]
    fetches = [_here(f"the image {image.repository}:{image.tag}") for image in images]
    target = requirements.target_environment(stack.python)
    files = [entry for entry in (stack.torch, stack.requirements) if entry is not None]
    pins = [
        pin
        for entry in files
        for pin in requirements.read(agreement.locked_text(entry), entry.file)
        if requirements.serves(pin, target)
    ]
    fetches.append(_here(f"{len(pins)} packages of {' and '.join(entry.file for entry in files)}"))
    for source in dict.fromkeys(stack.sources.values()):
        pin = lock.sources[source]
        fetches.append(_here(f"commit {pin.commit} of {pin.repository}"))
    return fetches


def of_model(catalog: Catalog, lock: Lock, name: str) -> Fetch:
    """Return what a prefetch of a model fetches: its weights, which the hub keeps with 16 bits to a number."""
    size_bytes = catalog.models[name].weight_bytes("bfloat16")
    return Fetch(f"the weights of {lock.models[name].repository}", "the cluster", size_bytes)


def _here(what: str) -> Fetch:
    return Fetch(what, "this machine", None)
