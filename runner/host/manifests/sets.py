"""One folder of manifests: all objects of a set, by file, numbered in the order in which they are applied."""

from dataclasses import dataclass

from runner.host.manifests import accounts, config, job, jobset, mpijob, network, storage
from runner.host.objects import names

ENGINES = {"job": job.bench, "mpijob": mpijob.bench, "jobset": jobset.bench}
EXPERIMENTAL = "Experimental: the vendor calls inference on several nodes possible, and inconsistent."
NOTES = {"mpijob": (EXPERIMENTAL,), "jobset": (EXPERIMENTAL, jobset.MAKE_KEYS)}


@dataclass(frozen=True)
class File:
    """The objects of one file and what its first lines say of them."""

    objects: list[dict]
    comment: str | None = None


def files(site, name, table, runs):
    """Return name to ``File`` of the set ``name``: ``table`` is its row, ``runs`` its cases in order."""
    fetched = [run for run in runs if run.hub]
    shared = table.nodes > 1
    models = storage.models(site, shared)
    claimed = models["metadata"]["name"]
    requests = config.requests(site, name, runs)
    config_name = requests["metadata"]["name"]
    role = accounts.submitter_role(site, table.engine)
    policies = [network.deny_all(site)]
    policies += [network.allow_prefetch(site)] if fetched else []
    policies += [network.allow_ranks(site, run.request.case) for run in runs] if shared else []
    found = {
        "10-serviceaccount.yaml": File([accounts.run_account(site)]),
        "11-rbac-submitter.yaml": File([role], accounts.how_to_bind(role)),
        "20-networkpolicy.yaml": File(policies),
        "30-pvc.yaml": File([*([models] if fetched else []), storage.results(site)]),
        "40-config.yaml": File([requests]),
    }
    if site.namespace == names.NAMESPACE:
        found = {"00-namespace.yaml": File([accounts.namespace()]), **found}
    if fetched:
        found["50-prefetch.yaml"] = File([job.prefetch(site, name, fetched, config_name, claimed)], fetched[0].draft)
    for number, run in enumerate(runs, start=60):
        objects = ENGINES[table.engine](site, run, config_name, claimed)
        notes = [run.draft, *(note.format(namespace=site.namespace) for note in NOTES.get(table.engine, ()))]
        found[f"{number}-bench-{run.request.case}.yaml"] = File(objects, "\n".join(filter(None, notes)))
    return found
