"""Find the image that a stack's container runs: one by digest, or the one that was built here; and bring it to podman or docker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from runner.contract.errors import InputError, Unreachable
from runner.host.containers.runtimes import Program
from runner.host.images import build, buildah
from runner.host.readers.lockfile import Lock

_STANDARD_ERROR = 2


@dataclass(frozen=True)
class StackImage:
    """The image of a stack. ``reference`` names it by digest, as requests do.

    ``built`` is its local id in buildah's store where it was built here; its digest is then this id, the sha256 of its configuration,
    which every program that holds the image computes alike. None where a registry has it.
    """

    reference: str
    built: str | None
    stand_in: bool = False


def find(lock: Lock, stack: str, given: Mapping[str, str]) -> StackImage:
    """Return the image of a stack: the user's, the lock's, or the one that was built here of what this checkout holds.

    ``given`` maps stacks to references by digest. Raises ``InputError`` where there is none.
    """
    if stack in given:
        return StackImage(given[stack], None)
    if stack in lock.built:
        return StackImage(lock.built[stack].reference, None)
    mend = f"Build it: `make images STACKS={stack}`, or name one: --image {stack}=REFERENCE@sha256:DIGEST."
    built = build.current(lock, stack)
    if built is None and build.earlier(stack) is None:
        raise InputError(f"No image of {stack} was built here, and versions.lock names none. {mend}")
    if built is None:
        raise InputError(f"The image of {stack} was built of other files than those of this checkout. {mend}")
    reference = f"localhost/bloomz-bench/{stack}@sha256:{built.image.removeprefix('sha256:')}"
    return StackImage(reference, built.image, stand_in=not built.pinned)


def known_as(program: Program, stack: str, image: StackImage) -> str:
    """Return the name by which a program knows an image, or will know it once ``bring`` has brought it.

    docker has a store of its own, where an image that was built here gets its id for a tag: the tag then tells whether it is there.
    """
    if image.built is None:
        return image.reference
    if program == "podman":
        return image.built
    return f"localhost/bloomz-bench/{stack}:{image.built.removeprefix('sha256:')[:32]}"


def bring(program: Program, stack: str, image: StackImage, name: str) -> None:
    """Fetch an image, or load it into docker's store, where the program does not know ``name`` yet.

    What the program says meanwhile goes to standard error. Raises ``Unreachable`` where the image cannot be fetched, ``InputError``
    where an image that was built here is gone.
    """
    if _has(program, name):
        return
    if image.built is None:
        _show(f"fetching {image.reference}")
        _fetch(program, image.reference)
    elif program == "docker":
        _show(f"loading the image of {stack} into docker's store")
        buildah.hand_over(image.built, name, ["docker", "load", "--quiet"])
    else:
        raise InputError(
            f"The image of {stack} that was built here is gone from podman's store. Build it: `make images STACKS={stack}`."
        )


def _has(program: Program, name: str) -> bool:
    command = [program, "image", "inspect", "--format", "{{.Id}}", name]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def _fetch(program: Program, reference: str) -> None:
    done = subprocess.run([program, "pull", reference], stdin=subprocess.DEVNULL, stdout=_STANDARD_ERROR)
    if done.returncode != 0:
        raise Unreachable(
            f"{program} could not fetch {reference}: see what it said above. Log in to its registry, or build the image here."
        )


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
