"""Plan a container: the pod template that the Job of a request would have, with the image that the request then names."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from runner.contract.errors import InputError, Unsupported
from runner.contract.records import JsonObject
from runner.contract.request import Request
from runner.host.manifests import pod
from runner.host.manifests.plan import JobPlan
from runner.host.manifests.site import Site
from runner.host.readers.accelerators import AcceleratorRow, NodeSelection
from runner.host.readers.catalog import Catalog
from runner.host.readers.profiles import Profile, Profiles

# The name that the template gives to the ConfigMap with its request.
CONFIG = "requests"
# What is said of nodes where the catalog says nothing: a container is on its node already.
_ANY_NODE = NodeSelection({}, (), (), {})


@dataclass(frozen=True)
class ContainerPlan:
    """The plan of one container: the request as it is measured, the Job's plan, and the Job's pod template."""

    job: JobPlan
    template: JsonObject

    @property
    def request(self) -> Request:
        """The request, which names the image that it runs in."""
        return self.job.request

    def reading(self, model_dir: str) -> ContainerPlan:
        """Return the plan with another folder of the model in the container than the Job's volume has."""
        template = copy.deepcopy(self.template)
        (container,) = template["spec"]["containers"]
        container["command"] = [model_dir if word == self.job.model_dir else word for word in container["command"]]
        return replace(self, template=template)


def make(catalog: Catalog, profiles: Profiles, request: Request, image: str, site: Site) -> ContainerPlan:
    """Return the plan of a request's container in ``image``, a reference by digest. ``site`` adds variables, as for a Job.

    Raises ``Unsupported`` for a request that no Job measures either, ``InputError`` where the catalog has no row that the plan needs,
    ``UsageError`` where the site sets what the kit sets.
    """
    if request.workload.dataset is not None:
        raise Unsupported(
            f"{request.case} completes a dataset, which a container gets no file of. Run `make bench-dataset`, outside of containers."
        )
    named = replace(request, stack=replace(request.stack, image=image))
    row = _accelerator(catalog, request)
    job = JobPlan(
        # read anew, so that the image has its form
        request=Request.from_json(named.to_json(), f"the request of {request.case}"),
        image=image,
        draft=None,
        resource=row.resource,
        profile=_profile(profiles, row.in_request.name, request.devices),
        node=row.node or _ANY_NODE,
        deadline_s=profiles.deadline_s_of(request.model.name),
        nodes=1,
    )
    return ContainerPlan(job, pod.bench(site, job, CONFIG))


def _accelerator(catalog: Catalog, request: Request) -> AcceleratorRow:
    """Return the row of a request's accelerator; of a product that the catalog does not know, the row of its case."""
    rows = catalog.accelerator_rows
    case = catalog.cases.get(request.case)
    name = request.accelerator.name
    if name not in rows and case is not None:
        name = case.accelerator
    if name not in rows:
        raise InputError(
            f"runner/catalog/accelerators.yaml has no row {name}, and cases.yaml has no case {request.case}. Add one of the two."
        )
    return rows[name]


def _profile(profiles: Profiles, accelerator: str, devices: int) -> Profile:
    """Return the profile with so many devices, else the next larger one, else the largest. Raises ``InputError`` where none is there."""
    of_accelerator = [profile for profile in profiles.profiles.values() if profile.accelerator == accelerator]
    if not of_accelerator:
        return profiles.of(accelerator, devices)
    enough = [profile for profile in of_accelerator if profile.devices >= devices]
    return min(enough, key=_devices) if enough else max(of_accelerator, key=_devices)


def _devices(profile: Profile) -> int:
    return profile.devices
