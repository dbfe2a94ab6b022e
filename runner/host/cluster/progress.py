"""The progress of following a run: the state that the follower changes, apart from what the run is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runner.contract.errors import DamagedResult, KitError
from runner.host.cluster.logs import LogReader
from runner.host.cluster.runs import FollowedRun
from runner.host.diagnosis import stages


@dataclass
class Progress:
    """The state of one run while it is followed. Times are those of the follower's monotonic clock, in seconds.

    ``logs`` are the readers by (pod uid, container). ``collects_for`` is set for the Job that takes another run's results off
    a volume, and ``collecting`` for the run whose results such a Job takes. ``done`` runs are followed no more; ``error`` then
    says what went wrong, None if nothing did.
    """

    run: FollowedRun
    collects_for: Progress | None = None
    collecting: Progress | None = None
    logs: dict[tuple[str, str], LogReader] = field(default_factory=dict)
    stage: stages.Stage | None = None
    timer: stages.Timer = field(default_factory=stages.Timer)
    # word, mark and text of the last stage as seen without nodes and claims
    plain_stage: tuple[str, str, str] | None = None
    look_at_s: float = 0.0
    shown_at_s: float = 0.0
    over_since_s: float | None = None
    expected_until_s: float | None = None
    done: bool = False
    error: KitError | None = None

    @classmethod
    def of(cls, run: FollowedRun, collects_for: Progress | None = None) -> Progress:
        """Return the progress of a run that is not followed yet."""
        return cls(run, collects_for, expected_until_s=run.expected_until_s)

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.run.name

    @property
    def measures(self) -> bool:
        """Return whether results of its own are expected of the run: a Job that takes them off a volume has none."""
        return self.collects_for is None and self.run.measures


@dataclass(frozen=True)
class Outcome:
    """The outcome of following a run: ``error`` says what went wrong, None if nothing did."""

    run: FollowedRun
    error: KitError | None

    @property
    def results(self) -> list[Path]:
        """Return the logs that results may be taken from: none of a run without results, or of one that ran other software."""
        return self.run.log_files if self.run.measures and not isinstance(self.error, DamagedResult) else []
