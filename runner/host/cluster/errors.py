"""What a cluster's refusal, or its silence, is to the verbs: an error with an exit code."""

from runner.contract.errors import ClusterRefused, Unreachable
from runner.host.cluster.client import Refused
from runner.host.diagnosis import requests


def as_error(problem, cluster):
    """Return the ``KitError`` of what the cluster refused (``Refused``) or left unanswered (``Unanswered``)."""
    if isinstance(problem, Refused):
        said = requests.refused(
            problem.status,
            problem.message,
            problem.doing,
            cluster.namespace,
            problem.retry_after_s,
            cluster.place,
        )
        kind = Unreachable if problem.status == 429 or problem.status >= 500 else ClusterRefused
        return kind(str(said))
    return Unreachable(str(requests.unreachable(problem.words, problem.doing, cluster.server)))
