"""Turn a cluster's refusal, or its silence, into the error of a verb, which has an exit code."""

from __future__ import annotations

from runner.contract.errors import ClusterRefused, KitError, Unreachable
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.diagnosis import requests
from runner.host.diagnosis.problem import Problem


def as_problem(problem: Refused | Unanswered, cluster: Cluster) -> Problem:
    """Return in words what the cluster refused, or could not answer."""
    if isinstance(problem, Unanswered):
        return requests.unreachable(problem.reason, problem.action, cluster.server)
    return requests.refused(
        problem.status,
        problem.message,
        problem.action,
        cluster.namespace,
        problem.retry_after_s,
        cluster.kubectl_flags,
    )


def as_kit_error(problem: Refused | Unanswered, cluster: Cluster) -> KitError:
    """Return the ``ClusterRefused`` of a request that the cluster refused, or the ``Unreachable`` of one that it could not answer."""
    words = str(as_problem(problem, cluster))
    is_refusal = isinstance(problem, Refused) and problem.status != 429 and problem.status < 500
    return ClusterRefused(words) if is_refusal else Unreachable(words)
