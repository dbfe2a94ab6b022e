"""Attend to runs until each has ended and its result lies here: one loop over what mirrors and logs tell, and over time.

What is decided lies in ``phases`` and ``diagnosis``; here is only what is done about it. Everything that is learnt lies in a
folder of the run (logs, ``evidence.json``, ``job.json``), so that another process can go on from there.
"""

import itertools
import json
import queue
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from runner.contract import strictjson
from runner.contract.errors import (
    ClusterRefused,
    Interrupted,
    JobFailed,
    KitError,
    NotStarted,
    PublishFailed,
    ResultLost,
    Unreachable,
)
from runner.contract.text import printable
from runner.host import jobs, logbook, phases
from runner.host.cluster import Refused, Unanswered
from runner.host.diagnosis import Observed, requests
from runner.host.diagnosis.problem import name_of
from runner.host.logbook import Log
from runner.host.mirror import Mirror

JOB_OF_POD = {
    "Job": ("batch.kubernetes.io/job-name", "job-name"),
    "MPIJob": ("training.kubeflow.org/job-name",),
    "JobSet": ("jobset.sigs.k8s.io/jobset-name",),
}
SECOND_SIGNAL_S = 5.0
EXPECTED_S = 30.0
QUEUE_LINE_S = 60.0
KEPT = "job.json"
OF_CLAIMS = ""  # the owner of claims' events, in place of a run: several runs may wait for one claim


@dataclass(frozen=True)
class Manner:
    """How runs are attended to: deadlines in seconds as in ``phases.DEADLINES``, and what a signal does."""

    deadlines: dict = field(default_factory=lambda: dict(phases.DEADLINES))
    poll_s: float = 5.0
    drain_s: float = 60.0  # for logs, after the containers ended
    cancel_s: float = 120.0
    detach_on_signal: bool = False


@dataclass
class Run:
    """One run that is attended to. ``thing`` is what was submitted, or the object as the cluster has it; ``job_of`` the run whose
    results this one only takes off its volume; until ``expected_until_s`` it may be missing from what is watched, since it was
    only just created."""

    name: str
    kind: str
    thing: dict
    folder: Path
    job_of: "Run | None" = None
    stage: phases.Stage | None = None
    timer: phases.Timer = field(default_factory=phases.Timer)
    logs: dict = field(default_factory=dict)
    over_since_s: float | None = None
    told_s: float = 0.0
    plain: tuple = ()
    look_at_s: float = 0.0
    expected_until_s: float | None = None
    collecting: "Run | None" = None
    error: KitError | None = None
    done: bool = False

    @property
    def measures(self):
        """Return whether the run has a result: a prefetch has none, nor has what takes results off a volume."""
        return self.job_of is None and jobs.component(self.thing) != "prefetch"

    @property
    def log_files(self):
        """Return the logs that lie here, of this process and of earlier ones."""
        return sorted(self.folder.glob("*.log"))


def folder_of(runs_folder, cluster, name):
    """Return where a run is kept: names are unique in a namespace only."""
    return Path(runs_folder) / cluster.namespace / name


