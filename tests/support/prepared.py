"""Locks, machines and images as preparing meets them. For tests."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from runner.host.images import build
from runner.host.images.build import BuiltImage
from runner.host.images.checkout import Checkout
from runner.host.preparation.here import Here
from runner.host.readers.lockfile import UNRESOLVED, Lock, PinnedImage, PushedImage

TEAM = "registry.example/team"
COMMIT = "1a" * 20
DIGEST = f"sha256:{'1a' * 32}"
CLEAN = Checkout(COMMIT, 1700000000, ())


def machine(
    checkout: Checkout = CLEAN, missing: tuple[str, ...] = (), built: dict[str, BuiltImage] | None = None
) -> Here:
    """Return a machine that has everything, but for what is said."""
    return Here(checkout, missing, built or {})


def with_base(lock: Lock, name: str, digest: str) -> Lock:
    """Return a lock in which the base of a stack has this digest, or has none."""
    image: PinnedImage = replace(lock.stacks[name].image, digest=digest, platform=digest)
    return replace(lock, stacks={**lock.stacks, name: replace(lock.stacks[name], image=image)})


def with_commit(lock: Lock, source: str, branch: str | None) -> Lock:
    """Return a lock in which the commit of a source is open, and looked for on a branch."""
    pin = replace(lock.sources[source], commit=UNRESOLVED, tree=UNRESOLVED, branch=branch)
    return replace(lock, sources={**lock.sources, source: pin})


def image_of(
    lock: Lock, name: str, revision: str = COMMIT, pinned: bool = True, inputs: str | None = None
) -> BuiltImage:
    """Return an image of a stack that was built from what is here now."""
    hashed = build.inputs_of(lock, name) if inputs is None else inputs
    return BuiltImage("a" * 64, f"localhost/{name}", "base", pinned, revision, hashed, 7, 2_000_000_000, "1.28.2")


def pushed(lock: Lock, name: str, team: str = TEAM, inputs: str | None = None) -> Lock:
    """Return a lock that names the image of a stack as it was pushed."""
    hashed = build.inputs_of(lock, name) if inputs is None else inputs
    return replace(lock, built={**lock.built, name: PushedImage(f"{team}/bloomz-bench-{name}", DIGEST, hashed)})


def without_rows(text: str, table: str, kept: Collection[str]) -> str:
    """Return the text of a lock in which a table has no other rows than ``kept``: a lock is parsed often, and its length is time."""
    head, mark, rest = text.partition(f"\n{table}:\n")
    end = re.search(r"^[a-z#]", rest, re.MULTILINE)
    rows, after = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    parts = re.split(r"^(?=  [^ ])", rows, flags=re.MULTILINE)
    return head + mark + "".join(row for row in parts if row.strip().partition(":")[0] in kept) + "\n" + after
