"""Turn a cluster's refusal, or its silence, into the error of a verb, which has an exit code."""

from __future__ import annotations

from runner.contract.errors import ClusterRefused, KitError, Unreachable
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.diagnosis import requests


def as_kit_error(problem: Refused | Unanswered, cluster: Cluster) -> KitError:
    """Return the ``ClusterRefused`` of a request that the cluster refused, or the ``Unreachable`` of one that it could not answer."""
    if isinstance(problem, Refused):
        diagnosis = requests.refused(
            problem.status,
            problem.message,
            problem.action,
            cluster.namespace,
            problem.retry_after_s,
            cluster.kubectl_flags,
        )
        kind = Unreachable if problem.status == 429 or problem.status >= 500 else ClusterRefused
        return kind(str(diagnosis))
    return Unreachable(str(requests.unreachable(problem.reason, problem.action, cluster.server)))
