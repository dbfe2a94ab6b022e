"""Attend to runs until each has ended and its result lies here: one loop over what mirrors and logs tell, and over time.

What is decided lies in ``phases`` and ``diagnosis``; here is only what is done about it. Everything that is learnt lies in a
folder of the run (logs, ``evidence.json``, ``job.json``), so that another process can go on from there.
"""

import contextlib
import itertools
import queue
import signal
import threading
import time
from dataclasses import dataclass, field

from runner.contract import signals
from runner.contract.errors import (
    ClusterRefused,
    DamagedResult,
    Interrupted,
    JobFailed,
    KitError,
    NotStarted,
    ResultLost,
)
from runner.contract.text import printable
from runner.host.cluster import errors, evidence, image_ids, logs, runs
from runner.host.cluster.client import Refused, Unanswered
from runner.host.cluster.commands import command
from runner.host.cluster.credentials import at_a_terminal
from runner.host.cluster.logs import Log
from runner.host.cluster.observer import Sight
from runner.host.cluster.runs import Run
from runner.host.diagnosis import Observed, ending, stages
from runner.host.objects import pods
from runner.host.objects.collect_job import collect_job, earliest_attempt
from runner.host.objects.names import name_of

SECOND_SIGNAL_S = 5.0
EXPECTED_S = 30.0
QUEUE_LINE_S = 60.0
LOOK_S = 60.0  # the longest time between two looks at a run


@dataclass(frozen=True)
class Manner:
    """How runs are attended to: deadlines in seconds as in ``stages.WAITS_S``, and what a signal does."""

    deadlines: dict = field(default_factory=lambda: dict(stages.WAITS_S))
    poll_s: float = 5.0
    drain_s: float = 60.0  # for logs, after the containers ended
    cancel_s: float = 120.0
    detach_on_signal: bool = False


