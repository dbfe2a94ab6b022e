"""The flags that every verb with a cluster has, and what they make: the connection, and how runs are attended to."""

import argparse
import dataclasses
import sys
from pathlib import Path

from runner.contract import patterns
from runner.contract.arguments import seconds
from runner.contract.text import printable
from runner.host.cluster import follower, runs
from runner.host.cluster.client import Cluster, Patience
from runner.host.diagnosis import stages


def some_seconds(text: str) -> float:
    """Return a time in seconds that is not 0: what nothing can be done in would always be too short."""
    value = seconds(text)
    if not value:
        raise argparse.ArgumentTypeError("0 seconds are too short for this")
    return value


def whole_seconds(text: str) -> int:
    """Return a time in whole seconds, at least one, as a Job's deadline is given."""
    value = some_seconds(text)
    if value != int(value):
        raise argparse.ArgumentTypeError(f"{printable(text, 60)} is no whole number of seconds")
    return int(value)


def run_name(text: str) -> str:
    """Return the name of a run. One with a slash or a dot before another would lead out of the folder of the runs."""
    if not patterns.SUBDOMAIN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{printable(text, 80)!r} is no name of a Job: {patterns.SUBDOMAIN.words}")
    return text


def namespace_name(text: str) -> str:
    if not patterns.DNS_LABEL.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{printable(text, 80)!r} is no name of a namespace: {patterns.DNS_LABEL.words}"
        )
    return text


def add_flags(parser):
    place = parser.add_argument_group("the cluster")
    place.add_argument(
        "--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, then ~/.kube/config, then the pod's own"
    )
    place.add_argument("--context", help="a context of the kubeconfig (default: its current one)")
    place.add_argument("--namespace", type=namespace_name, help="default: that of the context, then bloomz-bench")
    for name, what in _PATIENCE.items():
        default = getattr(Patience(), f"{name}_s")
        place.add_argument(
            f"--{name}-timeout-s",
            type=seconds if name == "passing" else some_seconds,
            default=default,
            metavar="S",
            help=f"{what} (default: %(default)g)",
        )
    parser.add_argument(
        "--runs",
        default=runs.FOLDER,
        metavar="FOLDER",
        type=Path,
        help="where logs and evidence go (default: %(default)s)",
    )


_PATIENCE = {
    "request": "how long an answer may take, and a credential plugin where there is no terminal",
    "passing": "how long to try again what a server says passes (429, 5xx), or does not answer; 15 s where it never has",
    "watch": "how long a watch is asked to last",
    "silence": "seconds without a byte after which a watch counts as dead; keep it above --watch-timeout-s",
    "log": "how long a log may say nothing before it is opened again",
}


def add_follow_flags(parser):
    waits = parser.add_argument_group("how long a run may stay where it is, without progress (0: for ever)")
    for name, default in stages.WAITS_S.items():
        told = "for ever" if default is None else f"{default:g}"
        waits.add_argument(
            f"--{name}-s",
            type=seconds,
            default=default,
            metavar="S",
            help=f"{stages.WAITS_FOR[name]} (default: {told})",
        )
    manner = follower.Manner()
    waits.add_argument(
        "--poll-s",
        type=some_seconds,
        default=manner.poll_s,
        metavar="S",
        help="between lists where watches fail (default: %(default)g)",
    )
    waits.add_argument(
        "--drain-s",
        type=seconds,
        default=manner.drain_s,
        metavar="S",
        help="for logs, after a run's end (default: %(default)g)",
    )
    parser.add_argument(
        "--detach-on-signal",
        action="store_true",
        help="without a terminal, and for SIGTERM: leave the runs in the cluster instead of cancelling them",
    )


def connect(options):
    """Return the ``Cluster`` that the flags name. Raises ``ClusterRefused`` where no kubeconfig can be used, ``NoCluster`` where
    there is none at all."""
    patience = Patience(**{f"{name}_s": getattr(options, f"{name}_timeout_s") for name in _PATIENCE})
    return Cluster(options.kubeconfig, options.context, options.namespace, patience)


def manner(options):
    """Return the ``Manner`` that the flags ask for."""
    deadlines = {name: getattr(options, f"{name}_s") or None for name in stages.WAITS_S}
    return dataclasses.replace(
        follower.Manner(),
        deadlines=deadlines,
        poll_s=options.poll_s,
        drain_s=options.drain_s,
        detach_on_signal=options.detach_on_signal,
    )


def show(text):
    print(text, file=sys.stderr, flush=True)
