"""Say what keeps a run from its result: objects of the cluster in, one sentence and one next step out. Pure.

Each module holds the rows of one subject, most telling first; a row is a function of an ``Observed`` that returns a ``Problem``
or None. What the API server itself answered is told by ``requests``. Messages are those of Kubernetes 1.31 to 1.37.
"""

from runner.host.diagnosis import admission, endings, pods, scheduling
from runner.host.diagnosis.problem import Observed, Problem, ending

__all__ = ["Observed", "Problem", "diagnose", "ending"]

# An ending says more than what was waited for before it, a pod's own state more than the events around it, and what a
# container or Job says of itself in general least.
ROWS = (*endings.ROWS, *pods.ROWS, *scheduling.ROWS, *admission.ROWS, *endings.LAST_ROWS)


def diagnose(observed):
    """Return the most telling ``Problem`` of a run, or None where nothing is wrong that can be seen."""
    return next((problem for row in ROWS if (problem := row(observed)) is not None), None)
