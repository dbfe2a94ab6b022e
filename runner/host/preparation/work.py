"""Take the steps of a plan, from the first that is not done: resolve pins, then build, push and record each image.

Every step leaves its truth on disk or in the registry, so that the same command goes on where an earlier one was cut off.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from runner.contract import progress
from runner.contract.announce import Announcer
from runner.contract.errors import InputError, UnresolvedPin
from runner.contract.progress import Task
from runner.host.images import build, push
from runner.host.images.build import BuiltImage
from runner.host.images.events import ImageBuilt, ImagePushed, OtherBuilder
from runner.host.pins import answering
from runner.host.pins.events import ReleaseYanked
from runner.host.pins.origins import container_registry
from runner.host.pins.resolve import Kind
from runner.host.preparation import events, here, needs, plan
from runner.host.preparation.needs import Needs
from runner.host.preparation.plan import Step
from runner.host.readers import lockfile
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock, LockPath


def prepare(catalog: Catalog, needed: Needs, team: str, announcer: Announcer) -> None:
    """Do what is not done yet of the needs of sets; images go to ``team``, which is REGISTRY/TEAM.

    What would fail later is looked at first. Raises the error of a step that is blocked, ``InputError`` for a pin whose origin has
    nothing of the kind, ``Unreachable`` where an origin or the registry does not answer, and what ``build.execute`` raises.
    """
    task = progress.begin(" ".join(needed.sets), _show)
    try:
        gone = _gone(needed, team, task)
        steps = _planned(catalog, needed, team, gone)
        _ask_registry(steps, team, task)
        announcer.announce(events.of_step(steps[0]))
        if steps[0].state != "done":
            resolve(needed, announcer, task)
    finally:
        task.end()
    digests: dict[str, str] = {}
    for step in _planned(catalog, needed, team, gone):
        if step.stack is not None:
            _take(step, step.stack, team, digests, announcer)


def resolve(needed: Needs, announcer: Announcer, task: Task) -> None:
    """Resolve the open pins: first all that an origin answers at once, then what is compiled.

    Raises ``InputError`` and ``Unreachable`` for pins that stay open. A hub that is silent about a model's files keeps nothing from
    being built: the prefetch in the cluster asks the hub again.
    """
    for kinds in (needs.ASKED, needs.COMPILED):
        outcomes = Counter(
            outcome
            for where, outcome in _answers(kinds, needed, announcer, task)
            if where[-1] != "files" or outcome != "silent"
        )
        answering.refuse_failures(outcomes, ("none", "refused"))


def unblock(lock: Lock, stacks: Sequence[str], announcer: Announcer) -> None:
    """Resolve the pins of those stacks whose images cannot be built without. Raises what ``resolve`` raises."""
    blocked = [name for name in stacks if _lacks_a_pin(lock, name)]
    if not blocked:
        return
    task = progress.begin(" ".join(blocked), _show)
    try:
        resolve(needs.of_stacks(lock, blocked), announcer, task)
    finally:
        task.end()


def _lacks_a_pin(lock: Lock, name: str) -> bool:
    """Return whether an open pin keeps the image of a stack from being built."""
    try:
        build.plan(lock, name)
    except UnresolvedPin:
        return True
    sources = [lock.sources[source] for source in lock.stacks[name].sources.values()]
    return any(lockfile.UNRESOLVED in (source.commit, source.tree) for source in sources)


def _gone(needed: Needs, team: str, task: Task) -> frozenset[str]:
    """Return the stacks whose recorded image the registry no longer has. Raises ``Unreachable`` where the registry does not answer."""
    lock = lockfile.read()
    entries = {name: plan.recorded(lock, name, team) for name in needed.stacks}
    gone = set()
    for name, entry in entries.items():
        if entry is not None:
            what = f"asking for {entry.reference}"
            task.update(progress.Step(what, sentence=what))
            gone |= {name} if container_registry.manifest(entry.reference) is None else set()
    return frozenset(gone)


def _planned(catalog: Catalog, needed: Needs, team: str, gone: frozenset[str]) -> list[Step]:
    """Return the plan of this moment. Raises the error of a step that is blocked."""
    facts = replace(here.look(needed), gone=gone)
    steps = plan.make(catalog, lockfile.read(), needed, facts, team)
    plan.refuse_blocked(steps)
    return steps


def _ask_registry(steps: Sequence[Step], team: str, task: Task) -> None:
    """Ask the registry for everything that a push needs, before anything is built.

    Raises ``Unreachable`` where the registry does not take an image: a login may be missing.
    """
    for step in steps:
        if step.work == "push" and step.state == "to do" and step.stack is not None:
            repository = push.repository(step.stack, team)
            what = f"asking whether {repository} takes an image"
            task.update(progress.Step(what, sentence=what))
            container_registry.refuse_unwritable(repository)


def _answers(
    kinds: Sequence[Kind], needed: Needs, announcer: Announcer, task: Task
) -> Iterator[tuple[LockPath, answering.Outcome]]:
    """Ask every question of some kinds, and yield the place of each pin with what became of it; an answer may open a question."""

    def say_yanked(package: str, version: str) -> None:
        announcer.announce(ReleaseYanked(package, version))

    asked: set[LockPath] = set()
    while True:
        waiting = [
            question
            for question in needs.questions(lockfile.read(), needed, kinds, say_yanked)
            if question.where not in asked
        ]
        if not waiting:
            return
        where = waiting[0].where
        what = f"asking for {'.'.join(where)}"
        task.update(progress.Step(what, len(asked), len(asked) + len(waiting), "steps", sentence=what))
        asked.add(where)
        yield where, answering.answer(waiting[0], announcer)


def _take(step: Step, name: str, team: str, digests: dict[str, str], announcer: Announcer) -> None:
    """Take one step of a stack, or say that the step is done. ``digests`` keeps what was pushed, by stack, until it is recorded."""
    task = progress.begin(name, _show)
    try:
        if step.work == "push" and step.state == "to do":
            # an earlier run may have been cut off before it recorded the image
            digest = push.pushed_digest(name, _built(name), team)
            if digest is not None:
                digests[name] = digest
                step = replace(step, state="done", says=f"the registry has it already: {digest}")
        announcer.announce(events.of_step(step))
        if step.state == "done":
            return
        if step.work == "build":
            announcer.announce(ImageBuilt.of(name, build.execute(build.plan(lockfile.read(), name), task)))
        elif step.work == "push":
            digests[name] = _push(name, team, task, announcer)
        else:
            announcer.announce(ImagePushed(name, push.record(name, _built(name), team, digests[name]).reference))
    finally:
        task.end()


def _push(name: str, team: str, task: Task, announcer: Announcer) -> str:
    """Push the image of a stack, and return its digest. Raises as ``push.upload`` does."""
    built = _built(name)
    difference = push.other_builder(built, lockfile.read())
    if difference is not None:
        announcer.announce(OtherBuilder(name, difference))
    task.update(progress.Step(f"pushing {built.bytes / 1e9:.2f} GB, less what the registry has"))
    return push.upload(name, built, team)


def _built(name: str) -> BuiltImage:
    """Return the image of a stack that was built here. Raises ``InputError`` where its record was taken away meanwhile."""
    built = build.earlier(name)
    if built is None:
        raise InputError(f"build/images/{name}/image.json is gone. Run the same again, which builds the image anew.")
    return built


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
