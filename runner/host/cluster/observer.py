"""What is seen of runs: mirrors of the cluster's objects, each object given to the run that it belongs to."""

import time
from dataclasses import replace

from runner.host.cluster.client import Refused, Unanswered
from runner.host.cluster.informer import Mirror
from runner.host.cluster.runs import POD_LABELS
from runner.host.diagnosis import Observed, stages
from runner.host.objects import names, walk
from runner.host.objects.names import name_of

NODES_S = 60.0  # between two lists of the nodes
OPTIONAL_S = 5.0  # that are waited for what says more, before a run is looked at without it
_OF_CLAIMS = ""  # the owner of claims' events, in place of a run: several runs may wait for one claim


class Sight:
    """Sees ``runs``, a mapping by name that may grow. ``changed(name)`` is called after something changed of one, ``failed(problem)``
    when the cluster's last word is no; both from other threads."""

    def __init__(self, cluster, runs, poll_s, changed, failed, clock=time.monotonic):
        self._cluster, self._runs, self._poll_s, self._clock = cluster, runs, poll_s, clock
        self._changed, self._failed = changed, failed
        self._mirrors: dict[str, Mirror] = {}
        self._nodes, self._nodes_at_s = None, None

    def start(self, waiting):
        """Start to see; return when the first lists are here. ``waiting()`` is called now and then until then."""
        for kind in sorted({run.kind for run in self._runs.values()} | {"Job"}):
            self._mirror(kind, lambda thing, kind=kind: self._known(name_of(thing), kind), selector=names.SELECTOR)
        self._mirror("Pod", self._run_of_pod, selector=names.SELECTOR)
        self._mirror("Event", self._run_of_event, optional=True)
        if any(names.queue_of(run.thing) for run in self._runs.values()):
            self._mirror("Workload", self._run_of_workload, optional=True)
        until_s = self._clock() + OPTIONAL_S
        for mirror in self._mirrors.values():
            while not mirror.listed.wait(0.05) and mirror.is_alive():
                waiting()
                if mirror.optional and self._clock() > until_s:
                    break
        waiting()

    def stop(self):
        for mirror in self._mirrors.values():
            mirror.stop()

    def of(self, run, closely=False):
        """Return the ``Observed`` of a run; ``closely`` with nodes, claims and neighbours, which are asked for."""
        of = {kind: mirror.of(run.name) for kind, mirror in self._mirrors.items()}
        job = of[run.kind][-1] if of[run.kind] else None
        if job is not None:
            run.expected_until_s = None
        elif run.expected_until_s is not None and self._clock() < run.expected_until_s:
            job = run.thing
        pods = of["Pod"] if job is not None and not stages.ending(job) else self.pods(run)
        seen = Observed(
            name=run.name,
            namespace=self._cluster.namespace,
            kind=run.kind,
            job=job,
            pods=tuple(pods),
            events=(*of["Event"], *self._mirrors["Event"].of(_OF_CLAIMS)),
            nodes=self._seen_nodes() if closely else self._nodes,
            claims=self._claims(run) if closely else {},
            workload=(of.get("Workload") or [None])[-1],
            neighbours=self._neighbours() if closely else (),
            kubectl_flags=self._cluster.place,
        )
        return replace(seen, log=_last_lines(run, seen.pod))

    def pods(self, run):
        """Return the pods of a run, oldest first, those too that are gone, as last seen."""
        return self._mirrors["Pod"].of(run.name, gone=True)

    def refresh_pods(self, run):
        """Ask for a run's pods once it is over: what is told of Jobs may come before what is told of their pods."""
        key = POD_LABELS[run.kind][0]
        try:
            found, _ = self._cluster.list("Pod", f"{names.SELECTOR},{key}={run.name}")
        except (Refused, Unanswered):
            return  # the mirror will tell, or the log's deadline ends it
        self._mirrors["Pod"].take(found)

    def forget(self, run):
        """Drop what is kept of a run that is done, so that many runs take no more memory than those that go on."""
        for mirror in self._mirrors.values():
            mirror.forget(run.name)

    # --- whose an object is ---

    def _mirror(self, kind, owner, selector=None, optional=False):
        mirror = Mirror(
            self._cluster, kind, owner, self._changed, self._failed, selector, self._poll_s, optional=optional
        )
        self._mirrors[kind] = mirror
        mirror.start()

    def _known(self, name, kind):
        run = self._runs.get(name)
        return name if run is not None and run.kind == kind and not run.done else None

    def _run_of_pod(self, pod):
        labels = pod["metadata"].get("labels") or {}
        for kind, keys in POD_LABELS.items():
            for key in keys:
                if labels.get(key) and self._known(labels[key], kind):
                    return labels[key]
        return None

    def _run_of_event(self, event):
        about = event.get("involvedObject", {})
        name = about.get("name", "")
        if name in self._runs:
            return name
        if about.get("kind") == "PersistentVolumeClaim":
            return _OF_CLAIMS
        stem, of_pod = name, about.get("kind") == "Pod"
        while "-" in stem:  # a pod's name is its run's with something after it
            stem = stem.rpartition("-")[0]
            run = self._runs.get(stem)
            if run is not None and (run.kind != "Job" or of_pod):
                return stem
            of_pod = False  # that of a Job has one part more: with two it is of another Job, whose name is longer
        return None

    def _run_of_workload(self, workload):
        owners = workload["metadata"].get("ownerReferences") or []
        return next((one["name"] for one in owners if one["name"] in self._runs), None)

    # --- what nodes, claims and neighbours say ---

    def _seen_nodes(self):
        """Return the nodes, asked for now and then; None where they may not be listed."""
        if self._nodes_at_s is None or self._clock() - self._nodes_at_s > NODES_S:
            self._nodes_at_s = self._clock()
            try:
                self._nodes = self._cluster.nodes()
            except (Refused, Unanswered):
                self._nodes = None
        return self._nodes

    def _claims(self, run):
        found = {}
        for kind, name in walk.needs(run.thing):
            if kind == "PersistentVolumeClaim":
                try:
                    claim = self._cluster.get(kind, name)
                except (Refused, Unanswered):
                    continue
                if claim is not None:
                    found[name] = claim
        return found

    def _neighbours(self):
        """Return all pods of the kit in the namespace."""
        try:
            return tuple(self._cluster.list("Pod", names.SELECTOR)[0])
        except (Refused, Unanswered):
            return ()


def _last_lines(run, pod):
    """Return the last lines of the newest container of a pod, or of a run's where the pod has none that was read."""
    uid = pod["metadata"]["uid"] if pod else None
    own = [log for (of, _), log in run.logs.items() if of == uid] or list(run.logs.values())
    return tuple(own[-1].tail) if own else ()
