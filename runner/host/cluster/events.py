"""The events of runs in a cluster that more than one verb prints."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.contract.announce import Event, fact
from runner.host.cluster.client import Cluster
from runner.host.cluster.progress import Outcome


@dataclass(frozen=True)
class LogKept(Event, word="log"):
    """A log of a run that has results lies here."""

    run: str = field(metadata=fact("name of the run"))
    path: str = field(metadata=fact("path of the log"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.path


@dataclass(frozen=True)
class RunEnded(Event, word="ended"):
    """A run has ended, and is followed no more."""

    run: str = field(metadata=fact("name of the run"))
    kind: str = field(metadata=fact("Job, MPIJob or JobSet"))
    namespace: str = field(metadata=fact("namespace of the run"))
    error: str | None = field(
        metadata=fact("class of the error that the run ended with; null where nothing went wrong")
    )
    exit_code: int = field(metadata=fact("exit code of that error; 0 where nothing went wrong"))
    message: str | None = field(metadata=fact("what went wrong, and what to do; null where nothing did"))

    @classmethod
    def of(cls, outcome: Outcome, cluster: Cluster) -> RunEnded:
        """Return the event of a run that was followed to its end."""
        run, error = outcome.run, outcome.error
        return cls(
            run=run.name,
            kind=run.kind,
            namespace=cluster.namespace,
            error=None if error is None else type(error).__name__,
            exit_code=0 if error is None else error.exit_code,
            message=None if error is None else str(error),
        )
