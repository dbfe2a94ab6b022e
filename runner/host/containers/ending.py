"""Say how a container ended: an error, or None where it left its result."""

from __future__ import annotations

from collections.abc import Sequence

from runner.contract import errors
from runner.contract.errors import Interrupted, JobFailed, KitError, ResultLost
from runner.host.containers.attached import Ended
from runner.host.containers.starting import Planned

# SIGKILL as an exit code, as shells and container programs give it.
_KILLED = 128 + 9
# What podman and docker end with where the container did not start (podman-run(1), docs.docker.com/engine/containers/run).
_NOT_STARTED = {
    125: "it could not make the container",
    126: "the image's command cannot be run",
    127: "the image lacks the command",
}


def error_of(planned: Planned, ended: Ended, attempts: Sequence[str], last_words: Sequence[str]) -> KitError | None:
    """Return what went wrong with a container that ended, None where nothing did."""
    case, log, code = planned.case, planned.folder.log, ended.exit_code
    kept = (
        f"What was measured is in {log}: `collect` takes it out"
        if attempts
        else f"Nothing had been measured; the log is {log}"
    )
    if ended.stopped == "signal":
        return Interrupted(f"stopped: the container of {case} was ended. {kept}.")
    if ended.stopped == "time limit":
        return JobFailed(
            f"{case} took longer than its {planned.deadline_s:g} s and was stopped. {kept}. Give it longer with --deadline-s."
        )
    if code == 0:
        return (
            None if attempts else ResultLost(f"The container of {case} left no result. Read {log}, and measure again.")
        )
    if code in _NOT_STARTED:
        said = " | ".join(last_words) or "it said nothing"
        return JobFailed(f"{planned.place.runtime.program} did not start {case}: {_NOT_STARTED[code]}: {said}")
    message = planned.folder.message()
    kind = errors.by_exit_code(code)
    if message is not None and message["error"] is not None and kind.exit_code == code:
        return kind(f"In the container of {case}: {message['error']['message']} {kept}.")
    if code == _KILLED:
        return JobFailed(
            f"The container of {case} was killed (SIGKILL), as a host does whose memory is full: see `dmesg`. {kept}."
        )
    return JobFailed(f"The container of {case} ended with exit code {code}: {' | '.join(last_words)} {kept}.")
