"""One folder of manifests: all objects of a set, by file, numbered in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.contract.records import JsonObject
from runner.host.manifests import accounts, config, job, jobset, mpijob, network, storage
from runner.host.manifests.plan import ConfigMaps, JobPlan
from runner.host.manifests.site import Site
from runner.host.manifests.storage import Claims
from runner.host.objects import names
from runner.host.readers.profiles import JobKind, Set

BENCH_OBJECTS: dict[JobKind, Callable[[Site, JobPlan, str, Claims], list[JsonObject]]] = {
    "job": job.bench,
    "mpijob": mpijob.bench,
    "jobset": jobset.bench,
}
EXPERIMENTAL = "Experimental: the vendor calls inference on several nodes possible, and inconsistent."
NOTES: dict[JobKind, tuple[str, ...]] = {"mpijob": (EXPERIMENTAL,), "jobset": (EXPERIMENTAL, jobset.MAKE_KEYS)}

KIT_NOTE = "The runner and what installs a stack, as text: the pods of every set unpack it where no image of their stack was built."


@dataclass(frozen=True)
class File:
    """The objects of one file, and the comment in its first lines. A file of several sets is ``shared``: its name leads to one file."""

    objects: list[JsonObject]
    comment: str | None = None
    shared: bool = False


def files(site: Site, name: str, row: Set, plans: Sequence[JobPlan]) -> dict[str, File]:
    """Return the files of the set ``name`` by their names; ``plans`` are those of the row's cases, in order."""
    fetching = [plan for plan in plans if plan.hub]
    shared = row.nodes > 1
    claims = storage.claims(shared)
    installed = {plan.installation.stack: (plan, plan.installation) for plan in reversed(plans) if plan.installation}
    requests = config.requests(site, name, plans)
    config_name = requests["metadata"]["name"]
    role = accounts.submitter_role(site, row.job_kind)
    policies = [network.deny_all(site)]
    policies += [network.allow_fetching(site, names.PREFETCH)] if fetching else []
    policies += [network.allow_fetching(site, names.PACKAGES)] if installed else []
    policies += [network.allow_ranks(site, plan.request.case) for plan in plans] if shared else []
    volumes = [storage.models(site, shared)] if fetching else []
    volumes += [storage.packages(site, shared)] if installed else []
    volumes += [storage.results(site)]
    by_name = {
        "10-serviceaccount.yaml": File([accounts.run_account(site)]),
        "11-rbac-submitter.yaml": File([role], accounts.how_to_bind(role)),
        "20-networkpolicy.yaml": File(policies),
        "30-pvc.yaml": File(volumes),
        "40-config.yaml": File([requests]),
    }
    if site.namespace == names.NAMESPACE:
        by_name = {"00-namespace.yaml": File([accounts.namespace()]), **by_name}
    for stack, (plan, installation) in sorted(installed.items()):
        # a plan without texts is not for rendering
        assert installation.kit and installation.recipe
        by_name["41-kit.yaml"] = File(_config_maps(site, installation.kit), KIT_NOTE, shared=True)
        word = names.without_dots(stack)
        by_name[f"42-stack-{word}.yaml"] = File(_config_maps(site, installation.recipe))
        fetch = job.packages(site, name, plan, installation, claims)
        by_name[f"45-packages-{word}.yaml"] = File([fetch], plan.draft)
    if fetching:
        prefetch = job.prefetch(site, name, fetching, config_name, claims)
        by_name["50-prefetch.yaml"] = File([prefetch], fetching[0].draft)
    for number, plan in enumerate(plans, start=60):
        objects = BENCH_OBJECTS[row.job_kind](site, plan, config_name, claims)
        notes = [
            plan.draft,
            _installed(name, plan),
            *(note.format(namespace=site.namespace) for note in NOTES.get(row.job_kind, ())),
        ]
        by_name[f"{number}-bench-{plan.request.case}.yaml"] = File(objects, "\n".join(filter(None, notes)))
    return by_name


def _config_maps(site: Site, maps: ConfigMaps) -> list[JsonObject]:
    return [config.immutable(site, name, data) for name, data in maps.items()]


def _installed(set_name: str, plan: JobPlan) -> str | None:
    """Return the comment on a run whose pods install their stack, None for a run in an image of the stack."""
    if plan.installation is None:
        return None
    return (
        f"No image of this stack was built: each pod installs {plan.installation.stack} over its base, from the packages that the Job"
        f" {names.packages(set_name, plan.installation.stack)} fetches."
    )
