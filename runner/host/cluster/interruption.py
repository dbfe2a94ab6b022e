"""End following before the runs end, by a signal or by a failure: the error says how to come back, and a signal may cancel the runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.contract.errors import Interrupted, KitError
from runner.host.cluster import errors, evidence, runs
from runner.host.cluster.answers import Refused, Unanswered
from runner.host.cluster.client import Cluster
from runner.host.cluster.commands import shell_command
from runner.host.cluster.messages import Inbox
from runner.host.cluster.plugins import at_a_terminal
from runner.host.cluster.progress import Progress
from runner.host.cluster.runs import FollowedRun, Show
from runner.host.diagnosis import Observed

SECOND_SIGNAL_S = 5.0


def failure(problem: Exception, cluster: Cluster, open_runs: Sequence[FollowedRun], runs_folder: Path) -> KitError:
    """Return the error of an exception that ended following, with the command that comes back to the runs.

    Raises the exception itself where the exception is a defect of this kit.
    """
    if isinstance(problem, OSError):
        error: KitError = evidence.unwritable(problem, runs_folder)
    elif isinstance(problem, Refused | Unanswered):
        error = errors.as_kit_error(problem, cluster)
    elif isinstance(problem, KitError):
        error = problem
    else:
        raise problem
    return type(error)(f"{error} Come back: `{shell_command('follow', cluster, open_runs)}`.")


def stopped_after(cluster: Cluster, followed: Sequence[FollowedRun]) -> Interrupted:
    """Return the error of a signal that came when all runs had ended."""
    names = ", ".join(run.name for run in followed)
    return Interrupted(f"Stopped after the end of {names}. Collect: {_collect_commands(cluster, followed)}.")


def detached(cluster: Cluster, open_runs: Sequence[FollowedRun]) -> Interrupted:
    """Return the error of following that ended while the runs go on."""
    return Interrupted(
        f"Detached; the runs go on in the cluster. Come back and collect: {_collect_commands(cluster, open_runs)};"
        f" end them: `{shell_command('cancel', cluster, open_runs)}`."
    )


def _collect_commands(cluster: Cluster, followed: Sequence[FollowedRun]) -> str:
    """Return the commands that take the results of runs. The paths go through a file, for a shell's $(...) would split them at blanks."""
    return f"`{shell_command('follow', cluster, followed)} > logs.txt`, then `python -m runner collect --from logs.txt`"


def asks_to_detach(number: int, detach_on_signal: bool, inbox: Inbox, show: Show) -> bool:
    """Return whether a signal detaches from the runs; else the signal cancels them.

    On a terminal the first Ctrl-C detaches, unless a second signal comes within ``SECOND_SIGNAL_S`` seconds. Every other signal
    cancels, unless ``--detach-on-signal`` was given.
    """
    if number == signal.SIGINT and at_a_terminal():
        show(f"Detaching; Ctrl-C again within {SECOND_SIGNAL_S:.0f} s cancels the runs.")
        return not inbox.wait_for_signal(SECOND_SIGNAL_S)
    return detach_on_signal


def cancel(
    cluster: Cluster,
    open_runs: Sequence[Progress],
    observe: Callable[[Progress], Observed],
    wait_s: float,
    inbox: Inbox,
    show: Show,
) -> Interrupted:
    """Save the evidence of runs, delete the runs, and return the error that says so. A further signal ends the wait for the deletion.

    Raises ``Refused`` and ``Unanswered``, ``NotStarted`` for a run that does not go in time, and ``PublishFailed``.
    """
    # the second signal ended all waits between two tries; the deletion needs them
    cluster.resume()
    for progress in open_runs:
        problem = progress.stage.problem if progress.stage else None
        evidence.save_evidence(progress.run, observe(progress), progress.stage, problem)
    cancelled = [progress.run for progress in open_runs]
    runs.delete(cluster, cancelled, wait_s, show, inbox.has_signal)
    for run in cancelled:
        evidence.forget_object(run)
    folders = ", ".join(str(run.folder) for run in cancelled)
    return Interrupted(
        f"Cancelled {len(cancelled)} run(s); evidence and logs so far: {folders}. Submit again to measure."
    )
