"""The cluster of a kubeconfig: does it answer, may this user submit there, and are the things there that the Jobs name.

Nothing is created. Rights are asked by SelfSubjectAccessReview, as ``cluster.preflight`` asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from runner.contract.records import JsonObject
from runner.contract.text import printable
from runner.host.cluster import errors
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.doctor import nodes
from runner.host.doctor.findings import Answer, LastLook, Look, not_ready, ready, untold, warning
from runner.host.manifests import storage
from runner.host.manifests.plan import JobPlan
from runner.host.objects import names, rights
from runner.host.objects.quantities import quantity
from runner.host.objects.status import condition
from runner.host.objects.walk import CLAIM
from runner.host.readers.profiles import JobKind

# The oldest Kubernetes whose schema the manifests are tested with; in it podFailurePolicy of Jobs became stable.
OLDEST = (1, 31)
# A token or certificate may be refused where the clocks are further apart.
MOST_APART_S = 5.0
_KINDS: dict[JobKind, str] = {"job": "Job", "mpijob": "MPIJob", "jobset": "JobSet"}
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True)
class Wanted:
    """The things that the Jobs of a set, or of some cases, want of a cluster."""

    job_kind: JobKind
    plans: Sequence[JobPlan]
    queue: str | None
    storage_class: str | None


class ClusterLooks:
    """The looks at one cluster, in order. The first silence of the API server ends them."""

    def __init__(self, cluster: Cluster, wanted: Wanted) -> None:
        self._cluster, self._wanted = cluster, wanted
        # filled in by the look at the nodes
        self._nodes: Sequence[JsonObject] | None = None

    def looks(self) -> list[Look]:
        """Return the looks; each asks the API server."""
        asked: list[tuple[str, Callable[[], Answer]]] = [
            ("API server", self.version),
            ("clock of the API server", self.clock),
            ("rights", self.rights),
            ("namespace", self.namespace),
            ("account", self.account),
            ("operator", self.operator),
            ("queue", self.queue),
            ("volumes", self.volumes),
            ("nodes", self.list_nodes),
        ]
        for resource in dict.fromkeys(plan.resource for plan in self._wanted.plans):
            asked.append((f"device plugin of {resource}", partial(self._plugin, resource)))
        for name, plan in {plan.request.accelerator.name: plan for plan in self._wanted.plans}.items():
            asked.append((f"labels of {name}", partial(self._labels, plan)))
        for plan in self._wanted.plans:
            asked.append((f"room for {plan.request.case}", partial(self._room, plan)))
        asked.append(("network policies", self.network))
        return [Look("cluster", what, partial(self._answered, ask)) for what, ask in asked]

    def _answered(self, ask: Callable[[], Answer]) -> Answer:
        """Return the answer of a look; a refusal of the API server is one too. Raises ``LastLook`` where the server is silent."""
        try:
            return ask()
        except Unanswered as problem:
            words = errors.as_problem(problem, self._cluster)
            raise LastLook(not_ready(words.sentence, words.step)) from None
        except Refused as problem:
            words = errors.as_problem(problem, self._cluster)
            if problem.status == 401:
                raise LastLook(not_ready(words.sentence, words.step)) from None
            return untold(words.sentence, words.step)

    def version(self) -> Answer:
        """Say which version of Kubernetes answers."""
        version = printable(self._cluster.version(), 60)
        found = f"{self._cluster.server} answers with Kubernetes {version}"
        numbers = re.match(r"v?(\d+)\.(\d+)", version)
        if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
            return warning(
                f"{found}; the manifests are tested with {OLDEST[0]}.{OLDEST[1]} and newer.",
                "`python -m runner submit --dry-run` shows whether the server takes them.",
            )
        return ready(f"{found}.")

    def clock(self) -> Answer:
        """Say how far the clock of the API server is from this host's. The answers before tell the server's time in seconds."""
        ahead_s = self._cluster.clock_ahead_s
        found = (
            f"The clock of the API server is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this host's"
        )
        if abs(ahead_s) > MOST_APART_S:
            return warning(
                f"{found}.", "Synchronise both clocks: tokens and certificates are refused before their time."
            )
        return ready("The clocks of the API server and of this host agree.")

    def rights(self) -> Answer:
        """Say which rights these credentials lack."""
        needed = rights.needed({"Job", _KINDS[self._wanted.job_kind]}, queued=self._wanted.queue is not None)
        lacking = [str(right) for right in needed if not self._cluster.may(right)]
        if lacking:
            return not_ready(
                f"Of {len(needed)} rights in {self._cluster.namespace} these are missing: {', '.join(lacking)}.",
                "Ask for the Role in k8s/11-rbac-submitter.yaml to be bound to you.",
            )
        return ready(f"All {len(needed)} rights in {self._cluster.namespace} are there.")

    def namespace(self) -> Answer:
        """Say whether the namespace exists, and which level of Pod Security it enforces: the pods keep the strictest."""
        name = self._cluster.namespace
        try:
            namespace = self._cluster.get("Namespace", name)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            words = errors.as_problem(refusal, self._cluster)
            return not_ready(words.sentence, words.step)
        level = ((namespace or {}).get("metadata", {}).get("labels") or {}).get(names.POD_SECURITY_ENFORCE)
        shown = f"enforces the level {printable(str(level), 40)}" if level else "enforces no level of Pod Security"
        return ready(f"{name} exists and {shown}; the pods keep the level restricted.")

    def account(self) -> Answer:
        """Say whether the account of the pods is there."""
        if self._cluster.get("ServiceAccount", names.ACCOUNT) is None:
            return not_ready(
                f"The ServiceAccount {names.ACCOUNT} does not exist in {self._cluster.namespace}.", self._apply
            )
        return ready(f"The ServiceAccount {names.ACCOUNT} is there.")

    def operator(self) -> Answer:
        """Say whether the cluster knows the kind of the runs. Whether the operator behind the kind runs, nothing tells."""
        kind = _KINDS[self._wanted.job_kind]
        if kind == "Job":
            return ready("The runs are Jobs, which need no operator.")
        try:
            # no object has this name: that there is none is the answer of a cluster that knows the kind
            self._cluster.get(kind, "no-such-object")
        except Refused as refusal:
            if refusal.status != 404:
                raise
            words = errors.as_problem(refusal, self._cluster)
            return not_ready(words.sentence, words.step)
        return ready(f"The cluster knows {kind}.")

    def queue(self) -> Answer:
        """Say whether the queue of Kueue that the runs would wait in takes something."""
        name = self._wanted.queue
        if name is None:
            return ready("No queue of Kueue is named with --queue, and none is needed.")
        see = f"`{self._cluster.kubectl} get localqueues` shows what there is."
        try:
            queue = self._cluster.get("LocalQueue", name)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            return not_ready(
                "The cluster does not know LocalQueue (v1beta2) of Kueue.", "Leave --queue out, or install Kueue."
            )
        if queue is None:
            return not_ready(f"The LocalQueue {name} does not exist in {self._cluster.namespace}.", see)
        active = condition(queue, "Active") or {}
        if active.get("status") == "False":
            reason = printable(str(active.get("message") or active.get("reason") or "it does not say why"), 200)
            return not_ready(f"The LocalQueue {name} takes nothing: {reason.rstrip('.')}.", f"Ask its owner; {see}")
        return ready(f"The LocalQueue {name} takes runs.")

    def volumes(self) -> Answer:
        """Say whether the claims are there, or a storage class that would make volumes for them."""
        hub = [plan for plan in self._wanted.plans if plan.hub]
        read = storage.claims(shared=any(plan.nodes > 1 for plan in self._wanted.plans))
        claims = [names.RESULTS] + ([read.models] if hub else [])
        claims += [read.packages] if any(plan.installation for plan in self._wanted.plans) else []
        kept = {name: claim for name in claims if (claim := self._cluster.get(CLAIM, name)) is not None}
        if len(kept) == len(claims):
            return self._of_claims(kept, kept.get(read.models), hub)
        missing = ", ".join(name for name in claims if name not in kept)
        classes = self._cluster.storage_classes()
        if classes is None:
            return untold(f"The claim {missing} is not there, and storage classes may not be listed.", self._apply)
        found = [item["metadata"]["name"] for item in classes]
        default = [item["metadata"]["name"] for item in classes if _is_default(item)]
        wanted = [self._wanted.storage_class] if self._wanted.storage_class else default
        shown = printable(", ".join(found), 200) or "none"
        if not found:
            return not_ready(
                f"The claim {missing} is not there, and the cluster has no storage class.",
                "Install one, or make a volume for each claim by hand, and apply the manifests.",
            )
        if not wanted:
            return not_ready(
                f"The claim {missing} is not there, and no storage class is the default; there are: {shown}.",
                "Name one: `python -m runner render --storage-class NAME --out FOLDER`.",
            )
        if wanted[0] not in found:
            return not_ready(
                f"There is no storage class {printable(wanted[0], 60)}; there are: {shown}.",
                "Name one of them with --storage-class.",
            )
        return warning(f"The claim {missing} is not there; {wanted[0]} would make its volume.", self._apply)

    def _of_claims(self, claims: dict[str, JsonObject], models: JsonObject | None, hub: Sequence[JobPlan]) -> Answer:
        if models is not None:
            capacity = (models.get("status") or {}).get("capacity") or {}
            asked = ((models.get("spec") or {}).get("resources") or {}).get("requests") or {}
            size = quantity((capacity or asked).get("storage", 0))
            largest = sum(
                {
                    plan.request.model.name: plan.request.model.architecture.weight_bytes("bfloat16") for plan in hub
                }.values()
            )
            if 0 < size < largest:
                return not_ready(
                    f"The claim of the weights has {size / 1e9:.0f} GB, and the weights of the set take {largest / 1e9:.0f} GB.",
                    "Make the claim larger, where its storage class allows that, or make it anew.",
                )
        lost = [name for name, claim in claims.items() if (claim.get("status") or {}).get("phase") == "Lost"]
        if lost:
            return not_ready(
                f"The claim {', '.join(lost)} has lost its volume.",
                f"`{self._cluster.kubectl} describe pvc` says more.",
            )
        phases = ", ".join(
            f"{name} {printable(str((claim.get('status') or {}).get('phase', 'Pending')), 20)}"
            for name, claim in claims.items()
        )
        return ready(f"The claims are there: {phases}.")

    def list_nodes(self) -> Answer:
        """Say how many nodes there are. The looks after this one look at them."""
        listed = self._cluster.nodes()
        if listed is None:
            return untold(
                "These credentials may not list nodes, so devices, labels and room of the nodes cannot be told.",
                "Ask somebody who may: `kubectl get nodes`; a Job that finds no node says why.",
            )
        self._nodes = listed
        closed = sum(bool((node.get("spec") or {}).get("unschedulable")) for node in listed)
        shown = f"{len(listed)} node{'s' if len(listed) > 1 else ''}, {closed} of them closed to new pods"
        if not listed:
            return warning("There is no node.", "Start one; a cluster that grows on demand may start one for a pod.")
        return (
            ready(f"{shown}.") if len(listed) > closed else not_ready(f"{shown}.", "`kubectl uncordon NODE` opens one.")
        )

    def _plugin(self, resource: str) -> Answer:
        return nodes.plugin(self._nodes, resource)

    def _labels(self, plan: JobPlan) -> Answer:
        return nodes.labels(self._nodes, plan)

    def _room(self, plan: JobPlan) -> Answer:
        return nodes.room(self._nodes, plan)

    def network(self) -> Answer:
        """Say that nothing tells whether the network of the cluster enforces policies."""
        return untold(
            "The API server takes network policies whether or not the cluster's network enforces them.",
            "Ask its owner which network plugin runs. Measuring pods are offline by their variables too.",
        )

    @property
    def _apply(self) -> str:
        if self._cluster.namespace == names.NAMESPACE:
            return "`kubectl apply -f` with the folder of the manifests creates it."
        return f"`python -m runner render --namespace {self._cluster.namespace} --out FOLDER`, then `kubectl apply -f FOLDER`."


def _is_default(storage_class: JsonObject) -> bool:
    return (storage_class["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
