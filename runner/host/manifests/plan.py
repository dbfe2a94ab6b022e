"""What one Job runs, with all that its objects are made of."""

from dataclasses import dataclass

from runner.contract.errors import Unsupported
from runner.contract.request import Request
from runner.host import cases
from runner.host.readers.lockfile import UNRESOLVED
from runner.host.readers.profiles import Place, Profile

PLACEHOLDER = "bloomz-bench.invalid"  # RFC 6761: a name that never resolves


@dataclass(frozen=True)
class Run:
    """``image`` is a reference by digest, or a placeholder that cannot be pulled and says why; ``draft`` says why, else None."""

    request: Request
    image: str
    draft: str | None
    resource: str
    profile: Profile
    place: Place
    deadline_s: int
    nodes: int

    @property
    def devices_per_node(self):
        return self.request.devices // self.nodes

    @property
    def hub(self):
        return self.request.weights.kind == "hub"

    @property
    def model_dir(self):
        """Return where the volume holds the model: the hub cache's own layout, whose folder names its revision."""
        model = self.request.model
        assert model.repository is not None
        return f"/models/hub/models--{model.repository.replace('/', '--')}/snapshots/{model.revision}"


def make(catalog, lock, table, case_name, nodes, images, registry):
    """Return the ``Run`` of a case. ``images`` maps stacks to references of the user's, ``registry`` is where pods pull from.

    The request names the image that the lock or the user names; where it is mirrored to changes no request, its digest stays.
    """
    case = catalog.cases[case_name]
    image = images.get(case.stack) or (lock.built[case.stack].reference if case.stack in lock.built else None)
    draft = _draft(lock, case.stack, image)
    request = cases.make(catalog, lock, case_name, image=image, draft=draft is not None)
    if request.devices % nodes:
        raise Unsupported(
            f"{case_name} has {request.devices} devices, which {nodes} nodes cannot share evenly. Mend the set."
        )
    return Run(
        request=request,
        image=_pulled(image, registry) if image else f"{PLACEHOLDER}/{case.stack}:run-make-images",
        draft=draft,
        resource=catalog.resources[case.accelerator],
        profile=table.of(case.accelerator, request.devices // nodes),
        place=table.place_of(case.accelerator),
        deadline_s=table.deadline_s_of(case.model),
        nodes=nodes,
    )


def _draft(lock, stack, image):
    """Return what keeps a stack's Job from running and what to do next; None where nothing does."""
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


def _pulled(image, registry):
    """Return the reference that pods pull: the image's own, or the same name and digest in the user's registry."""
    return f"{registry.rstrip('/')}/{image.rpartition('/')[2]}" if registry else image
