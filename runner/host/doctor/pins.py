"""The pins that the stacks of the cases need, and whether the images that were built and pushed are of this checkout."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from runner.host.doctor.findings import Answer, Look, not_ready, ready, warning
from runner.host.doctor.needs import Need, stacks
from runner.host.images import build, push
from runner.host.pins import resolve
from runner.host.readers.lockfile import Lock, LockPath

# What a build cannot do without; a pod that installs a stack takes a base by its tag, where nobody has published a digest.
_NEEDED_BY_BUILDS = ("digest", "commit")
_NEEDED_BY_PODS = ("commit",)


def looks(lock: Lock, needs: Sequence[Need], on_a_cluster: bool) -> list[Look]:
    """Return two looks for each stack that runs in an image: at its pins, and at its image."""
    made = []
    for name in stacks(needs):
        made.append(Look("pins", f"pins of {name}", partial(of_stack, lock, name, on_a_cluster)))
        if on_a_cluster:
            made.append(Look("pins", f"image of {name}", partial(pushed_image, lock, name)))
        elif lock.stacks[name].runs_in_image:
            made.append(Look("pins", f"image of {name}", partial(image, lock, name)))
    return made


def of_stack(lock: Lock, name: str, on_a_cluster: bool) -> Answer:
    """Say which pins of a stack are unresolved. An unresolved base or commit keeps the stack from being made at all."""
    open_pins = unresolved(lock, name)
    remedy = f"`python -m runner lock --stack {name}` where the network reaches the origins of the pins."
    needed = _NEEDED_BY_PODS if on_a_cluster else _NEEDED_BY_BUILDS
    blocking = [where for where in open_pins if where[-1] in needed]
    if blocking:
        return not_ready(f"Unresolved, and needed to make the stack: {_shown(blocking)}.", remedy)
    if open_pins:
        return warning(f"Unresolved, which keeps nobody from making the stack: {_shown(open_pins)}.", remedy)
    return ready("All are resolved.")


def unresolved(lock: Lock, name: str) -> list[LockPath]:
    """Return the paths of the unresolved pins of a stack and of the sources that it is built from."""
    sources = set(lock.stacks[name].sources.values())
    return [
        where
        for where in resolve.unresolved(lock)
        if where[:2] == ("stacks", name) or (where[0] == "sources" and where[1] in sources)
    ]


def pushed_image(lock: Lock, name: str) -> Answer:
    """Say whether the image of a stack that was pushed is of what this checkout holds. Without one, pods install the stack."""
    pushed = lock.built.get(name)
    if pushed is None:
        return ready("None was pushed: the pods install the stack themselves.")
    if push.is_current(lock, name, pushed):
        return ready(f"{pushed.reference} is of this checkout.")
    return warning(
        f"{pushed.reference} was built from other inputs than this checkout holds.",
        f"`make images STACKS={name} PUSH=registry/team` builds and pushes it again.",
    )


def image(lock: Lock, name: str) -> Answer:
    """Say whether the image of a stack that was pushed, or the one that was built here, is of what this checkout holds."""
    if name in lock.built:
        return pushed_image(lock, name)
    built = build.earlier(name)
    again = f"`make images STACKS={name}` builds it."
    if built is None:
        return warning("None was built here, and none was pushed.", again)
    if not built.pinned:
        return warning("The one that was built here stands on a stand-in base.", again)
    if build.current(lock, name) is None:
        return warning("The one that was built here is of other inputs than this checkout holds.", again)
    return ready("The one that was built here is of this checkout; none was pushed.")


def _shown(pins: Sequence[LockPath]) -> str:
    return ", ".join(".".join(where) for where in pins)
