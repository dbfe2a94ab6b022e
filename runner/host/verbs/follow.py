"""The verb ``follow``: come back to runs that were submitted, wait for their end, and take their results."""

from runner.contract.arguments import verb_parser
from runner.contract.errors import InputError
from runner.host.cluster import errors, evidence, follower, runs
from runner.host.cluster import options as connection
from runner.host.cluster.client import Refused, Unanswered
from runner.host.cluster.runs import Run
from runner.host.objects.names import component_of


def parser():
    described = verb_parser(
        "follow",
        description="Follow runs by name, such as Jobs that `submit --detach` or kubectl created, until their results lie here. The"
        " paths of their logs go to standard output, for `python -m runner collect`. A run that is gone from the cluster is taken"
        " from what was kept here and from the volume.",
        epilog="Exit codes: that of the first run that went wrong; see `python -m runner --help`.",
    )
    described.add_argument(
        "names",
        nargs="*",
        metavar="RUN",
        type=connection.run_name,
        help="names of Jobs, MPIJobs or JobSets (default: all of this kit that are there)",
    )
    connection.add_flags(described)
    connection.add_follow_flags(described)
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    cluster = connection.connect(options)
    try:
        wanted = [_found(cluster, name, options) for name in options.names] or _all(cluster, options)
    except (Refused, Unanswered) as problem:
        raise errors.as_error(problem, cluster) from None
    follower.Attendance(cluster, wanted, connection.manner(options), connection.show).until_done()
    for run in wanted:
        for path in run.results:
            print(path)
    failed = [run.error for run in wanted if run.error is not None]
    for error in failed:
        connection.show(f"runner: {error}")
    return failed[0].exit_code if failed else 0


def _all(cluster, options):
    things = [one for one in runs.find_all(cluster) if component_of(one) == "bench"]
    if not things:
        raise InputError(f"No benchmark is in {cluster.namespace}. Start one: `python -m runner submit k8s/`.")
    return [Run.of(one, cluster, options.runs) for one in things]


def _found(cluster, name, options):
    thing = runs.find(cluster, name) or evidence.noted(runs.folder_of(options.runs, cluster, name))
    if thing is not None:
        return Run.of(thing, cluster, options.runs)
    raise InputError(
        f"{name} is neither in {cluster.namespace} nor in {options.runs}. `{cluster.kubectl} get jobs` shows what there is."
    )