class Attendance:
    """Attends to ``attended``, some ``Run``s. ``show(text)`` prints a line of progress; ``clock`` is monotonic, in seconds."""

    def __init__(self, cluster, attended, manner, show, clock=time.monotonic):
        self._cluster, self._manner, self._show, self._clock = cluster, manner, show, clock
        self._runs = {run.name: run for run in attended}
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._slots = [threading.BoundedSemaphore(logs.STREAMS) for _ in (False, True)]
        self._sight = Sight(cluster, self._runs, manner.poll_s, self._putter("changed"), self._putter("failed"), clock)

    def _putter(self, what):
        return lambda told: self._queue.put((what, told))

    # --- the loop ---

    def until_done(self):
        """Attend until every run is done; then ``run.error`` says for each what went wrong, if anything did.

        Raises ``Interrupted`` after a signal, and what the cluster itself refused.
        """
        with signals.handled(self._noted):
            try:
                self._sight.start(self._only_urgent)
                while not all(run.done for run in self._runs.values()):
                    self._take(self._next_wait_s())
                self._only_signals()
            finally:
                self._sight.stop()
                for run in self._runs.values():
                    for log in run.logs.values():
                        log.stop()

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

    def _signalled(self):
        return any(what == "signal" for what, _ in self._waiting())

    def _only_signals(self):
        """Take a signal that came while the last run was concluded: whoever follows more runs must not go on to the next."""
        if self._signalled():
            self._cluster.resume()
            followed = [run for run in self._runs.values() if run.job_of is None]
            raise Interrupted(
                f"Stopped after the end of {', '.join(run.name for run in followed)}. Collect: {self._way_back(followed)}."
            )

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

    # --- one run ---

    def _look(self, run, now_s):
        """Look at a run: follow its logs, say what changed, and act on an end or on a deadline."""
        observed = self._sight.of(run)
        other = next((one for one in image_ids.started(run.images, observed.pods) if one.foreign), None)
        if other is not None:
            self._refuse(run, observed, other)
            return
        self._follow_logs(run, observed)
        stage = stages.stage(observed)
        plain = (stage.word, stage.mark, stage.text)
        if stage.problem is not None and stage.word in ("pending", "new", "creating"):
            if plain == run.plain and run.stage is not None:
                stage = run.stage  # the same as at the last look
            else:
                observed = self._sight.of(run, closely=True)  # what nodes and claims say makes these clearer
                stage = stages.stage(observed)
        run.plain = plain
        self._tell(run, stage, now_s)
        run.timer, run.stage = run.timer.at(stage, now_s), stage
        run.look_at_s = now_s + LOOK_S
        if stage.over:
            self._finish(run, observed, now_s)
            return
        left_s = run.timer.left_s(stage, observed, self._manner.deadlines, now_s)
        if stages.hopeless(stage):
            self._give_up(run, observed, stage.problem)
        elif left_s is not None and left_s <= 0:
            self._give_up(run, observed, stages.overdue(observed, stage, now_s - run.timer.since_s))
        elif left_s is not None:
            run.look_at_s = now_s + min(LOOK_S, left_s)
        if run.expected_until_s is not None:
            run.look_at_s = min(run.look_at_s, run.expected_until_s)

    def _tell(self, run, stage, now_s):
        again = stage.wait == "queue" and now_s - run.told_s >= QUEUE_LINE_S
        if run.stage is None or run.stage.text != stage.text or again:
            self._show(f"{run.name}: {stage.text}.")
            if stage.problem is not None and not stage.over:
                self._show(f"{run.name}: {stage.problem.step}")
            run.told_s = now_s

    def _show_line(self, run, text):
        self._show(f"{run} | {printable(text)}")

    def _follow_logs(self, run, observed):
        for pod in observed.pods:
            uid = pod["metadata"]["uid"]
            for container in pods.containers_started(pod):
                log = run.logs.get((uid, container))
                if log is None:
                    run.logs[uid, container] = log = self._log(run, pod, container)
                    log.start()
                else:
                    log.look()

    def _log(self, run, pod, container):
        uid, name = pod["metadata"]["uid"], name_of(pod)

        def ended():
            newest = [one for one in self._sight.pods(run) if one["metadata"]["uid"] == uid]
            return not newest or pods.container_ended(newest[-1], container)

        return Log(
            self._cluster,
            name,
            container,
            run.folder / f"{uid}.{container}.log",
            ended,
            lambda text: self._queue.put(("line", (run.name, text))),
            lambda: self._queue.put(("changed", run.name)),
            self._putter("failed"),
            self._slots,
        )

    def _give_up(self, run, observed, problem):
        """End following a run that does not start: it stays in the cluster, and how to end it is said."""
        if run.job_of is not None:
            self._show(f"{run.name}: {problem}")
            self._collected(run)
            return
        evidence.keep(run, observed, problem)
        refused = problem.wait is None and run.stage is not None and run.stage.wait == "refused"
        kind = ClusterRefused if refused else NotStarted
        run.error = kind(
            f"{run.name}: {problem} It stays in the cluster: `{command('follow', self._cluster, [run])}` goes on,"
            f" `{command('cancel', self._cluster, [run])}` ends it."
        )
        run.done = True

    def _refuse(self, run: Run, observed: Observed, other: image_ids.Started) -> None:
        """End following a run of which a container has another image than the one that was asked for; its logs are not kept."""
        told = (
            f"the container {other.container} of {other.pod} runs the image {printable(other.reported, 300)}, and sha256:{other.asked}"
            " was asked for"
        )
        if run.job_of is not None:
            self._show(f"{run.name}: {told}.")
            self._collected(run)
            return
        evidence.keep(run, observed, None)
        self._forget(run)
        run.error = DamagedResult(
            f"{run.name}: {told}: what it measures is not taken. Find out what puts another image in its place, a registry's mirror or an"
            f" admission rule; `{command('cancel', self._cluster, [run])}` ends it."
        )
        run.done = True

    # --- the end of a run ---

    def _finish(self, run, observed, now_s):
        """Wait for the logs, then take what they lack from the volume, then say how it ended."""
        if run.over_since_s is None:
            run.over_since_s = now_s
            if not observed.pods or not all(map(pods.pod_ended, observed.pods)):
                self._sight.refresh_pods(run)
                observed = self._sight.of(run)
            self._follow_logs(run, observed)
        waiting = [log for log in run.logs.values() if log.reading]
        if waiting and now_s - run.over_since_s < self._manner.drain_s:
            run.look_at_s = run.over_since_s + self._manner.drain_s
            return
        if run.collecting is not None:
            if run.collecting.done:
                self._conclude(run)
            return
        whole, broken = logs.frames(run.log_files)
        published = pods.published_summaries(observed.pods)
        ran = pods.any_started(observed.pods) or run.stage.word in (stages.GONE, stages.COMPLETE)  # pods may be gone
        if run.stage.word == stages.FAILED and published == {}:
            ran = False  # its last words say that there is nothing
        if run.measures and ran and (broken or not whole or (published or {}).keys() - whole.keys()):
            if broken:
                self._show(f"{run.name}: the log was rotated or cut, and a part of the result is missing in it.")
            collecting = self._collect_from_volume(run, observed)
            if collecting is not None:
                run.collecting = collecting
                return
        self._conclude(run)

    def _collect_from_volume(self, run, observed):
        """Submit the Job that prints what lies on the volume; return its run, None where there is no volume."""
        created = (observed.job or run.thing)["metadata"].get("creationTimestamp")
        job = collect_job(
            run.thing, earliest_attempt(created, pods.first_started_at(observed.pods)) if created else None
        )
        if job is None:
            return None
        collecting = Run(name_of(job), "Job", job, run.folder, image_ids.asked(job), job_of=run)
        self._runs[collecting.name] = collecting  # before it exists, so that nothing of it is overlooked
        try:
            there = self._cluster.get("Job", collecting.name)
            if there is not None and ending(there) is not None:  # an earlier process's, which may have seen less
                runs.delete(self._cluster, [collecting], self._manner.cancel_s)
            collecting.thing, _ = runs.create(self._cluster, job)
        except (Refused, Unanswered, NotStarted) as problem:
            del self._runs[collecting.name]
            error = problem if isinstance(problem, KitError) else errors.as_error(problem, self._cluster)
            self._show(f"{run.name}: {error}")
            return None
        self._show(f"{run.name}: {collecting.name} takes the results off the volume.")
        collecting.expected_until_s = self._clock() + EXPECTED_S
        return collecting

    def _collected(self, run):
        """End with the Job that took results off a volume, and go on with the run that it did that for."""
        run.done = True
        with contextlib.suppress(Refused, Unanswered):  # its own time to live removes it
            self._cluster.delete(run.kind, run.name)
        self._forget(run)
        self._queue.put(("changed", run.job_of.name))

    def _conclude(self, run):
        """Say how a run ended: its result whole here, lost, only a summary of it, or a failure with its reason."""
        observed = self._sight.of(run)  # once more: the logs tell more now
        problem = stages.stage(observed).problem
        if run.job_of is not None:
            if run.stage.word == stages.FAILED:
                self._show(f"{run.name}: {problem or 'nothing says why.'}")
            self._collected(run)
            return
        run.done = True
        evidence.keep(run, observed, problem)
        self._tell_images(run, observed)
        self._forget(run)
        whole, _ = logs.frames(run.log_files)
        published = pods.published_summaries(observed.pods) or {}
        lacking = {attempt: told for attempt, told in published.items() if attempt not in whole}
        if run.stage.word == stages.FAILED:
            run.error = JobFailed(
                f"{run.name}: {problem or 'the Job failed and nothing says why.'} Evidence: {run.folder}."
            )
        elif run.measures and (not whole or lacking):
            run.error = self._lost(run, lacking)
        if whole:
            self._show(
                f"{run.name}: {len(whole)} whole result{'s' if len(whole) > 1 else ''} in its log: {', '.join(sorted(whole))}."
            )

    def _tell_images(self, run: Run, observed: Observed) -> None:
        """Say where the image that ran cannot be held beside the one that was asked for."""
        found = image_ids.started(run.images, observed.pods)
        unknown = next((one for one in found if one.digest is None), None)
        if unknown is not None:
            self._show(
                f"{run.name}: the image of {unknown.container} came from no registry ({printable(unknown.reported, 100)}), so that it"
                " cannot be compared with the digest that was asked for."
            )
        elif pods.any_started(observed.pods) and not found:
            self._show(
                f"{run.name}: its node does not say which image ran; it cannot be compared with what was asked for."
            )

    def _lost(self, run, lacking):
        """Return the error of a run whose results are not all here; what its pod's last words tell of them is kept as partial."""
        volume = collect_job(run.thing) is not None
        how = "neither from the log nor from the volume" if volume else "not from the log, and there is no volume"
        again = f"`{command('follow', self._cluster, [run])}` tries once more"
        if not lacking:
            return ResultLost(f"{run.name}: its result could be taken {how}; {again}.")
        path = evidence.keep_partial(run, lacking)
        return ResultLost(
            f"{run.name}: {', '.join(sorted(lacking))} could be taken {how}; the pod's last words, a summary and no result, are in {path};"
            f" {again}."
        )

    def _forget(self, run):
        self._sight.forget(run)
        for log in run.logs.values():
            log.stop()  # one that said nothing for so long would keep its place among those that are read
        run.logs.clear()

    # --- signals ---

    def _interrupt(self, number):
        """Detach or cancel. On a terminal the first Ctrl-C detaches and a second within seconds cancels; else a signal cancels."""
        self._cluster.resume()
        open_runs = self._open_runs()
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
        return Interrupted(
            f"Detached; the runs go on in the cluster. Come back and collect: {self._way_back(open_runs)};"
            f" end them: `{command('cancel', self._cluster, open_runs)}`."
        )

    def _way_back(self, wanted: list[Run]) -> str:
        """Return the commands that take the results of runs: a shell's $(...) would split names of logs at their blanks."""
        return (
            f"`{command('follow', self._cluster, wanted)} > logs.txt`, then `python -m runner collect --from logs.txt`"
        )

    def _cancelled(self, open_runs):
        self._cluster.resume()  # what the second signal ended must not end the deletion's own tries
        for run in open_runs:
            evidence.keep(run, self._sight.of(run), run.stage.problem if run.stage else None)
        try:
            runs.delete(self._cluster, open_runs, self._manner.cancel_s, self._show, self._signalled)
        except (Refused, Unanswered) as problem:
            raise self._come_back(problem) from None
        for run in open_runs:
            evidence.forget(run)
        where = ", ".join(str(run.folder) for run in open_runs)
        return Interrupted(
            f"Cancelled {len(open_runs)} run(s); evidence and logs so far: {where}. Submit again to measure."
        )

    def _come_back(self, problem):
        """Return the error of a cluster that said no for good while runs were followed, with the way back."""
        if isinstance(problem, OSError):
            (folder,) = {run.folder.parent for run in self._runs.values()}
            error: KitError = evidence.unwritable(problem, folder)
        elif isinstance(problem, Refused | Unanswered):
            error = errors.as_error(problem, self._cluster)
        elif isinstance(problem, KitError):
            error = problem
        else:
            raise problem
        return type(error)(f"{error} Come back: `{command('follow', self._cluster, self._open_runs())}`.")

    def _open_runs(self):
        return [run for run in self._runs.values() if not run.done and run.job_of is None]
