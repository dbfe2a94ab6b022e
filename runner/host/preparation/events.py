"""The events of preparing: the steps of a plan, as planned or as they begin, and what they fetch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from runner.contract.announce import Event, fact
from runner.host.preparation.fetches import Fetch
from runner.host.preparation.plan import Step


@dataclass(frozen=True)
class StepTold(Event, word="step"):
    """A step on the way from a clone to a verdict: with `--dry-run` every step, else each that begins or is left out as done."""

    step: str = field(
        metadata=fact("resolve, build, push, record, render, preflight, prefetch, submit, follow, collect or compare")
    )
    stack: str | None = field(metadata=fact("name of the stack; null for a step that is the same for all"))
    state: str = field(metadata=fact("done, to do, or blocked"))
    message: str = field(metadata=fact("what is done, or what blocks the step and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return f"{f'{self.step} {self.stack or chr(32)}'.strip():<17} {self.state:<8} {self.message}"


@dataclass(frozen=True)
class FetchTold(Event, word="fetch"):
    """What the step before this line fetches (`--dry-run`)."""

    what: str = field(metadata=fact("what is fetched"))
    fetcher: str = field(metadata=fact("who fetches it: this machine, or the cluster"))
    size_bytes: int | None = field(metadata=fact("how large it is; null where nobody knows before its origin is asked"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        size = "size not known" if self.size_bytes is None else f"{self.size_bytes / 1e9:.1f} GB"
        return f"{'':<26} {self.fetcher} fetches {self.what}: {size}"


def of_step(step: Step) -> StepTold:
    """Return the event of a step."""
    return StepTold(step.work, step.stack, step.state, step.says)


def of_plan(steps: list[Step]) -> Iterator[StepTold | FetchTold]:
    """Yield the events of a whole plan, each step before what it fetches."""
    for step in steps:
        yield of_step(step)
        yield from map(_of_fetch, step.fetches)


def _of_fetch(fetch: Fetch) -> FetchTold:
    return FetchTold(fetch.what, fetch.fetcher, fetch.size_bytes)
