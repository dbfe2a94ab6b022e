"""The verb ``doctor``: say what is ready for a run and what is not, before anybody pays for a node. Nothing is changed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from runner.contract import patterns
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import ClusterRefused, KitError, NotReady, UsageError
from runner.contract.found_devices import DeviceFound
from runner.host.cluster.client import Cluster, Timeouts
from runner.host.cluster.options import add_place_flags
from runner.host.doctor import devices, looking, plan, terminal
from runner.host.doctor.looking import ANSWER_S
from runner.host.doctor.plan import Scope, Tables
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles


@dataclass(frozen=True)
class LookMade(Event, word="look"):
    """One look, and what it found."""

    area: str = field(metadata=fact("host, container, registry, cluster, pins or weights"))
    what: str = field(metadata=fact("what was looked at"))
    state: str = field(metadata=fact("ready, warning, not ready, cannot be told, or not looked at"))
    finding: str = field(metadata=fact("what was found, as a sentence"))
    remedy: str | None = field(metadata=fact("what to do, null where nothing needs to be done"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    described = verb_parser(
        "doctor",
        description="Look at what a run needs, and say of each thing whether it is ready, and what to do where it is not: host,"
        " container program, registry, cluster, pins, weights. Nothing is changed, and each program or service is waited for"
        " for a few seconds only. Without flags: this host, for the cases that its accelerators serve, and the cluster of the"
        " kubeconfig where there is one; what is not ready there is a warning unless --set or a flag of the cluster is given.",
        epilog="Exit codes: 0 all is ready, or with warnings, 16 something is not ready; see `python -m runner --help`.",
    )
    which = described.add_mutually_exclusive_group()
    which.add_argument(
        "--set", metavar="SET", help="a set of manifests, which runs on a cluster; this host is not looked at"
    )
    which.add_argument("--cases", metavar="CASE", nargs="+", help="cases that are to run on this host")
    described.add_argument(
        "--registry",
        metavar="REGISTRY/TEAM",
        help="where images are to be pushed; nothing is stored there",
    )
    add_json(described, "each look")
    group = add_place_flags(described)
    group.add_argument("--queue", metavar="NAME", help="the Kueue LocalQueue that the runs would wait in")
    group.add_argument("--storage-class", metavar="NAME", help="of both volumes (default: the cluster's own)")
    return described


def main(arguments: Sequence[str]) -> int:
    """Make the looks, print what they found, and return 0 where nothing is amiss but with warnings.

    Raises ``NotReady`` where something is not ready, ``UsageError`` for an unknown set or case, and ``InputError`` for a damaged
    table.
    """
    options = parser().parse_args(arguments)
    for flag, form, value in (
        ("--registry", patterns.REPOSITORY, options.registry),
        ("--queue", patterns.SUBDOMAIN, options.queue),
        ("--storage-class", patterns.SUBDOMAIN, options.storage_class),
    ):
        problem = None if value is None else patterns.problem(form, value)
        if problem is not None:
            raise UsageError(f"{flag} {problem}. See `python -m runner doctor --help`.")
    catalog = catalogs.read()
    tables = Tables(catalog, lockfile.read(), profiles.read(catalog))
    found: list[DeviceFound] | KitError = [] if options.set else _devices()
    scope = _scope(options, tables, found)
    # a person may have to log in at the terminal: that is not for a thread
    of_the_cluster = plan.of_the_cluster(scope, tables, _cluster(options), options.queue, options.storage_class)
    if not any(
        (options.set, options.kubeconfig, options.context, options.namespace, options.queue, options.storage_class)
    ):
        # the runs are on this host: a cluster that the user has besides stops none
        of_the_cluster = [replace(group, looks=[look.unneeded() for look in group.looks]) for group in of_the_cluster]
    groups = [
        *plan.of_this_host(scope, tables, found),
        *plan.of_the_registry(scope, tables.lock, options.registry),
        *of_the_cluster,
        *plan.of_pins_and_weights(scope, tables.lock),
    ]
    findings = looking.look_at(groups)
    if options.json:
        announcer = Announcer(as_json=True)
        for finding in findings:
            announcer.announce(LookMade(**asdict(finding)))
    else:
        terminal.show(findings)
    amiss = [f"{finding.area}: {finding.what}" for finding in findings if finding.state == "not ready"]
    if amiss:
        raise NotReady(f"Not ready: {', '.join(amiss)}. The remedies stand above; then look again.")
    return 0


def _scope(options: argparse.Namespace, tables: Tables, found: Sequence[DeviceFound] | KitError) -> Scope:
    if options.set:
        return plan.of_a_set(tables, options.set)
    return plan.of_cases(tables, options.cases or plan.fitting(tables, [] if isinstance(found, KitError) else found))


def _devices() -> list[DeviceFound] | KitError:
    try:
        return devices.here()
    except KitError as problem:
        return problem


def _cluster(options: argparse.Namespace) -> Cluster | ClusterRefused:
    """Return the cluster that the flags name, or why there is none. Each request is made once."""
    timeouts = Timeouts(request_s=ANSWER_S, passing_s=0.0)
    try:
        return Cluster(options.kubeconfig, options.context, options.namespace, timeouts)
    except ClusterRefused as problem:
        return problem
