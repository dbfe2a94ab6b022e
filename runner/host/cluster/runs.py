"""The runs that a client knows: what was submitted, where it is kept here, and how it is found and deleted in a cluster."""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract.errors import DamagedResult, KitError, NotStarted
from runner.host.cluster import image_ids as images
from runner.host.cluster.client import Refused, Unanswered
from runner.host.diagnosis import Observed, stages
from runner.host.objects import kinds, names, walk
from runner.host.objects.names import name_of

FOLDER = Path("build/runs")
# The labels of a pod that name its run, by the run's kind.
POD_LABELS = {
    "Job": ("batch.kubernetes.io/job-name", "job-name"),
    "MPIJob": ("training.kubeflow.org/job-name",),
    "JobSet": ("jobset.sigs.k8s.io/jobset-name",),
}


@dataclass
class Run:
    """One run that is attended to. ``thing`` is what was submitted, or the object as the cluster has it; ``folder`` is where its
    logs and evidence lie; ``job_of`` the run whose results this one only takes off its volume; until ``expected_until_s`` it may
    be missing from what is watched, since it was only just created; ``images`` are the digests that were asked for, by container."""

    name: str
    kind: str
    thing: dict
    folder: Path
    images: dict[str, str]
    job_of: "Run | None" = None
    stage: stages.Stage | None = None
    timer: stages.Timer = field(default_factory=stages.Timer)
    logs: dict = field(default_factory=dict)
    over_since_s: float | None = None
    told_s: float = 0.0
    plain: tuple = ()
    look_at_s: float = 0.0
    expected_until_s: float | None = None
    collecting: "Run | None" = None
    error: KitError | None = None
    done: bool = False

    @classmethod
    def of(cls, thing, cluster, folder):
        """Return the run of an object with its kind."""
        name = name_of(thing)
        return cls(name, thing["kind"], thing, folder_of(folder, cluster, name), images.asked(thing))

    @property
    def measures(self):
        """Return whether the run has a result: a prefetch has none, nor has what takes results off a volume."""
        return self.job_of is None and names.component_of(self.thing) != "prefetch"

    @property
    def log_files(self):
        """Return the logs that lie here, of this process and of earlier ones."""
        return sorted(path for path in self.folder.glob("*.log") if path.is_file())

    @property
    def results(self) -> list[Path]:
        """Return the logs that results may be taken from: none of a run without any, or of one that ran other software."""
        return self.log_files if self.measures and not isinstance(self.error, DamagedResult) else []


def folder_of(folder, cluster, name):
    """Return where a run is kept: names are unique in a namespace only."""
    return Path(folder) / cluster.namespace / name


def find(cluster, name):
    """Return the object of a run, with its kind, of whichever kind has one of this name; None if none has."""
    for kind in kinds.RUNS:
        try:
            there = cluster.get(kind, name)
        except Refused as refusal:
            if kind == "Job" or refusal.status not in (403, 404):
                raise
            continue  # a kind that this cluster does not know, or that is not this person's
        if there is not None:
            return {**there, "kind": kind}
    return None


def find_all(cluster):
    """Return all objects of this kit in the namespace that make pods, with their kinds."""
    found = []
    for kind in kinds.RUNS:
        try:
            found += [{**one, "kind": kind} for one in cluster.list(kind, names.SELECTOR)[0]]
        except Refused as refusal:
            if kind == "Job" or refusal.status not in (403, 404):
                raise
    return found


def look(cluster, thing):
    """Return what the cluster says of a run now, without following it."""
    name, kind = name_of(thing), thing["kind"]
    pods = [
        pod
        for pod in cluster.list("Pod", names.SELECTOR)[0]
        if any((pod["metadata"].get("labels") or {}).get(key) == name for key in POD_LABELS[kind])
    ]
    about = {name, *walk.operator_jobs(thing), *map(name_of, pods)}
    events = []
    with contextlib.suppress(Refused, Unanswered):  # they say more, and nothing depends on them
        events = [one for one in cluster.list("Event")[0] if one.get("involvedObject", {}).get("name") in about]
    pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
    return Observed(name, cluster.namespace, kind, thing, tuple(pods), tuple(events), kubectl_flags=cluster.place)


def create(cluster, thing):
    """Create an object; return it as the cluster has it, and whether it was there already, as it is after a lost answer."""
    try:
        return {**cluster.create(thing), "kind": thing["kind"]}, False
    except Refused as refusal:
        there = cluster.get(thing["kind"], name_of(thing)) if refusal.status == 409 else None
        if there is None:
            raise
        return {**there, "kind": thing["kind"]}, True


def delete(cluster, runs, patience_s, show=lambda text: None, enough=lambda: False):
    """Delete runs with all that they own, and wait until they are gone, or ``enough()`` is true. Raises ``NotStarted`` for one that
    does not go in time."""
    for run in runs:
        cluster.delete(run.kind, run.name)
    until_s = time.monotonic() + patience_s
    for run in runs:
        while cluster.get(run.kind, run.name) is not None:
            if enough():
                show(f"{run.name}: is still being deleted; that goes on in the cluster.")
                return
            if time.monotonic() > until_s:
                raise NotStarted(
                    f"{run.name} is still being deleted after {patience_s:.0f} s. Look: `{cluster.kubectl} get pods`."
                )
            time.sleep(0.2)
        show(f"{run.name}: deleted.")
