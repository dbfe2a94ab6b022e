"""Plan the way of sets from a clone to a verdict: each step with its state, and what it fetches.

A plan reads the lock, the catalog and files of this checkout; it fetches nothing and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from runner.contract.errors import InputError, KitError, UnresolvedPin, Unsupported
from runner.host.images import build, push
from runner.host.images.build import BuiltImage
from runner.host.preparation import fetches, needs
from runner.host.preparation.fetches import Fetch
from runner.host.preparation.here import PROGRAMS, Here
from runner.host.preparation.needs import Needs
from runner.host.readers import lockfile
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock, PushedImage

State = Literal["done", "to do", "blocked"]
# The steps of preparing, and those that come after it.
Work = Literal[
    "resolve",
    "build",
    "push",
    "record",
    "render",
    "preflight",
    "prefetch",
    "submit",
    "follow",
    "collect",
    "compare",
]
PREPARING: tuple[Work, ...] = ("resolve", "build", "push", "record")


@dataclass(frozen=True)
class Step:
    """A step: what is done, for which stack (None for all), its state, and why in words.

    ``block`` is the error that a blocked step would end with.
    """

    work: Work
    stack: str | None
    state: State
    says: str
    fetches: tuple[Fetch, ...] = ()
    block: KitError | None = None


def make(catalog: Catalog, lock: Lock, needed: Needs, here: Here, team: str) -> list[Step]:
    """Return all steps in their order; images go to ``team``, which is REGISTRY/TEAM."""
    steps = [_resolve(lock, needed)]
    files = lockfile.requirements_files(lock)
    compiled = not any(where[:-1] in files for where in needs.open_pins(lock, needed))
    for name in needed.stacks:
        steps += _of_stack(lock, name, compiled, here, team)
    return [*steps, *_afterwards(catalog, lock, needed)]


def refuse_blocked(steps: list[Step]) -> None:
    """Raise the error of the first step that is blocked."""
    for step in steps:
        if step.block is not None:
            raise step.block


def recorded(lock: Lock, name: str, team: str) -> PushedImage | None:
    """Return the image of a stack that the lock names in ``team``, None where the lock names none there."""
    entry = lock.built.get(name)
    return entry if entry is not None and entry.repository == push.repository(name, team) else None


def can_push(built: BuiltImage, lock: Lock, name: str) -> bool:
    """Return whether an image was built from what is here now, and may be pushed."""
    is_committed = built.revision != "unknown" and not built.revision.endswith("-dirty")
    return built.pinned and is_committed and built.inputs == build.inputs_of(lock, name)


def _resolve(lock: Lock, needed: Needs) -> Step:
    pins = needs.open_pins(lock, needed)
    if not pins:
        return Step("resolve", None, "done", "every pin that is needed stands in versions.lock")
    listed = ", ".join(".".join(where) for where in pins)
    step = Step("resolve", None, "to do", f"{len(pins)} open pins, for which their origins are asked: {listed}")
    lost = needs.without_origin(lock, needed)
    if lost:
        error = UnresolvedPin(
            f"{'.'.join(lost[0])} is unresolved in versions.lock, and nobody can be asked for it. Write it there by hand, commit,"
            " and run the same again."
        )
        return _blocked(step, error)
    return step


def _of_stack(lock: Lock, name: str, compiled: bool, here: Here, team: str) -> Iterator[Step]:
    """Yield the steps that bring the image of a stack into the registry and into the lock.

    Only where every requirements file is ``compiled`` can be told what the image is built from.
    """
    entry, repository = recorded(lock, name, team), push.repository(name, team)
    try:
        fetched = tuple(fetches.of_stack(lock, name)) if compiled else ()
        is_known = compiled and entry is not None and name not in here.gone
        is_pushed = is_known and entry is not None and push.is_current(lock, name, entry)
    except InputError as problem:
        yield _blocked(Step("build", name, "to do", ""), problem)
        return
    if is_pushed and entry is not None:
        yield Step("build", name, "done", "the registry has the image")
        yield Step("push", name, "done", entry.reference)
        yield Step("record", name, "done", "versions.lock names the image by its digest")
        return
    built = here.built.get(name)
    if compiled and built is not None and can_push(built, lock, name):
        yield Step(
            "build", name, "done", f"{built.image[:12]}, {built.bytes / 1e9:.2f} GB, is here from an earlier run"
        )
        yield _unless_missing(here, Step("push", name, "to do", f"to {repository}"))
    else:
        image = lock.stacks[name].image
        before = (
            "how much disk it takes is not known"
            if built is None
            else f"the one before took {built.bytes / 1e9:.2f} GB"
        )
        step = Step("build", name, "to do", f"on {image.repository}:{image.tag}; {before}", fetched)
        yield _unless_missing(here, _unless_changed(here, step))
        yield Step("push", name, "to do", f"to {repository}")
    yield Step("record", name, "to do", "its digest, in versions.lock")


def _afterwards(catalog: Catalog, lock: Lock, needed: Needs) -> Iterator[Step]:
    """Yield the steps that other verbs take once everything is prepared; `make` runs one after the other."""
    weights = tuple(fetches.of_model(catalog, lock, name) for name in needed.models)
    sets = " ".join(needed.sets)
    yield Step("render", None, "to do", f"the manifests of {sets}, into build/manifests")
    yield Step("preflight", None, "to do", "ask the cluster for rights, volumes, nodes and devices")
    if weights:
        yield Step("prefetch", None, "to do", "one Job, onto the volume that all others read", weights)
    yield Step(
        "submit", None, "to do", "one Job after the other; what runs or is complete already is not started again"
    )
    yield Step("follow", None, "to do", "each Job to its end, and keep its log")
    yield Step("collect", None, "to do", "the results, out of the logs")
    yield Step("compare", None, "to do", "the results with the published numbers")


def _unless_changed(here: Here, step: Step) -> Step:
    problem = here.checkout.problem
    return step if problem is None else _blocked(step, InputError(f"{step.stack}: {problem}."))


def _unless_missing(here: Here, step: Step) -> Step:
    if step.block is not None or not here.missing:
        return step
    packages = " ".join(PROGRAMS[program] for program in here.missing)
    error = Unsupported(
        f"{', '.join(here.missing)}: not installed, and building and pushing {step.stack} needs it. Install it (apt-get install"
        f" {packages}), and run the same again."
    )
    return _blocked(step, error)


def _blocked(step: Step, error: KitError) -> Step:
    return replace(step, state="blocked", says=str(error), block=error)
