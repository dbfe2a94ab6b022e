"""The rights in a namespace that a person needs to submit, follow, collect and cancel runs: one table, read by all who speak of them.

``manifests.accounts`` renders the table as the submitter's Role, and ``cluster.preflight`` asks the cluster for each right of it.
Exec, secrets and updates are in no rule: no verb of this kit uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runner.contract.records import JsonObject


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource of an API group; ``resource`` names a subresource after a slash (``pods/log``)."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


@dataclass(frozen=True)
class Rule:
    """Some verbs on some resources of one API group, as a rule of a Role grants them."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]

    def rights(self) -> Iterator[Right]:
        """Yield the single rights, in the order in which the rule lists resources and verbs."""
        for resource in self.resources:
            for verb in self.verbs:
                yield Right(self.group, resource, verb)

    def to_json(self) -> JsonObject:
        """Return the rule as an item of a Role's ``rules``."""
        return {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}


_WHOLE_LIFE = ("create", "get", "list", "watch", "delete")

JOB_RULES = (
    Rule("batch", ("jobs",), _WHOLE_LIFE),
    Rule("", ("pods",), ("list", "watch")),
    Rule("", ("pods/log",), ("get",)),
    Rule("", ("events",), ("list", "watch")),
    Rule("", ("persistentvolumeclaims",), ("get",)),
    Rule("", ("configmaps",), ("create", "get")),
    Rule("", ("serviceaccounts",), ("get",)),
)
# By the kind of the run in lower case, as profiles name it. Such a run needs the rules of Jobs too.
OPERATOR_RULES = {
    "mpijob": Rule("kubeflow.org", ("mpijobs",), _WHOLE_LIFE),
    "jobset": Rule("jobset.x-k8s.io", ("jobsets",), _WHOLE_LIFE),
}
QUEUE_RULE = Rule("kueue.x-k8s.io", ("workloads", "localqueues"), ("get", "list"))
# The rights of QUEUE_RULE that a submitter uses. No rule grants a watch of Workloads; the client lists them instead.
QUEUE_RIGHTS = (Right("kueue.x-k8s.io", "localqueues", "get"), Right("kueue.x-k8s.io", "workloads", "list"))


def needed(kinds: set[str], queued: bool = False) -> list[Right]:
    """Return the rights that runs of these kinds (Job, MPIJob, JobSet) need; ``queued`` adds those for a queue of Kueue."""
    operators = [OPERATOR_RULES[kind.lower()] for kind in sorted(kinds - {"Job"})]
    rights = [right for rule in (*JOB_RULES, *operators) for right in rule.rights()]
    return [*rights, *(QUEUE_RIGHTS if queued else ())]
