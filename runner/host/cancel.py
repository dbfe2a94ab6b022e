"""The verb ``cancel``: keep the evidence of runs, delete them from the cluster, and wait until they are gone."""

import argparse

from runner.contract.errors import InputError
from runner.host import attend, connection
from runner.host.attend import Run, told
from runner.host.cluster import Refused, Unanswered
from runner.host.diagnosis import diagnose


def parser():
    described = argparse.ArgumentParser(
        prog="python -m runner cancel",
        description="Delete runs and their pods from the cluster, and wait until they are gone. Results that lie on the volume stay"
        " there.",
        epilog="Exit codes: 12 if one is not gone in time; see `python -m runner --help`.",
    )
    described.add_argument("names", nargs="+", metavar="RUN", help="names of Jobs, MPIJobs or JobSets")
    described.add_argument(
        "--cancel-s",
        type=float,
        default=attend.Manner().cancel_s,
        metavar="S",
        help="how long to wait (default: %(default)g)",
    )
    connection.add_flags(described)
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    cluster = connection.connect(options)
    try:
        runs = [_known(cluster, name, options) for name in options.names]
        attend.cancel(cluster, runs, options.cancel_s, connection.show)
    except (Refused, Unanswered) as problem:
        raise told(problem, cluster) from None
    for run in runs:
        attend.forget(run)
    return 0


def _known(cluster, name, options):
    """Return the ``Run`` of a name, its evidence kept."""
    thing = attend.find(cluster, name)
    if thing is None:
        raise InputError(
            f"{name} is not in {cluster.namespace}. `kubectl -n {cluster.namespace} get jobs` shows what there is."
        )
    run = Run(name, thing["kind"], thing, attend.folder_of(options.runs, cluster, name))
    observed = attend.look_once(cluster, thing)
    attend.keep_evidence(run, observed, diagnose(observed))
    return run
