"""Follow runs until each has ended and its results lie here: one loop over messages of informers, logs and signals, and over time.

``diagnosis`` and ``ending`` decide what is said of a run; this module acts on their decisions. All that is learnt of a run lies in
its folder (logs, ``evidence.json``, ``job.json``), so that another process can go on from there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from runner.contract import signals
from runner.contract.errors import ClusterRefused, KitError, NotStarted, Unreachable
from runner.contract.progress import Step, Task, begin
from runner.contract.records import JsonObject
from runner.contract.text import printable
from runner.host.cluster import collection, ending, evidence, interruption, logs
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.cluster.commands import shell_command
from runner.host.cluster.image_ids import StartedImage
from runner.host.cluster.logs import LogReader, Slots
from runner.host.cluster.messages import Changed, Failed, Inbox, LogLine, Message, Signalled
from runner.host.cluster.observer import Observer
from runner.host.cluster.progress import Outcome, Progress
from runner.host.cluster.runs import FollowedRun, Show
from runner.host.diagnosis import Observed, Problem, stages
from runner.host.diagnosis.problem import Wait
from runner.host.diagnosis.stages import Stage
from runner.host.objects.names import name_of
from runner.host.objects.pods import container_ended, containers_started, pod_ended

# How often a run that waits in a queue is told of.
QUEUE_LINE_S = 60.0
# The longest time between two looks at a run.
LOOK_S = 60.0


@dataclass(frozen=True)
class FollowOptions:
    """The options of following runs: times in seconds, and the effect of a signal.

    ``waits_s`` are the longest waits by row of ``stages.WAITS_S``, None for ever; ``poll_s`` passes between lists where watches
    fail; ``drain_s`` is for the logs after the containers ended, and ``cancel_s`` for the deletion of a run.
    """

    waits_s: Mapping[Wait, float | None] = field(default_factory=lambda: dict(stages.WAITS_S))
    poll_s: float = 5.0
    drain_s: float = 60.0
    cancel_s: float = 120.0
    detach_on_signal: bool = False


class Follower:
    """Follows ``followed`` to their ends. ``show(line)`` prints a line of progress; ``clock`` is monotonic, in seconds."""

    def __init__(
        self,
        cluster: Cluster,
        followed: Sequence[FollowedRun],
        options: FollowOptions,
        show: Show,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._options, self._show, self._clock = cluster, options, show, clock
        # a run that is named twice is followed once
        self._followed = list({run.name: Progress.of(run) for run in followed}.values())
        # with the Jobs that collect for others
        self._runs = {progress.name: progress for progress in self._followed}
        self._inbox = Inbox()
        self._slots = Slots(logs.STREAMS)
        # the lines of the runs that are followed, by name
        self._tasks: dict[str, Task] = {}
        self._observer = Observer(cluster, self._runs, options.poll_s, self._changed, self._failed, clock)

    # --- what other threads, and signals, call ---

    def _changed(self, run: str) -> None:
        self._inbox.put(Changed(run))

    def _failed(self, problem: Exception) -> None:
        self._inbox.put(Failed(problem))

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self._inbox.put(Signalled(number))
        self._cluster.hurry()

    # --- the loop ---

    def follow(self) -> list[Outcome]:
        """Follow every run to its end; return how each ended, in the order in which the runs were given.

        Raises ``Interrupted`` after a signal, and the ``KitError`` of a cluster that refuses for good or of a full disk.
        """
        with signals.handled(self._signalled):
            try:
                self._observer.start(self._take_urgent)
                while not all(progress.done for progress in self._runs.values()):
                    self._take(self._next_wait_s())
                self._check_for_late_signal()
            finally:
                self._observer.stop()
                for progress in self._runs.values():
                    for reader in progress.logs.values():
                        reader.stop()
                for name in list(self._tasks):
                    self._end_task(name)
        return [Outcome(progress.run, progress.error) for progress in self._followed]

    def _take(self, wait_s: float) -> None:
        """Take all messages that there are, waiting ``wait_s`` for the first, then look at every run that they concern."""
        touched = set()
        for message in self._inbox.take(max(0.01, wait_s)):
            if isinstance(message, Changed):
                touched.add(message.run)
            elif isinstance(message, LogLine):
                self._show(f"{message.run} | {printable(message.text)}")
            else:
                self._stop_for(message)
        now_s = self._clock()
        for progress in list(self._runs.values()):
            if not progress.done and (progress.name in touched or progress.look_at_s <= now_s):
                self._look(progress, now_s)

    def _take_urgent(self) -> None:
        """Take signals and failures while the first lists are on their way; all other messages wait."""
        others: list[Message] = []
        for message in self._inbox.take_waiting():
            if isinstance(message, Signalled | Failed):
                self._stop_for(message)
            else:
                others.append(message)
        for message in others:
            self._inbox.put(message)

    def _next_wait_s(self) -> float:
        return min(progress.look_at_s for progress in self._runs.values() if not progress.done) - self._clock()

    def _stop_for(self, message: Signalled | Failed) -> None:
        """End following. Raises ``Interrupted`` for a signal, and the error of a failure with the way back."""
        if isinstance(message, Failed):
            raise self._failure(message.problem)
        self._cluster.resume()
        open_runs = self._open_runs()
        if interruption.asks_to_detach(message.number, self._options.detach_on_signal, self._inbox, self._show):
            raise interruption.detached(self._cluster, [progress.run for progress in open_runs])
        try:
            raise interruption.cancel(
                self._cluster, open_runs, self._observer.observe, self._options.cancel_s, self._inbox, self._show
            )
        except (Refused, Unanswered) as problem:
            raise self._failure(problem) from None

    def _check_for_late_signal(self) -> None:
        """Raise ``Interrupted`` for a signal that came while the last run was concluded: the verb must not go on to further runs."""
        if self._inbox.has_signal():
            self._cluster.resume()
            raise interruption.stopped_after(self._cluster, [progress.run for progress in self._followed])

    def _failure(self, problem: Exception) -> KitError:
        open_runs = [progress.run for progress in self._open_runs()]
        return interruption.failure(problem, self._cluster, open_runs, self._runs_folder())

    def _runs_folder(self) -> Path:
        (folder,) = {progress.run.folder.parent for progress in self._runs.values()}
        return folder

    def _open_runs(self) -> list[Progress]:
        return [progress for progress in self._followed if not progress.done]

    # --- one run ---

    def _look(self, progress: Progress, now_s: float) -> None:
        """Look at a run: follow its logs, say what changed, and act on its end or on a wait that is too long."""
        observed = self._observer.observe(progress)
        foreign = ending.foreign_image(progress.run, observed.pods)
        if foreign is not None:
            self._refuse_image(progress, observed, foreign)
            return
        self._follow_logs(progress, observed)
        stage, observed = self._stage(progress, observed)
        self._tell(progress, stage, now_s)
        progress.timer, progress.stage = progress.timer.at(stage, now_s), stage
        progress.look_at_s = now_s + LOOK_S
        if stage.over:
            self._finish(progress, stage, observed, now_s)
            return
        left_s = progress.timer.left_s(stage, observed, self._options.waits_s, now_s)
        if stage.problem is not None and stages.hopeless(stage):
            self._give_up(progress, stage, observed, stage.problem)
        elif left_s is not None and left_s <= 0:
            waited_s = now_s - progress.timer.since_s
            self._give_up(progress, stage, observed, stages.overdue(observed, stage, waited_s))
        elif left_s is not None:
            progress.look_at_s = now_s + min(LOOK_S, left_s)
        if progress.expected_until_s is not None:
            progress.look_at_s = min(progress.look_at_s, progress.expected_until_s)

    def _stage(self, progress: Progress, observed: Observed) -> tuple[Stage, Observed]:
        """Return the stage of a run and what the stage was told from: with nodes and claims where the run waits for a new reason."""
        stage: Stage = stages.stage(observed)
        plain_before = progress.plain_stage
        progress.plain_stage = (stage.word, stage.mark, stage.text)
        if stage.problem is None or stage.word not in ("pending", "new", "creating"):
            return stage, observed
        if progress.plain_stage == plain_before and progress.stage is not None:
            return progress.stage, observed
        observed = self._observer.observe(progress, with_nodes=True)
        return stages.stage(observed), observed

    def _tell(self, progress: Progress, stage: Stage, now_s: float) -> None:
        """Show a run's stage where it is new, and now and then while the run waits in a queue."""
        again = stage.wait == "queue" and now_s - progress.shown_at_s >= QUEUE_LINE_S
        if progress.stage is None or progress.stage.text != stage.text or again:
            self._show(f"{progress.name}: {stage.text}.")
            if stage.problem is not None and not stage.over:
                self._show(f"{progress.name}: {stage.problem.step}")
            progress.shown_at_s = now_s
            # the run's name stands before the step, and need not stand in the pod's name again
            self._task(progress.name).update(Step(stage.text.replace(f"{progress.name}-", "")))

    def _task(self, name: str) -> Task:
        if name not in self._tasks:
            self._tasks[name] = begin(name, self._show)
        return self._tasks[name]

    def _end_task(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.end()

    def _follow_logs(self, progress: Progress, observed: Observed) -> None:
        for pod in observed.pods:
            uid = pod["metadata"]["uid"]
            for container in containers_started(pod):
                reader = progress.logs.get((uid, container))
                if reader is None:
                    progress.logs[uid, container] = reader = self._log_reader(progress, pod, container)
                    reader.start()
                else:
                    reader.look()

    def _log_reader(self, progress: Progress, pod: JsonObject, container: str) -> LogReader:
        uid, name = pod["metadata"]["uid"], progress.name

        def ended() -> bool:
            pods = [listed for listed in self._observer.pods(name) if listed["metadata"]["uid"] == uid]
            return not pods or bool(container_ended(pods[-1], container))

        return LogReader(
            self._cluster,
            name_of(pod),
            container,
            progress.run.folder / f"{uid}.{container}.log",
            ended,
            lambda text: self._inbox.put(LogLine(name, text)),
            lambda: self._changed(name),
            self._failed,
            self._slots,
        )

    # --- the end of a run ---

    def _give_up(self, progress: Progress, stage: Stage, observed: Observed, problem: Problem) -> None:
        """End following a run that does not start. The run stays in the cluster; the error says how to end it."""
        if progress.collects_for is not None:
            self._show(f"{progress.name}: {problem}")
            self._end_collection(progress, progress.collects_for)
            return
        run = progress.run
        evidence.save_evidence(run, observed, stage, problem)
        progress.error = ending.given_up(
            run, stage, problem, self._command("follow", run), self._command("cancel", run)
        )
        self._end_task(progress.name)
        progress.done = True

    def _refuse_image(self, progress: Progress, observed: Observed, image: StartedImage) -> None:
        """End following a run with a container of another image than the one that was asked for; the run's logs are not kept."""
        if progress.collects_for is not None:
            self._show(f"{progress.name}: {ending.foreign_image_sentence(image)}.")
            self._end_collection(progress, progress.collects_for)
            return
        run = progress.run
        evidence.save_evidence(run, observed, progress.stage, None)
        self._forget(progress)
        progress.error = ending.refused_for_image(run, image, self._command("cancel", run))
        progress.done = True

    def _finish(self, progress: Progress, stage: Stage, observed: Observed, now_s: float) -> None:
        """Wait for the logs of a run that ended, then take from the volume what the logs lack, then conclude."""
        if progress.over_since_s is None:
            progress.over_since_s = now_s
            if not observed.pods or not all(map(pod_ended, observed.pods)):
                self._observer.refresh_pods(progress)
                observed = self._observer.observe(progress)
            self._follow_logs(progress, observed)
        drained_at_s = progress.over_since_s + self._options.drain_s
        if now_s < drained_at_s and any(reader.reading for reader in progress.logs.values()):
            progress.look_at_s = drained_at_s
            return
        if progress.collecting is None:
            frames = logs.read_frames(progress.run.log_files)
            if progress.measures and ending.lacks_results(stage, observed, frames):
                if frames.broken:
                    line = "the log was rotated or cut, and a part of the result is missing in it"
                    self._show(f"{progress.name}: {line}.")
                progress.collecting = self._start_collection(progress, observed)
        if progress.collecting is None or progress.collecting.done:
            self._conclude(progress, stage)

    def _start_collection(self, progress: Progress, observed: Observed) -> Progress | None:
        """Submit the Job that prints the results on a run's volume; return None where there is no volume, or the Job is refused."""
        planned = collection.plan(progress.run, observed)
        if planned is None:
            return None
        collecting = Progress.of(planned, collects_for=progress)
        # the observer knows the run before the Job exists, and so overlooks nothing of it
        self._runs[collecting.name] = collecting
        try:
            manifest = collection.submit(self._cluster, planned, self._options.cancel_s)
        except (ClusterRefused, NotStarted, Unreachable) as error:
            del self._runs[collecting.name]
            self._show(f"{progress.name}: {error}")
            return None
        self._show(f"{progress.name}: {collecting.name} takes the results off the volume.")
        collecting.run = planned.created(manifest, self._clock())
        collecting.expected_until_s = collecting.run.expected_until_s
        return collecting

    def _end_collection(self, collecting: Progress, collects_for: Progress) -> None:
        """End following a Job that took results off a volume, and look again at the run that the Job collected for."""
        collecting.done = True
        # a Job that cannot be deleted is removed by its own time to live
        with contextlib.suppress(Refused, Unanswered):
            self._cluster.delete(collecting.run.kind, collecting.name)
        self._forget(collecting)
        self._changed(collects_for.name)

    def _conclude(self, progress: Progress, stage: Stage) -> None:
        """Say how a run ended, and follow the run no more."""
        run = progress.run
        # once more: the logs hold more lines by now
        observed = self._observer.observe(progress)
        problem: Problem | None = stages.stage(observed).problem
        if progress.collects_for is not None:
            if stage.word == stages.FAILED:
                self._show(f"{run.name}: {problem or 'nothing says why.'}")
            self._end_collection(progress, progress.collects_for)
            return
        progress.done = True
        evidence.save_evidence(run, observed, stage, problem)
        self._forget(progress)
        conclusion = ending.conclude(
            run,
            stage,
            problem,
            observed,
            logs.read_frames(run.log_files),
            self._command("follow", run),
            evidence.partial_path(run),
        )
        if conclusion.lost:
            evidence.save_partial(run, conclusion.lost)
        progress.error = conclusion.error
        for line in conclusion.lines:
            self._show(line)

    def _command(self, verb: str, run: FollowedRun) -> str:
        return shell_command(verb, self._cluster, [run])

    def _forget(self, progress: Progress) -> None:
        """Drop what only following needs of a run. A log that is silent would keep its slot from the logs that wait."""
        self._end_task(progress.name)
        self._observer.forget(progress.name)
        for reader in progress.logs.values():
            reader.stop()
        progress.logs.clear()
