"""Say, by pure functions, what keeps a run from its result: an ``Observed`` in, a sentence and a next step out.

Nothing here asks a cluster, reads a clock or decides what is done about a problem.

``endings``, ``pods``, ``scheduling`` and ``admission`` hold rows, the most telling row first. A row is a function of an ``Observed``
that returns a ``Problem``, or None where the row does not apply. The rows know the messages of Kubernetes 1.31 to 1.37.
"""

from __future__ import annotations

from collections.abc import Callable

from runner.host.diagnosis import admission, endings, pods, scheduling
from runner.host.diagnosis.observed import Observed
from runner.host.diagnosis.problem import Problem
from runner.host.objects.status import ending

__all__ = ["Observed", "Problem", "diagnose", "ending"]

# An ending says more than what the run waited for before. The state of the pod says more than the events around it. The exit code of
# a container and the condition of the Job say least.
ROWS: tuple[Callable[[Observed], Problem | None], ...] = (
    *endings.ROWS,
    *pods.ROWS,
    *scheduling.ROWS,
    *admission.ROWS,
    *endings.LAST_ROWS,
)


def diagnose(observed: Observed) -> Problem | None:
    """Return the most telling ``Problem`` of a run, or None where nothing seems to be wrong."""
    return next((problem for row in ROWS if (problem := row(observed)) is not None), None)
