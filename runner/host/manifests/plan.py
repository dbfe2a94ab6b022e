"""Plan a Job: its request, its image, and the share of a node that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.contract.errors import Unsupported
from runner.contract.request import Request
from runner.host import cases
from runner.host.readers.accelerators import NodeSelection
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import UNRESOLVED, Lock
from runner.host.readers.profiles import Profile, Profiles

# The registry of an image that nobody has built: a name that never resolves (RFC 6761).
PLACEHOLDER = "bloomz-bench.invalid"


@dataclass(frozen=True)
class JobPlan:
    """The plan of one Job.

    ``image`` is a reference by digest, or a placeholder that cannot be pulled. ``draft`` tells why the Job cannot run and what to do
    next, None for a Job that can run. ``resource`` is the name by which Kubernetes counts the devices.
    """

    request: Request
    image: str
    draft: str | None
    resource: str
    profile: Profile
    node: NodeSelection
    deadline_s: int
    nodes: int

    @property
    def devices_per_node(self) -> int:
        """Return how many devices each pod asks for."""
        return self.request.devices // self.nodes

    @property
    def hub(self) -> bool:
        """Return whether the weights come from the hub, so that a prefetch must fetch them."""
        return self.request.weights.kind == "hub"

    @property
    def model_dir(self) -> str:
        """Return where the volume holds a model of the hub, in the layout of the hub's cache: the folder is named after the revision."""
        model = self.request.model
        assert model.repository is not None
        return f"/models/hub/models--{model.repository.replace('/', '--')}/snapshots/{model.revision}"


def make(
    catalog: Catalog,
    lock: Lock,
    profiles: Profiles,
    case_name: str,
    nodes: int,
    images: Mapping[str, str],
    registry: str | None,
) -> JobPlan:
    """Return the ``JobPlan`` of a case on so many nodes.

    ``images`` maps stacks to the user's references by digest. ``registry`` is where pods pull from, None for the registry of the
    image. The request names the image of the lock or of the user: a mirror does not change the request, since the digest stays.
    Raises ``Unsupported`` where the nodes cannot share the devices evenly, ``InputError`` where the catalog has no row that the Job
    needs, and what ``cases.make`` raises.
    """
    case = catalog.cases[case_name]
    accelerator = catalog.accelerator_rows[case.accelerator]
    image = images.get(case.stack) or (lock.built[case.stack].reference if case.stack in lock.built else None)
    draft = _draft(lock, case.stack, image)
    request = cases.make(catalog, lock, case_name, image=image, draft=draft is not None)
    if request.devices % nodes:
        raise Unsupported(
            f"{case_name} has {request.devices} devices, which {nodes} nodes cannot share evenly. Mend the set."
        )
    return JobPlan(
        request=request,
        image=_pulled(image, registry) if image else f"{PLACEHOLDER}/{case.stack}:run-make-images",
        draft=draft,
        resource=accelerator.resource,
        profile=profiles.of(case.accelerator, request.devices // nodes),
        node=accelerator.found_node(),
        deadline_s=profiles.deadline_s_of(case.model),
        nodes=nodes,
    )


def _draft(lock: Lock, stack: str, image: str | None) -> str | None:
    """Return what keeps the Job of a stack from running and what to do next, None where nothing does."""
    if image is None:
        return (
            "no image of this stack stands in versions.lock by digest. Run make images with PUSH=REGISTRY, or pass"
            f" --image {stack}=REFERENCE@sha256:DIGEST, then render again"
        )
    open_pins = [name for name, pin in lock.stacks[stack].packages.items() if pin.version == UNRESOLVED]
    if open_pins:
        return (
            f"the version of {open_pins[0]} is unresolved in versions.lock, and a launch would refuse the image."
            " Note there what the image holds, then render again"
        )
    return None


def _pulled(image: str, registry: str | None) -> str:
    """Return the reference that pods pull: the image itself, or the same name and digest in the user's registry."""
    return f"{registry.rstrip('/')}/{image.rpartition('/')[2]}" if registry else image