class Attendance:
    """Attends to ``runs``. ``show(text)`` prints a line of progress; ``clock`` is monotonic, in seconds."""

    def __init__(self, cluster, runs, manner, show, clock=time.monotonic):
        self._cluster, self._manner, self._show, self._clock = cluster, manner, show, clock
        self._runs = {run.name: run for run in runs}
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._slots = threading.BoundedSemaphore(logbook.STREAMS)
        self._mirrors, self._nodes, self._nodes_at_s = {}, None, None

    # --- the loop ---

    def until_done(self):
        """Attend until every run is done; then ``run.error`` says for each what went wrong, if anything did.

        Raises ``Interrupted`` after a signal, and what the cluster itself refused.
        """
        previous = {number: signal.signal(number, self._noted) for number in _SIGNALS} if _in_main_thread() else {}
        try:
            self._start_mirrors()
            while not all(run.done for run in self._runs.values()):
                self._take(self._next_wait_s())
        finally:
            for mirror in self._mirrors.values():
                mirror.stop()
            for run in self._runs.values():
                for log in run.logs.values():
                    log.stop()
            for number, handler in previous.items():
                signal.signal(number, handler)
        return list(self._runs.values())

    def _noted(self, number, _):
        self._queue.put(("signal", number))
        self._cluster.hurry()

    def _take(self, wait_s):
        """Take all news that there are, waiting ``wait_s`` for the first, then look at every run that they touch."""
        touched = set()
        try:
            first = self._queue.get(timeout=max(0.01, wait_s))
            for what, told in itertools.chain([first], self._waiting()):
                if what == "signal":
                    self._interrupt(told)
                elif what == "failed":
                    raise self._come_back(told)
                elif what == "line":
                    self._show_line(*told)
                else:
                    touched.add(told)
        except queue.Empty:
            pass
        now_s = self._clock()
        for run in list(self._runs.values()):
            if not run.done and (run.name in touched or run.look_at_s <= now_s):
                self._look(run, now_s)

    def _waiting(self):
        while not self._queue.empty():
            yield self._queue.get()

    def _next_wait_s(self):
        return min([run.look_at_s for run in self._runs.values() if not run.done]) - self._clock()

    # --- mirrors ---

    def _start_mirrors(self):
        kinds = {run.kind for run in self._runs.values()} | {"Job"}
        for kind in sorted(kinds):
            self._mirror(kind, lambda thing, kind=kind: self._named(name_of(thing), kind), selector=jobs.SELECTOR)
        self._mirror("Pod", self._run_of_pod, selector=jobs.SELECTOR)
        self._mirror("Event", self._run_of_event, optional=True)
        if any(jobs.QUEUE in run.thing["metadata"].get("labels", {}) for run in self._runs.values()):
            self._mirror("Workload", self._run_of_workload, optional=True)
        for mirror in self._mirrors.values():
            while not mirror.listed.wait(0.05) and mirror.is_alive():
                self._only_urgent()
        self._only_urgent()

    def _only_urgent(self):
        """Take signals and failures while the first lists are on their way."""
        kept = []
        for what, told in self._waiting():
            if what == "signal":
                self._interrupt(told)
            elif what == "failed":
                raise self._come_back(told)
            else:
                kept.append((what, told))
        for one in kept:
            self._queue.put(one)

    def _mirror(self, kind, owner, selector=None, optional=False):
        mirror = Mirror(
            self._cluster,
            kind,
            owner,
            lambda run: self._queue.put(("changed", run)),
            lambda problem: self._queue.put(("failed", problem)),
            selector=selector,
            poll_s=self._manner.poll_s,
            optional=optional,
        )
        self._mirrors[kind] = mirror
        mirror.start()

    def _named(self, name, kind):
        run = self._runs.get(name)
        return name if run is not None and run.kind == kind and not run.done else None

    def _run_of_pod(self, pod):
        labels = pod["metadata"].get("labels") or {}
        for kind, keys in JOB_OF_POD.items():
            for key in keys:
                if labels.get(key) and self._named(labels[key], kind):
                    return labels[key]
        return None

    def _run_of_event(self, event):
        about = event.get("involvedObject", {})
        name = about.get("name", "")
        if name in self._runs:
            return name
        if about.get("kind") == "PersistentVolumeClaim":
            return OF_CLAIMS
        stem = name
        while "-" in stem:  # a pod's name is its run's with something after it
            stem = stem.rpartition("-")[0]
            if stem in self._runs:
                return stem
        return None

    def _run_of_workload(self, workload):
        owners = workload["metadata"].get("ownerReferences") or []
        return next((one["name"] for one in owners if one["name"] in self._runs), None)

    # --- one run ---

    def _observed(self, run, nodes=False):
        """Return what is known of a run now, as the pure parts take it."""
        of = {kind: mirror.of(run.name) for kind, mirror in self._mirrors.items()}
        job = of[run.kind][-1] if of[run.kind] else None
        if job is not None:
            run.expected_until_s = None
        elif run.expected_until_s is not None and self._clock() < run.expected_until_s:
            job = run.thing
        pods = of["Pod"] if job is not None and not phases.ending(job) else self._mirrors["Pod"].of(run.name, gone=True)
        newest = next(reversed(run.logs.values()), None)
        return Observed(
            name=run.name,
            namespace=self._cluster.namespace,
            kind=run.kind,
            job=job,
            pods=tuple(pods),
            events=(*of["Event"], *self._mirrors["Event"].of(OF_CLAIMS)),
            nodes=self._seen_nodes() if nodes else self._nodes,
            claims=self._claims(run) if nodes else {},
            workload=(of.get("Workload") or [None])[-1],
            neighbours=self._neighbours() if nodes else (),
            log=tuple(newest.tail) if newest else (),
        )

    def _look(self, run, now_s):
        """Look at a run: follow its logs, say what changed, and act on an end or on a deadline."""
        observed = self._observed(run)
        self._follow_logs(run, observed)
        stage = phases.stage(observed)
        plain = (stage.word, stage.mark, stage.told)
        if stage.problem is not None and stage.word in ("pending", "new", "creating"):
            if plain == run.plain and run.stage is not None:
                stage = run.stage  # the same as at the last look
            else:
                observed = self._observed(run, nodes=True)  # what nodes and claims say makes these clearer
                stage = phases.stage(observed)
        run.plain = plain
        self._tell(run, stage, now_s)
        run.timer, run.stage = run.timer.at(stage, now_s), stage
        run.look_at_s = now_s + 60.0
        if stage.over:
            self._finish(run, observed, now_s)
            return
        left_s = run.timer.left_s(stage, observed, self._manner.deadlines, now_s)
        if phases.hopeless(stage):
            self._give_up(run, observed, stage.problem)
        elif left_s is not None and left_s <= 0:
            self._give_up(run, observed, phases.overdue(observed, stage, now_s - run.timer.since_s))
        elif left_s is not None:
            run.look_at_s = now_s + min(60.0, left_s)
        if run.expected_until_s is not None:
            run.look_at_s = min(run.look_at_s, run.expected_until_s)

    def _tell(self, run, stage, now_s):
        again = stage.deadline == "queue" and now_s - run.told_s >= QUEUE_LINE_S
        if run.stage is None or run.stage.told != stage.told or again:
            self._show(f"{run.name}: {stage.told}.")
            if stage.problem is not None and not stage.over:
                self._show(f"{run.name}: {stage.problem.step}")
            run.told_s = now_s

    def _show_line(self, run, text):
        self._show(f"{run} | {printable(text)}")

    def _follow_logs(self, run, observed):
        for pod in observed.pods:
            uid = pod["metadata"]["uid"]
            for container in phases.containers_started(pod):
                log = run.logs.get((uid, container))
                if log is None:
                    run.logs[uid, container] = log = self._log(run, pod, container)
                    log.start()
                else:
                    log.look()

    def _log(self, run, pod, container):
        uid, name = pod["metadata"]["uid"], name_of(pod)

        def ended():
            newest = [one for one in self._mirrors["Pod"].of(run.name, gone=True) if one["metadata"]["uid"] == uid]
            return not newest or phases.container_ended(newest[-1], container)

        return Log(
            self._cluster,
            name,
            container,
            run.folder / f"{uid}.{container}.log",
            ended,
            lambda text: self._queue.put(("line", (run.name, text))),
            lambda: self._queue.put(("changed", run.name)),
            lambda problem: self._queue.put(("failed", problem)),
            self._slots,
        )

    def _give_up(self, run, observed, problem):
        """End following a run that does not start: it stays in the cluster, and how to end it is said."""
        self._keep_evidence(run, observed, problem)
        kind = (
            ClusterRefused
            if problem.patience is None and run.stage is not None and run.stage.deadline == "refused"
            else NotStarted
        )
        run.error = kind(
            f"{run.name}: {problem} It stays in the cluster: `{_again('follow', self._cluster, run)}` goes on,"
            f" `{_again('cancel', self._cluster, run)}` ends it."
        )
        run.done = True

    # --- the end of a run ---

    def _finish(self, run, observed, now_s):
        """Wait for the logs, then take what they lack from the volume, then say how it ended."""
        if run.over_since_s is None:
            run.over_since_s = now_s
            if not observed.pods or not all(map(phases.pod_ended, observed.pods)):
                self._refresh_pods(run)
                observed = self._observed(run)
            self._follow_logs(run, observed)
        waiting = [log for log in run.logs.values() if log.reading]
        if waiting and now_s - run.over_since_s < self._manner.drain_s:
            run.look_at_s = run.over_since_s + self._manner.drain_s
            return
        if run.collecting is not None:
            if run.collecting.done:
                self._conclude(run, tried=True)
            return
        whole, broken = logbook.frames(run.log_files)
        published = phases.published(observed.pods)
        ran = phases.started(observed.pods) or run.stage.word == phases.GONE
        if run.stage.word == phases.FAILED and published == {}:
            ran = False  # its last words say that there is nothing
        if run.measures and ran and (broken or not whole or (published or {}).keys() - whole.keys()):
            if broken:
                self._show(f"{run.name}: the log was rotated or cut, and a part of the result is missing in it.")
            collecting = self._collect_from_volume(run, observed)
            if collecting is not None:
                run.collecting = collecting
                return
        self._conclude(run, tried=False)

    def _created(self, thing):
        """Create an object and return it; if an answer was lost, it is there already."""
        try:
            return self._cluster.create(thing)
        except Refused as refusal:
            there = self._cluster.get(thing["kind"], name_of(thing)) if refusal.status == 409 else None
            if there is None:
                raise
            return there

    def _refresh_pods(self, run):
        """Ask for a run's pods once it is over: what is told of Jobs may come before what is told of their pods."""
        key = JOB_OF_POD[run.kind][0]
        try:
            found, _ = self._cluster.list("Pod", f"{jobs.SELECTOR},{key}={run.name}")
        except (Refused, Unanswered):
            return  # the mirror will tell, or the log's deadline ends it
        self._mirrors["Pod"].take(found)

    def _collect_from_volume(self, run, observed):
        """Submit the Job that prints what lies on the volume; return its run, None where there is no volume."""
        created = (observed.job or run.thing)["metadata"].get("creationTimestamp")
        job = jobs.to_collect(run.thing, jobs.since(created) if created else None)
        if job is None:
            return None
        collecting = Run(name_of(job), "Job", job, run.folder, job_of=run)
        self._runs[collecting.name] = collecting  # before it exists, so that nothing of it is overlooked
        try:
            cancel(
                self._cluster, [collecting], self._manner.cancel_s
            )  # one that an earlier process made may have seen less
            collecting.thing = {**self._created(job), "kind": "Job"}
        except (Refused, Unanswered, NotStarted) as problem:
            del self._runs[collecting.name]
            self._show(f"{run.name}: {problem if isinstance(problem, KitError) else self._told(problem)}")
            return None
        self._show(f"{run.name}: {collecting.name} takes the results off the volume.")
        collecting.expected_until_s = self._clock() + EXPECTED_S
        return collecting

    def _conclude(self, run, tried):
        """Say how a run ended: its result whole here, lost, only a summary of it, or a failure with its reason."""
        observed = self._observed(run)  # once more: the logs tell more now
        problem = phases.stage(observed).problem
        run.done = True
        if run.job_of is not None:
            self._cluster_quietly_deletes(run)
            self._forget(run)
            self._queue.put(("changed", run.job_of.name))
            return
        self._keep_evidence(run, observed, problem)
        self._forget(run)
        whole, _ = logbook.frames(run.log_files)
        published = phases.published(observed.pods) or {}
        lacking = {attempt: told for attempt, told in published.items() if attempt not in whole}
        if run.stage.word == phases.FAILED:
            run.error = JobFailed(
                f"{run.name}: {problem or 'the Job failed and nothing says why.'} Evidence: {run.folder}."
            )
        elif run.measures and (not whole or lacking):
            run.error = self._lost(run, lacking, tried)
        if whole:
            self._show(
                f"{run.name}: {len(whole)} whole result{'s' if len(whole) > 1 else ''} in its log: {', '.join(sorted(whole))}."
            )

    def _lost(self, run, lacking, tried):
        """Return the error of a run whose results are not all here; what its pod's last words tell of them is kept as partial."""
        how = "neither from the log nor from the volume" if tried else "not from the log, and there is no volume"
        again = f"`{_again('follow', self._cluster, run)}` tries once more"
        if not lacking:
            return ResultLost(f"{run.name}: its result could be taken {how}; {again}.")
        path = run.folder / "partial.json"
        path.write_text(strictjson.pretty({"kind": "partial", "run": run.name, "attempts": lacking}), encoding="utf-8")
        return ResultLost(
            f"{run.name}: {', '.join(sorted(lacking))} could be taken {how}; the pod's last words, a summary and no result, are in {path};"
            f" {again}."
        )

    def _forget(self, run):
        """Drop what is kept of a run that is done, so that many runs take no more memory than those that go on."""
        for mirror in self._mirrors.values():
            mirror.forget(run.name)
        run.logs.clear()

    def _cluster_quietly_deletes(self, run):
        try:
            self._cluster.delete(run.kind, run.name)
        except (Refused, Unanswered):
            return  # its own time to live removes it

    def _keep_evidence(self, run, observed, problem):
        keep_evidence(run, observed, problem)

    # --- what nodes and claims say ---

    def _seen_nodes(self):
        """Return the nodes, asked for once a minute at most; None where they may not be listed."""
        if self._nodes_at_s is None or self._clock() - self._nodes_at_s > 60.0:
            self._nodes_at_s = self._clock()
            try:
                self._nodes = self._cluster.nodes()
            except (Refused, Unanswered):
                self._nodes = None
        return self._nodes

    def _claims(self, run):
        found = {}
        for kind, name in jobs.needs(run.thing):
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
            return tuple(self._cluster.list("Pod", jobs.SELECTOR)[0])
        except (Refused, Unanswered):
            return ()

    # --- signals ---

    def _interrupt(self, number):
        """Detach or cancel. On a terminal the first Ctrl-C detaches and a second within seconds cancels; else a signal cancels."""
        self._cluster.resume()
        open_runs = [run for run in self._runs.values() if not run.done and run.job_of is None]
        if number == signal.SIGINT and at_a_terminal():
            self._show(f"Detaching; Ctrl-C again within {SECOND_SIGNAL_S:.0f} s cancels the runs.")
            if not self._second_signal():
                raise self._detached(open_runs)
        elif self._manner.detach_on_signal:
            raise self._detached(open_runs)
        raise self._cancelled(open_runs)

    def _second_signal(self):
        until_s = time.monotonic() + SECOND_SIGNAL_S
        while (left_s := until_s - time.monotonic()) > 0:
            try:
                what, _ = self._queue.get(timeout=left_s)
            except queue.Empty:
                return False
            if what == "signal":
                return True
        return False

    def _detached(self, open_runs):
        names = " ".join(run.name for run in open_runs)
        return Interrupted(
            "Detached; the runs go on in the cluster. Come back and collect:"
            f" `python -m runner collect $({_command('follow', self._cluster)} {names})`;"
            f" end them: `{_command('cancel', self._cluster)} {names}`."
        )

    def _cancelled(self, open_runs):
        for run in open_runs:
            self._keep_evidence(run, self._observed(run), run.stage.problem if run.stage else None)
        cancel(self._cluster, open_runs, self._manner.cancel_s, self._show)
        for run in open_runs:
            forget(run)
        where = ", ".join(str(run.folder) for run in open_runs)
        return Interrupted(
            f"Cancelled {len(open_runs)} run(s); evidence and logs so far: {where}. Submit again to measure."
        )

    def _told(self, problem):
        return told(problem, self._cluster)

    def _come_back(self, problem):
        """Return the error of a cluster that said no for good while runs were followed, with the way back."""
        if isinstance(problem, OSError):
            error: KitError = PublishFailed(
                f"{problem.filename} could not be written: {problem.strerror}. Free space, or name another folder with --runs."
            )
        elif isinstance(problem, Refused | Unanswered):
            error = self._told(problem)
        else:
            raise problem
        names = " ".join(run.name for run in self._runs.values() if not run.done and run.job_of is None)
        return type(error)(f"{error} Come back: `{_command('follow', self._cluster)} {names}`.")


