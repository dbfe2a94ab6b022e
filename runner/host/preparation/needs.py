"""Find what the Jobs of sets need: stacks with their pins, and models of the hub with theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.contract.errors import UsageError
from runner.host.pins import resolve
from runner.host.pins.resolve import Kind, OnYanked, Question
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock, LockPath
from runner.host.readers.profiles import Profiles
from runner.host.stacks import recipe

# What an origin answers at once, and what is compiled afterwards: whatever is refused is refused before anything slow begins.
ASKED: tuple[Kind, ...] = ("images", "git", "hub")
COMPILED: tuple[Kind, ...] = ("requirements", "packages")

# A question for the first of a pair waits for the answer to the second.
_FOLLOWS = {"platform": "digest", "tree": "commit", "files": "revision"}


@dataclass(frozen=True)
class Needs:
    """The needs of sets: the names of the sets, of their stacks, and of the models that the hub has; each once, in order.

    ``places`` are the beginnings of the places in the lock that hold the pins of all of these.
    """

    sets: tuple[str, ...]
    stacks: tuple[str, ...]
    models: tuple[str, ...]
    places: tuple[LockPath, ...]

    def has(self, where: LockPath) -> bool:
        """Return whether a pin of the lock is needed."""
        return any(where[: len(place)] == place for place in self.places)


def of(catalog: Catalog, table: Profiles, lock: Lock, sets: Sequence[str]) -> Needs:
    """Return what the Jobs of ``sets`` need. Raises ``UsageError`` for a set that profiles.yaml does not have."""
    unknown = [name for name in sets if name not in table.sets]
    if unknown:
        raise UsageError(f"There is no set {unknown[0]!r}. Known are {', '.join(table.sets)}.")
    cases = [catalog.cases[case] for name in sets for case in table.sets[name].cases]
    models = tuple(dict.fromkeys(case.model for case in cases if case.weights == "hub" and case.model in lock.models))
    of_the_stacks = of_stacks(lock, [case.stack for case in cases])
    places = of_the_stacks.places + tuple(("models", name) for name in models)
    return Needs(tuple(dict.fromkeys(sets)), of_the_stacks.stacks, models, places)


def of_stacks(lock: Lock, named: Sequence[str]) -> Needs:
    """Return what the images of some stacks of the lock need."""
    stacks = tuple(dict.fromkeys(named))
    sources = dict.fromkeys(source for stack in stacks for source in lock.stacks[stack].sources.values())
    places: list[LockPath] = [("requirements", tools) for tools in recipe.BUILD_TOOLS]
    places += [("stacks", name) for name in stacks]
    places += [("sources", name) for name in sources]
    return Needs((), stacks, (), tuple(places))


def open_pins(lock: Lock, needs: Needs) -> list[LockPath]:
    """Return the places of the needed pins that nobody has resolved yet, less those that only the build of an image tells."""
    return [where for where in resolve.unresolved(lock) if needs.has(where) and not _is_told_by_the_build(lock, where)]


def without_origin(lock: Lock, needs: Needs) -> list[LockPath]:
    """Return the open pins that no question can resolve: somebody must write them into versions.lock."""
    pins = open_pins(lock, needs)
    asked = {question.where for question in questions(lock, needs, (*ASKED, *COMPILED))}
    return [where for where in pins if where not in asked and _before(where) not in asked]


def questions(
    lock: Lock, needs: Needs, kinds: Sequence[Kind], on_yanked: OnYanked = resolve.ignore_yanked
) -> Iterator[Question]:
    """Yield the questions that resolve open pins of some kinds; ``on_yanked`` takes each release that was withdrawn."""
    pins = set(open_pins(lock, needs))
    for kind in kinds:
        for question in resolve.plan(lock, kind, None, on_yanked):
            if question.where in pins:
                yield question


def _before(where: LockPath) -> LockPath | None:
    """Return the place of the pin whose answer a question waits for, None where it waits for none."""
    *above, last = where
    return (*above, _FOLLOWS[last]) if last in _FOLLOWS else None


def _is_told_by_the_build(lock: Lock, where: LockPath) -> bool:
    """Return whether the build of the stack's image resolves a pin: what the base holds, and what is built from sources."""
    if where[0] != "stacks":
        return False
    if where[2:] == ("image", "inventory"):
        return True
    if where[2] != "packages":
        return False
    origin = lock.stacks[where[1]].packages[where[3]].origin
    return (origin, where[4]) in (("base", "version"), ("source", "sha256"))
