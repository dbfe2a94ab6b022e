"""Look at what this machine has of what preparing needs: the state of the checkout, programs, images that were built before."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from runner.host.images import build, buildah, checkout
from runner.host.images.build import BuiltImage
from runner.host.images.checkout import Checkout
from runner.host.preparation.needs import Needs

# The programs that build and push an image, each with the package of Debian that brings it.
PROGRAMS = {"buildah": "buildah podman runc", "git": "git", "skopeo": "skopeo"}


@dataclass(frozen=True)
class Here:
    """What this machine has. ``missing`` are programs that are not installed; ``built`` are the images that lie here, by stack.

    ``gone`` are the stacks whose recorded image the registry no longer has; whoever asks no registry knows of none.
    """

    checkout: Checkout
    missing: tuple[str, ...]
    built: dict[str, BuiltImage]
    gone: frozenset[str] = frozenset()


def look(needs: Needs) -> Here:
    """Return what this machine has; nothing is fetched or written. Raises ``InputError`` where no time of the checkout is known."""
    missing = tuple(program for program in PROGRAMS if shutil.which(program) is None)
    records = {name: build.earlier(name) for name in needs.stacks}
    can_look = "buildah" not in missing
    built = {name: image for name, image in records.items() if image and can_look and buildah.is_here(image.image)}
    return Here(checkout.read(), missing, built)
