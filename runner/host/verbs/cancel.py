"""The verb ``cancel``: keep the evidence of runs, delete them from the cluster, and wait until they are gone."""

from runner.contract.arguments import seconds, verb_parser
from runner.contract.errors import InputError
from runner.host.cluster import errors, evidence, follower, runs
from runner.host.cluster import options as connection
from runner.host.cluster.client import Refused, Unanswered
from runner.host.cluster.runs import Run
from runner.host.diagnosis import diagnose


def parser():
    described = verb_parser(
        "cancel",
        description="Delete runs and their pods from the cluster, and wait until they are gone. Results that lie on the volume stay"
        " there.",
        epilog="Exit codes: 12 if one is not gone in time; see `python -m runner --help`.",
    )
    described.add_argument(
        "names", nargs="+", metavar="RUN", type=connection.run_name, help="names of Jobs, MPIJobs or JobSets"
    )
    described.add_argument(
        "--cancel-s",
        type=seconds,
        default=follower.Manner().cancel_s,
        metavar="S",
        help="how long to wait (default: %(default)g)",
    )
    connection.add_flags(described)
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    cluster = connection.connect(options)
    try:
        known = [_known(cluster, name, options) for name in options.names]
        runs.delete(cluster, known, options.cancel_s, connection.show)
    except (Refused, Unanswered) as problem:
        raise errors.as_error(problem, cluster) from None
    for run in known:
        evidence.forget(run)
    return 0


def _known(cluster, name, options):
    """Return the ``Run`` of a name, its evidence kept."""
    thing = runs.find(cluster, name)
    if thing is None:
        raise InputError(f"{name} is not in {cluster.namespace}. `{cluster.kubectl} get jobs` shows what there is.")
    run = Run.of(thing, cluster, options.runs)
    observed = runs.look(cluster, thing)
    evidence.keep(run, observed, diagnose(observed))
    return run
