"""Plan the looks of one call: which places are looked at, for which cases, in which groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from runner.contract.errors import ClusterRefused, InputError, KitError, UsageError
from runner.contract.found_devices import DeviceFound
from runner.contract.text import first_line
from runner.host.cluster.client import Cluster
from runner.host.cluster.kubeconfig import NoCluster
from runner.host.doctor import builder, devices, kernel, needs, pins, pythons, weights
from runner.host.doctor.cluster import ClusterLooks, Wanted
from runner.host.doctor.container_programs import ContainerLooks
from runner.host.doctor.findings import Answer, Area, Look, not_looked_at, not_ready
from runner.host.doctor.looking import Group
from runner.host.doctor.needs import Need
from runner.host.doctor.registry import Registry
from runner.host.manifests import plan as job_plan
from runner.host.manifests.plan import JobPlan
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock
from runner.host.readers.profiles import JobKind, Profiles

# A cluster is asked about twenty questions, and the first silence ends them.
_CLUSTER_S = 20.0
# Two programs that run containers, one after the other.
_CONTAINERS_S = 6.5
# Three requests, or programs, or the hashes of a few hundred files.
_SEVERAL_S = 10.0


@dataclass(frozen=True)
class Tables:
    """The tables that the looks read."""

    catalog: Catalog
    lock: Lock
    profiles: Profiles


@dataclass(frozen=True)
class Scope:
    """The cases that are looked for, and where: the set ``set_name`` on a cluster, or, where it is None, the cases on this host."""

    needs: Sequence[Need]
    job_kind: JobKind
    nodes: int
    set_name: str | None


def of_a_set(tables: Tables, name: str) -> Scope:
    """Return the scope of a set of profiles.yaml. Raises ``UsageError`` for an unknown set."""
    row = tables.profiles.sets.get(name)
    if row is None:
        raise UsageError(f"There is no set {name!r}. Known are {', '.join(tables.profiles.sets)}.")
    of_cases = needs.of_cases(tables.catalog, tables.lock, tables.profiles, row.cases, row.nodes)
    return Scope(of_cases, row.job_kind, row.nodes, name)


def of_cases(tables: Tables, names: Sequence[str]) -> Scope:
    """Return the scope of some cases on this host. Raises ``UsageError`` for an unknown case."""
    return Scope(needs.of_cases(tables.catalog, tables.lock, tables.profiles, names), "job", 1, None)


def fitting(tables: Tables, found: Sequence[DeviceFound]) -> list[str]:
    """Return the cases whose accelerators this host has in the number that they ask for; the set of the CPU where it has none."""
    counts = Counter(devices.row_of(device, tables.catalog.accelerator_rows) for device in found)
    cases = [name for name, case in tables.catalog.cases.items() if case.devices <= counts[case.accelerator]]
    return cases or list(tables.profiles.sets["cpu"].cases)


def of_this_host(scope: Scope, tables: Tables, found: Sequence[DeviceFound] | KitError) -> list[Group]:
    """Return the groups of looks at this host; ``found`` are its accelerators, or why nobody could tell them."""
    if scope.set_name is not None:
        case = scope.needs[0].name
        return [
            _one_row(
                "host",
                "this host",
                not_looked_at(
                    f"The set {scope.set_name} runs on nodes of a cluster.",
                    f"On a node, or on a host like it: `python -m runner doctor --cases {case}`.",
                ),
            )
        ]
    if isinstance(found, KitError):
        answer = not_looked_at(f"{first_line(found)}.", "`python -m runner devices` says more.")
        of_devices = _one_row("host", "accelerators", answer)
    else:
        of_devices = Group(devices.looks(found, scope.needs, tables.catalog.accelerator_rows))
    return [
        of_devices,
        Group(kernel.looks(scope.needs)),
        Group(pythons.looks(scope.needs), _SEVERAL_S),
        Group(ContainerLooks(scope.needs).looks(), _CONTAINERS_S),
    ]


def of_the_registry(scope: Scope, lock: Lock, team: str | None) -> list[Group]:
    """Return the groups of looks at the builder of images and at the registry that they would be pushed to."""
    if team is None:
        answer = not_looked_at("No registry was named.", "`--registry REGISTRY/TEAM`, where images are to be pushed.")
        return [_one_row("registry", "registry", answer)]
    looks = Registry(team, needs.stacks(scope.needs)).looks()
    return [Group([*builder.looks(lock)]), Group(looks, _SEVERAL_S)]


def of_the_cluster(
    scope: Scope, tables: Tables, cluster: Cluster | ClusterRefused, queue: str | None, storage_class: str | None
) -> list[Group]:
    """Return the groups of looks at the cluster, or at why there is none."""
    if isinstance(cluster, NoCluster):
        remedy = "Name a kubeconfig with --kubeconfig or KUBECONFIG."
        finding = "There is no kubeconfig, and this is no pod of a cluster."
        answer = not_looked_at(finding, remedy) if scope.set_name is None else not_ready(finding, remedy)
        return [_one_row("cluster", "kubeconfig", answer)]
    if isinstance(cluster, ClusterRefused):
        answer = not_ready(f"{first_line(cluster)}.", "`kubectl config get-contexts` shows what there is.")
        return [_one_row("cluster", "kubeconfig", answer)]
    plans: list[JobPlan] = []
    left_out: list[Group] = []
    for need in scope.needs:
        try:
            plans.append(
                job_plan.make(tables.catalog, tables.lock, tables.profiles, need.name, scope.nodes, {}, registry=None)
            )
        # a case without a profile runs on no cluster
        except (InputError, KitError) as problem:
            answer = not_looked_at(f"{first_line(problem)}.", "Name a set of runner/catalog/profiles.yaml with --set.")
            left_out.append(_one_row("cluster", need.name, answer))
    wanted = Wanted(scope.job_kind, plans, queue, storage_class)
    return [Group(ClusterLooks(cluster, wanted).looks(), _CLUSTER_S), *left_out]


def of_pins_and_weights(scope: Scope, lock: Lock) -> list[Group]:
    """Return the groups of looks at pins, images and weights."""
    on_a_cluster = scope.set_name is not None
    return [
        Group(pins.looks(lock, scope.needs, on_a_cluster), _SEVERAL_S),
        Group(weights.looks(scope.needs, on_a_cluster)),
    ]


def _one_row(area: Area, what: str, answer: Answer) -> Group:
    return Group([Look(area, what, lambda: answer)])
