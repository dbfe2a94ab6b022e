"""One folder of manifests: all objects of a set, by file, numbered in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.contract.records import JsonObject
from runner.host.manifests import accounts, config, job, jobset, mpijob, network, storage
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import Site
from runner.host.objects import names
from runner.host.readers.profiles import JobKind, Set

BENCH_OBJECTS: dict[JobKind, Callable[[Site, JobPlan, str, str], list[JsonObject]]] = {
    "job": job.bench,
    "mpijob": mpijob.bench,
    "jobset": jobset.bench,
}
EXPERIMENTAL = "Experimental: the vendor calls inference on several nodes possible, and inconsistent."
NOTES: dict[JobKind, tuple[str, ...]] = {"mpijob": (EXPERIMENTAL,), "jobset": (EXPERIMENTAL, jobset.MAKE_KEYS)}


@dataclass(frozen=True)
class File:
    """The objects of one file, and the comment in its first lines."""

    objects: list[JsonObject]
    comment: str | None = None


def files(site: Site, name: str, row: Set, plans: Sequence[JobPlan]) -> dict[str, File]:
    """Return the files of the set ``name`` by their names; ``plans`` are those of the row's cases, in order."""
    fetching = [plan for plan in plans if plan.hub]
    shared = row.nodes > 1
    models = storage.models(site, shared)
    models_claim = models["metadata"]["name"]
    requests = config.requests(site, name, plans)
    config_name = requests["metadata"]["name"]
    role = accounts.submitter_role(site, row.job_kind)
    policies = [network.deny_all(site)]
    policies += [network.allow_prefetch(site)] if fetching else []
    policies += [network.allow_ranks(site, plan.request.case) for plan in plans] if shared else []
    by_name = {
        "10-serviceaccount.yaml": File([accounts.run_account(site)]),
        "11-rbac-submitter.yaml": File([role], accounts.how_to_bind(role)),
        "20-networkpolicy.yaml": File(policies),
        "30-pvc.yaml": File([*([models] if fetching else []), storage.results(site)]),
        "40-config.yaml": File([requests]),
    }
    if site.namespace == names.NAMESPACE:
        by_name = {"00-namespace.yaml": File([accounts.namespace()]), **by_name}
    if fetching:
        prefetch = job.prefetch(site, name, fetching, config_name, models_claim)
        by_name["50-prefetch.yaml"] = File([prefetch], fetching[0].draft)
    for number, plan in enumerate(plans, start=60):
        objects = BENCH_OBJECTS[row.job_kind](site, plan, config_name, models_claim)
        notes = [plan.draft, *(note.format(namespace=site.namespace) for note in NOTES.get(row.job_kind, ()))]
        by_name[f"{number}-bench-{plan.request.case}.yaml"] = File(objects, "\n".join(filter(None, notes)))
    return by_name
