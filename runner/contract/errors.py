"""Every error a user can meet, each with its own exit code; no other module chooses an exit code.

Each message finishes the sentence: what broke, where, and what to run next.
"""

from __future__ import annotations


class KitError(Exception):
    """An error that a user can act on. Raised with one sentence; ``exit_code`` is unique per class."""

    exit_code = 70
    meaning = "unexpected: a defect of the kit; its traceback is kept in a file, which the message names"


class UsageError(KitError):
    """Raised for a command line that cannot be followed."""

    exit_code = 2
    meaning = "the command line is wrong: unknown verb, flag, case, model or value"


class InputError(KitError):
    """Raised for a given file that cannot be used."""

    exit_code = 3
    meaning = "a file that was given is missing or damaged: lock, catalog, request, dataset, weights"


class UnresolvedPin(KitError):
    """Raised by a step that needs a pin which is unresolved."""

    exit_code = 4
    meaning = "a pin that this step needs is unresolved in versions.lock"


class DoesNotFit(KitError):
    """Raised before loading a model that is larger than the memory, and for files that are larger than the volume's free space."""

    exit_code = 5
    meaning = "the model does not fit the memory that is there, or files do not fit the volume; nothing was loaded"


class LaunchFailed(KitError):
    """Raised for a launch that gave no measurement."""

    exit_code = 6
    meaning = "a launch ended without a measurement: launcher missing, a rank died, tokens differ"


class PublishFailed(KitError):
    """Raised where a result cannot be written."""

    exit_code = 7
    meaning = "a result cannot be written; said before measuring where that can be known"


class DamagedResult(KitError):
    """Raised for a result that cannot be trusted."""

    exit_code = 8
    meaning = "a result cannot be trusted: torn, edited, foreign, doubled or of a newer schema"


class Unreachable(KitError):
    """Raised where a service of the network does not answer."""

    exit_code = 9
    meaning = (
        "an index, hub, registry or cluster could not be reached; what was there before stays, and what runs goes on"
    )


class Unsupported(KitError):
    """Raised for a request that this version, stack or device cannot run."""

    exit_code = 10
    meaning = "the request asks for what this version, stack or device cannot do"


class ClusterRefused(KitError):
    """Raised where the cluster refuses a call of the client."""

    exit_code = 11
    meaning = "the cluster refused: credentials, rights, policy, quota, or something that it needs is not there"


class NotStarted(KitError):
    """Raised for a Job that did not start within its wait."""

    exit_code = 12
    meaning = "a Job waited as long as it may: for a node, volume, image, queue or its end; it stays in the cluster"


class JobFailed(KitError):
    """Raised for a Job that failed in the cluster, and for a container that failed on this host."""

    exit_code = 13
    meaning = "a Job failed in the cluster, or a container of `run` here; the reason is said, and its evidence is kept"


class ResultLost(KitError):
    """Raised for a Job, or a container of ``run``, that ended and left no result."""

    exit_code = 14
    meaning = "a Job or a container ended, but its result could be taken neither from its log nor from its volume"


class OutputLost(KitError):
    """Raised where standard output or error does not take text."""

    exit_code = 15
    meaning = "the verb did its work, but standard output or error could not take what was printed: closed, full, or its reader gone"


class NotReady(KitError):
    """Raised where a look found something that would keep a run from its result."""

    exit_code = 16
    meaning = "something that a run needs is not ready, as doctor found; nothing was started and nothing was changed"


class Changed(KitError):
    """Raised where run against run found a change that the caller named with ``--fail-on``."""

    exit_code = 17
    meaning = "run against run found a change that `--fail-on` names; all was compared and printed"


class Inconclusive(KitError):
    """Raised where the launches of run against run cannot tell, and the caller named that with ``--fail-on``."""

    exit_code = 18
    meaning = (
        "the launches cannot tell whether something changed, and `--fail-on` names that; all was compared and printed"
    )


class Interrupted(KitError):
    """Raised for a run that a signal stopped."""

    exit_code = 130
    meaning = "stopped by Ctrl-C, SIGTERM or SIGHUP; what was measured so far is kept"


def all_errors() -> list[type[KitError]]:
    """Return every error class, the base first, in the order of their exit codes."""
    return sorted([KitError, *KitError.__subclasses__()], key=lambda kind: kind.exit_code)


def by_exit_code(code: int) -> type[KitError]:
    """Return the error class with this exit code; ``KitError`` itself for a code that no class has."""
    return next((kind for kind in all_errors() if kind.exit_code == code), KitError)
