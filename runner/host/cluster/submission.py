"""Plan a submission: which runs, in which order, and for each run whether it is created, followed or taken as it ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from runner.contract.errors import ClusterRefused, NotStarted
from runner.contract.records import JsonObject
from runner.host.cluster.runs import FollowedRun
from runner.host.diagnosis import ending
from runner.host.objects import names
from runner.host.objects.manifest_files import Manifest, runs_of
from runner.host.objects.names import SPEC_SHA256
from runner.host.objects.submitted import to_submit

# --- all runs ---


@dataclass(frozen=True)
class PlannedRun:
    """A run as it is to be submitted. A failed run that is ``required`` stops the runs after it, whose packages or weights it fetches."""

    manifest: JsonObject
    required: bool

    @property
    def name(self) -> str:
        """The name of the run as it is submitted."""
        name: str = self.manifest["metadata"]["name"]
        return name

    @property
    def rendered_name(self) -> str:
        """Return the run's name in the rendered manifest, without the digest that a submission adds."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True)
class Plan:
    """The objects that a submission creates, in this order: ConfigMaps at once, then each run after the end of the run before it."""

    config_maps: tuple[JsonObject, ...]
    runs: tuple[PlannedRun, ...]

    @property
    def measures(self) -> bool:
        """Return whether some run of the plan has a result."""
        return not all(run.required for run in self.runs)

    @property
    def manifests(self) -> list[JsonObject]:
        """Return the objects of the runs, in order."""
        return [run.manifest for run in self.runs]

    @property
    def objects(self) -> list[JsonObject]:
        """Return all objects, in order."""
        return [*self.config_maps, *self.manifests]

    def with_config_maps(self, config_maps: Sequence[JsonObject]) -> Plan:
        """Return the plan with these ConfigMaps instead of its own."""
        return replace(self, config_maps=tuple(config_maps))


def plan(
    manifests: Sequence[Manifest],
    only: Sequence[str] | None = None,
    deadline_s: int | None = None,
    detach: bool = False,
) -> Plan:
    """Return the plan of a submission: Jobs that fetch packages, Jobs that fetch weights, bench Jobs; each in the manifests' order.

    ``only`` are parts of names of the bench Jobs to take. ``detach`` leaves every Job as patient as it was rendered, since all are
    created at once. ``config_maps`` is empty until a preflight fills it. Raises ``UsageError`` for a part that no name has, and
    ``InputError`` for a manifest that cannot be submitted.
    """
    bench = [
        PlannedRun(to_submit(manifest.content, deadline_s, alone=not detach), required=False)
        for manifest in runs_of(manifests, names.BENCH, only)
    ]
    fetching = [
        PlannedRun(to_submit(manifest.content, alone=not detach), required=True)
        for component in (names.PACKAGES, names.PREFETCH)
        for manifest in runs_of(manifests, component)
    ]
    return Plan((), (*fetching, *bench))


# --- one run ---


class State(Enum):
    """The state of a run in the cluster when its turn comes."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    # gone from the cluster, and known from the folder of runs
    GONE = "gone"


class Step(Enum):
    """The step that a submission takes with a run, as the word that it shows."""

    CREATE = "created"
    FOLLOW = "runs already; following it"
    TAKE_COMPLETE = "is complete already; its result is taken"
    TAKE_FAILED = "failed before; what it left is taken. The same `submit` with --rerun measures again"
    TAKE_GONE = "was submitted before and is gone; what is kept of it is taken. --rerun measures again"


_STEPS = {
    State.RUNNING: Step.FOLLOW,
    State.COMPLETE: Step.TAKE_COMPLETE,
    State.FAILED: Step.TAKE_FAILED,
    State.GONE: Step.TAKE_GONE,
}


@dataclass(frozen=True)
class Repetition:
    """A run under one of its names, with the objects that have the name.

    ``existing`` is the object in the cluster, ``saved`` the object in the folder of runs.
    """

    run: FollowedRun
    existing: JsonObject | None
    saved: JsonObject | None

    @property
    def known(self) -> bool:
        """Return whether the name is taken. A prefetch that is gone may be created again: it finds its markers and ends at once."""
        return self.existing is not None or (self.saved is not None and self.run.measures)

    @property
    def state(self) -> State:
        """Where the run stands in the cluster."""
        if self.existing is None:
            return State.GONE
        return _state(self.existing)


def _state(existing: JsonObject) -> State:
    word = ending(existing)
    return State(word) if word else State.RUNNING


@dataclass(frozen=True)
class Decision:
    """The decision on a run, under the name and with the content of ``run``."""

    step: Step
    run: FollowedRun


def repeated(manifest: JsonObject, number: int) -> JsonObject:
    """Return the object of a run's repetition, counted from 1; from the second on the name ends with the number."""
    name = f"{manifest['metadata']['name']}{f'-r{number}' if number > 1 else ''}"
    return {**manifest, "metadata": {**manifest["metadata"], "name": name}}


def decide(newest: Repetition | None, unused: FollowedRun, rerun: bool, kubectl: str) -> Decision:
    """Return what to do with a run of which ``newest`` is the newest repetition that is known, None where none is.

    ``unused`` is the run under the first name that is not taken. ``rerun`` measures again what has ended, and prefetches again what
    has failed. Raises ``ClusterRefused`` and ``NotStarted``, see ``meet``; ``kubectl`` is the beginning of its commands.
    """
    if newest is None:
        return Decision(Step.CREATE, unused)
    repeatable = {State.COMPLETE, State.FAILED, State.GONE} if newest.run.measures else {State.FAILED}
    if rerun and newest.state in repeatable:
        return Decision(Step.CREATE, unused)
    if newest.existing is not None:
        return meet(newest.run, newest.existing, kubectl)
    # the loop over repetitions takes a name without an object for known only where an object was saved
    assert newest.saved is not None
    return Decision(Step.TAKE_GONE, replace(newest.run, manifest=newest.saved))


def meet(run: FollowedRun, existing: JsonObject, kubectl: str) -> Decision:
    """Return what to do with a run whose object exists in the cluster.

    Raises ``ClusterRefused`` for an object with another content, and ``NotStarted`` for one that is being deleted.
    """
    digest = run.manifest["metadata"]["annotations"][SPEC_SHA256]
    existing_digest = existing["metadata"].get("annotations", {}).get(SPEC_SHA256)
    if existing_digest != digest:
        raise ClusterRefused(
            f"{run.name} is there with another content (spec-sha256 {existing_digest or 'none'}, here {digest}). Delete it, if it is"
            f" nobody's: `{kubectl} delete {run.kind.lower()} {run.name}`."
        )
    state = _state(existing)
    if state == State.RUNNING and existing["metadata"].get("deletionTimestamp"):
        raise NotStarted(f"{run.name} is just being deleted. Submit again once it is gone.")
    return Decision(_STEPS[state], replace(run, manifest={**existing, "kind": run.kind}))
