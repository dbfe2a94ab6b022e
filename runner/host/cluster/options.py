"""Define the flags that all verbs with a cluster have, and make of them the cluster and the options of the follower."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runner.contract import patterns
from runner.contract.arguments import seconds
from runner.contract.text import printable
from runner.host.cluster import runs
from runner.host.cluster.client import Cluster, Timeouts
from runner.host.cluster.follower import FollowOptions
from runner.host.diagnosis import stages


def some_seconds(text: str) -> float:
    """Return a time in seconds that is not 0: nothing can be done within 0 s.

    Raises ``argparse.ArgumentTypeError``, as all types of arguments here do.
    """
    value = seconds(text)
    if not value:
        raise argparse.ArgumentTypeError("0 seconds are too short for this")
    return value


def whole_seconds(text: str) -> int:
    """Return a time in whole seconds, at least 1 s, as a Job's deadline is given. Raises ``ArgumentTypeError``."""
    value = some_seconds(text)
    if value != int(value):
        raise argparse.ArgumentTypeError(f"{printable(text, 60)} is no whole number of seconds")
    return int(value)


def run_name(text: str) -> str:
    """Return the name of a run. A name with a slash or with two dots would lead out of the folder of the runs.

    Raises ``ArgumentTypeError``.
    """
    if not patterns.SUBDOMAIN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{printable(text, 80)!r} is no name of a Job: {patterns.SUBDOMAIN.words}")
    return text


def namespace_name(text: str) -> str:
    """Return the name of a namespace. Raises ``ArgumentTypeError``."""
    if not patterns.DNS_LABEL.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{printable(text, 80)!r} is no name of a namespace: {patterns.DNS_LABEL.words}"
        )
    return text


# By field of Timeouts without its unit, the help of the flag.
_TIMEOUT_HELP = {
    "first": "seconds to try a server that has not answered yet",
    "request": "seconds to wait for an answer, and for a credential plugin without a terminal",
    "passing": "seconds to try again after a refusal that may pass (429, 5xx) or no answer",
    "watch": "seconds that a watch is asked to last",
    "silence": "seconds without a byte after which a watch counts as dead; keep it above --watch-timeout-s",
    "log": "seconds without a byte after which a log is opened again",
}


def add_place_flags(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the flags that name the cluster, and return their group."""
    group = parser.add_argument_group("the cluster")
    group.add_argument(
        "--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, then ~/.kube/config, then the pod's own"
    )
    group.add_argument("--context", help="a context of the kubeconfig (default: its current one)")
    group.add_argument("--namespace", type=namespace_name, help="default: that of the context, then bloomz-bench")
    return group


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name the cluster, its timeouts, and the folder of the runs."""
    group = add_place_flags(parser)
    for name, words in _TIMEOUT_HELP.items():
        group.add_argument(
            f"--{name}-timeout-s",
            type=seconds if name == "passing" else some_seconds,
            default=getattr(Timeouts(), f"{name}_s"),
            metavar="S",
            help=f"{words} (default: %(default)g)",
        )
    parser.add_argument(
        "--runs",
        default=runs.FOLDER,
        metavar="FOLDER",
        type=Path,
        help="where logs and evidence go (default: %(default)s)",
    )


def add_follow_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how runs are followed."""
    group = parser.add_argument_group("the longest waits without progress, in seconds (0: for ever)")
    for name, default_s in stages.WAITS_S.items():
        default_words = "for ever" if default_s is None else f"{default_s:g}"
        group.add_argument(
            f"--{name}-s",
            type=seconds,
            default=default_s,
            metavar="S",
            help=f"how long to wait {stages.WAITS_FOR[name]} (default: {default_words})",
        )
    defaults = FollowOptions()
    group.add_argument(
        "--poll-s",
        type=some_seconds,
        default=defaults.poll_s,
        metavar="S",
        help="seconds between two lists where watches fail (default: %(default)g)",
    )
    group.add_argument(
        "--drain-s",
        type=seconds,
        default=defaults.drain_s,
        metavar="S",
        help="how long to wait for the logs after a run's end (default: %(default)g)",
    )
    parser.add_argument(
        "--detach-on-signal",
        action="store_true",
        help="without a terminal, and for SIGTERM: leave the runs in the cluster instead of cancelling them",
    )


def connect(arguments: argparse.Namespace) -> Cluster:
    """Return the cluster that the flags name.

    Raises ``ClusterRefused`` where no kubeconfig can be used, ``NoCluster`` where no kubeconfig exists.
    """
    timeouts = Timeouts(**{f"{name}_s": getattr(arguments, f"{name}_timeout_s") for name in _TIMEOUT_HELP})
    return Cluster(arguments.kubeconfig, arguments.context, arguments.namespace, timeouts)


def follow_options(arguments: argparse.Namespace) -> FollowOptions:
    """Return the options of the follower that the flags ask for."""
    return FollowOptions(
        waits_s={name: getattr(arguments, f"{name}_s") or None for name in stages.WAITS_S},
        poll_s=arguments.poll_s,
        drain_s=arguments.drain_s,
        detach_on_signal=arguments.detach_on_signal,
    )


def show(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)