def keep_evidence(run, observed, problem):
    """Write what was seen of a run, before it is deleted or forgotten."""
    run.folder.mkdir(parents=True, exist_ok=True)
    evidence = {
        "run": run.name,
        "namespace": observed.namespace,
        "written_utc": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "stage": run.stage.word if run.stage else None,
        "problem": {"row": problem.row, "sentence": problem.sentence, "step": problem.step} if problem else None,
        "job": observed.job,
        "pods": list(observed.pods),
        "events": list(observed.events),
        "log": list(observed.log),
    }
    path = run.folder / "evidence.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(evidence, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def keep(run):
    """Note a run's object, so that its results can be taken after it is gone from the cluster."""
    run.folder.mkdir(parents=True, exist_ok=True)
    temporary = run.folder / "job.tmp"
    temporary.write_text(strictjson.pretty(run.thing), encoding="utf-8")
    temporary.replace(run.folder / KEPT)


def kept(folder):
    """Return the object that was noted of a run, None where none was, or the run was cancelled."""
    try:
        return json.loads((folder / KEPT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def forget(run):
    """Drop the note of a run that was cancelled: submitting it again creates it again. Logs and evidence stay."""
    (run.folder / KEPT).unlink(missing_ok=True)


def find(cluster, name):
    """Return the object of a run, with its kind, of whichever kind has one of this name; None if none has."""
    for kind in jobs.RUNS:
        try:
            there = cluster.get(kind, name)
        except Refused as refusal:
            if kind == "Job" or refusal.status not in (403, 404):
                raise
            continue  # a kind that this cluster does not know, or that is not this person's
        if there is not None:
            return {**there, "kind": kind}
    return None


def all_runs(cluster):
    """Return all objects of this kit in the namespace that make pods, with their kinds."""
    found = []
    for kind in jobs.RUNS:
        try:
            found += [{**one, "kind": kind} for one in cluster.list(kind, jobs.SELECTOR)[0]]
        except Refused as refusal:
            if kind == "Job" or refusal.status not in (403, 404):
                raise
    return found


def look_once(cluster, thing):
    """Return what the cluster says of a run now, without following it."""
    name, kind = name_of(thing), thing["kind"]
    pods = [
        pod
        for pod in cluster.list("Pod", jobs.SELECTOR)[0]
        if any((pod["metadata"].get("labels") or {}).get(key) == name for key in JOB_OF_POD[kind])
    ]
    about = {name, *jobs.made_for(thing), *map(name_of, pods)}
    events = [one for one in cluster.list("Event")[0] if one.get("involvedObject", {}).get("name") in about]
    pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
    return Observed(name, cluster.namespace, kind, thing, tuple(pods), tuple(events))


def cancel(cluster, runs, cancel_s, show=lambda text: None):
    """Delete runs with all that they own, and wait until they are gone. Raises ``NotStarted`` for one that does not go in time."""
    for run in runs:
        cluster.delete(run.kind, run.name)
    until_s = time.monotonic() + cancel_s
    for run in runs:
        while cluster.get(run.kind, run.name) is not None:
            if time.monotonic() > until_s:
                raise NotStarted(
                    f"{run.name} is still being deleted after {cancel_s:.0f} s. Look: `kubectl -n {cluster.namespace} get pods`."
                )
            time.sleep(0.2)
        show(f"{run.name}: deleted.")


def told(problem, cluster):
    """Return the ``KitError`` of what the cluster refused or left unanswered."""
    if isinstance(problem, Refused):
        said = requests.refused(
            problem.status,
            problem.message,
            problem.doing,
            cluster.namespace,
            cluster.package_version,
            problem.retry_after_s,
        )
        kind = Unreachable if problem.status == 429 or problem.status >= 500 else ClusterRefused
        return kind(str(said))
    return Unreachable(str(requests.unreachable(problem.words, problem.doing, cluster.server)))


def _again(verb, cluster, run):
    return f"{_command(verb, cluster)} {run.name}"


def _command(verb, cluster):
    context = f" --context {cluster.context}" if cluster.context else ""
    return f"python -m runner {verb} --namespace {cluster.namespace}{context}"


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def at_a_terminal():
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _in_main_thread():
    return threading.current_thread() is threading.main_thread()
