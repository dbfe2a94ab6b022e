"""Observe runs: informers keep the cluster's objects, and each object is assigned to the run that it belongs to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from runner.contract.records import JsonObject
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.cluster.informer import Informer
from runner.host.cluster.progress import Progress
from runner.host.diagnosis import Observed
from runner.host.objects.names import POD_LABELS, SELECTOR, name_of, queue_of
from runner.host.objects.status import ending
from runner.host.objects.walk import needs

# Between two lists of the nodes.
NODES_S = 60.0
# How long the first lists of optional kinds are waited for.
OPTIONAL_S = 5.0
# The owner of claims' events, in the place of a run: several runs may wait for one claim.
_CLAIMS = ""


class Observer:
    """Observes the runs of ``runs``, a mapping by name that may grow.

    ``changed(name)`` is called after something of a run changed, and ``failed(problem)`` when the cluster refuses for good; both
    from other threads. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        runs: Mapping[str, Progress],
        poll_s: float,
        changed: Callable[[str], None],
        failed: Callable[[Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._runs, self._poll_s, self._clock = cluster, runs, poll_s, clock
        self._changed, self._failed = changed, failed
        self._informers: dict[str, Informer] = {}
        self._nodes: tuple[JsonObject, ...] | None = None
        self._nodes_at_s: float | None = None

    def start(self, waiting: Callable[[], None]) -> None:
        """Start to observe; return when the first lists have come. ``waiting()`` is called again and again until then."""
        runs = [progress.run for progress in self._runs.values()]
        for kind in sorted({run.kind for run in runs} | {"Job"}):
            self._inform(kind, self._owner_by_name(kind), SELECTOR)
        self._inform("Pod", self._run_of_pod, SELECTOR)
        self._inform("Event", self._run_of_event, optional=True)
        if any(queue_of(run.manifest) for run in runs):
            self._inform("Workload", self._run_of_workload, optional=True)
        until_s = self._clock() + OPTIONAL_S
        for informer in self._informers.values():
            while not informer.listed.wait(0.05) and informer.is_alive():
                waiting()
                if informer.optional and self._clock() > until_s:
                    break
        waiting()

    def stop(self) -> None:
        """End the watches of all informers."""
        for informer in self._informers.values():
            informer.stop()

    def observe(self, progress: Progress, with_nodes: bool = False) -> Observed:
        """Return what is known of a run; ``with_nodes`` asks the cluster for nodes, claims and neighbours too."""
        run = progress.run
        objects = {kind: informer.objects(run.name) for kind, informer in self._informers.items()}
        job = objects[run.kind][-1] if objects[run.kind] else None
        if job is not None:
            progress.expected_until_s = None
        elif progress.expected_until_s is not None and self._clock() < progress.expected_until_s:
            job = run.manifest
        pods = objects["Pod"] if job is not None and not ending(job) else self.pods(run.name)
        observed = Observed(
            name=run.name,
            namespace=self._cluster.namespace,
            kind=run.kind,
            job=job,
            pods=tuple(pods),
            events=(*objects["Event"], *self._informers["Event"].objects(_CLAIMS)),
            nodes=self._listed_nodes() if with_nodes else self._nodes,
            claims=self._claims(run.manifest) if with_nodes else {},
            workload=objects["Workload"][-1] if objects.get("Workload") else None,
            neighbours=self._neighbours() if with_nodes else (),
            kubectl_flags=self._cluster.kubectl_flags,
        )
        return replace(observed, log=_last_lines(progress, observed.pod))

    def pods(self, run: str) -> list[JsonObject]:
        """Return the pods of a run, oldest first; pods that exist no more are among them, as last seen."""
        return self._informers["Pod"].objects(run, with_gone=True)

    def refresh_pods(self, progress: Progress) -> None:
        """Ask for a run's pods after its end: the end of a Job may be reported before the ends of its pods."""
        key = POD_LABELS[progress.run.kind][0]
        try:
            listed = self._cluster.list("Pod", f"{SELECTOR},{key}={progress.name}").objects
        except (Refused, Unanswered):
            # the informer will report the pods, or the time for the logs runs out
            return
        self._informers["Pod"].merge(listed)

    def forget(self, run: str) -> None:
        """Drop the objects of a run that is done: memory is for the runs that go on."""
        for informer in self._informers.values():
            informer.forget(run)

    # --- the run of an object ---

    def _inform(
        self,
        kind: str,
        owner: Callable[[JsonObject], str | None],
        selector: str | None = None,
        optional: bool = False,
    ) -> None:
        informer = Informer(
            self._cluster, kind, owner, self._changed, self._failed, selector, self._poll_s, optional=optional
        )
        self._informers[kind] = informer
        informer.start()

    def _owner_by_name(self, kind: str) -> Callable[[JsonObject], str | None]:
        return lambda item: self._followed(name_of(item), kind)

    def _followed(self, name: str, kind: str) -> str | None:
        """Return the name of a run of this kind that is still followed, None if no such run has the name."""
        progress = self._runs.get(name)
        return name if progress is not None and progress.run.kind == kind and not progress.done else None

    def _run_of_pod(self, pod: JsonObject) -> str | None:
        labels: dict[str, str] = pod["metadata"].get("labels") or {}
        for kind, keys in POD_LABELS.items():
            for key in keys:
                name = labels.get(key)
                if name and self._followed(name, kind):
                    return name
        return None

    def _run_of_event(self, event: JsonObject) -> str | None:
        subject = event.get("involvedObject", {})
        name: str = subject.get("name", "")
        if name in self._runs:
            return name
        if subject.get("kind") == "PersistentVolumeClaim":
            return _CLAIMS
        # A pod's name is its run's name and more parts. The pod of a Job has one part more: with two parts more, the pod belongs to
        # another Job with a longer name.
        stem, one_part_more = name, subject.get("kind") == "Pod"
        while "-" in stem:
            stem = stem.rpartition("-")[0]
            progress = self._runs.get(stem)
            if progress is not None and (progress.run.kind != "Job" or one_part_more):
                return stem
            one_part_more = False
        return None

    def _run_of_workload(self, workload: JsonObject) -> str | None:
        owners = workload["metadata"].get("ownerReferences") or []
        return next((owner["name"] for owner in owners if owner["name"] in self._runs), None)

    # --- nodes, claims and neighbours, asked for when a run waits ---

    def _listed_nodes(self) -> tuple[JsonObject, ...] | None:
        """Return the nodes as listed at most ``NODES_S`` seconds ago; None where they may not be listed."""
        if self._nodes_at_s is None or self._clock() - self._nodes_at_s > NODES_S:
            self._nodes_at_s = self._clock()
            try:
                self._nodes = self._cluster.nodes()
            except (Refused, Unanswered):
                self._nodes = None
        return self._nodes

    def _claims(self, manifest: JsonObject) -> dict[str, JsonObject]:
        """Return the PersistentVolumeClaims that a run names, by name, as far as the cluster gives them."""
        claims = {}
        for kind, name in needs(manifest):
            if kind == "PersistentVolumeClaim":
                try:
                    claim = self._cluster.get(kind, name)
                except (Refused, Unanswered):
                    continue
                if claim is not None:
                    claims[name] = claim
        return claims

    def _neighbours(self) -> tuple[JsonObject, ...]:
        """Return all pods of the kit in the namespace."""
        try:
            return tuple(self._cluster.list("Pod", SELECTOR).objects)
        except (Refused, Unanswered):
            return ()


def _last_lines(progress: Progress, pod: JsonObject | None) -> tuple[str, ...]:
    """Return the last lines of the newest log of a pod, or of the run's newest log where none of the pod is read."""
    uid = pod["metadata"]["uid"] if pod else None
    readers = [reader for (pod_uid, _), reader in progress.logs.items() if pod_uid == uid]
    readers = readers or list(progress.logs.values())
    return tuple(readers[-1].tail) if readers else ()
