"""Plan a Job: its request, its image or how its pods install the stack, and the share of a node that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from runner.contract.errors import Unsupported
from runner.contract.request import Request
from runner.host import cases
from runner.host.readers.accelerators import NodeSelection
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import UNRESOLVED, Lock, PinnedStack
from runner.host.readers.profiles import Profile, Profiles

# The data of ConfigMaps by their names.
ConfigMaps = Mapping[str, Mapping[str, str]]


class StackTexts(NamedTuple):
    """The ConfigMaps that a stack is installed from; ``refusal`` is the sentence by which pods refuse a recipe with open pins."""

    maps: ConfigMaps
    refusal: str | None


class Texts(NamedTuple):
    """All that pods install stacks from: the ConfigMaps of the kit, and those of each stack."""

    kit: ConfigMaps
    stacks: Mapping[str, StackTexts]


_NOTHING = StackTexts({}, None)
NO_TEXTS = Texts({}, {})


@dataclass(frozen=True)
class Installation:
    """How pods install a stack over ``base``, an image that is not the kit's. ``interpreter`` is the image of a base without Python.

    ``size`` is the disk that the installed stack takes. ``kit`` and ``recipe`` are the ConfigMaps that the pods get.
    """

    stack: str
    base: str
    interpreter: str | None
    size: str
    kit: ConfigMaps
    recipe: ConfigMaps

    @property
    def tagged(self) -> list[str]:
        """Return the images that are named by tag, since nobody has published their digests."""
        return [image for image in (self.base, self.interpreter) if image is not None and "@" not in image]


@dataclass(frozen=True)
class JobPlan:
    """The plan of one Job.

    ``image`` is what the measuring container is started from: an image of the stack by digest, or the base of ``installation``, which
    is None where there is an image of the stack. ``draft`` tells why the Job would refuse to measure and what to do next, None for a
    Job that can run. ``resource`` is the name by which Kubernetes counts the devices.
    """

    request: Request
    image: str
    draft: str | None
    resource: str
    profile: Profile
    node: NodeSelection
    deadline_s: int
    nodes: int
    installation: Installation | None = None

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
    texts: Texts = NO_TEXTS,
) -> JobPlan:
    """Return the ``JobPlan`` of a case on so many nodes.

    ``images`` maps stacks to the user's references by digest. Where neither the user nor the lock has an image of the stack, the pods
    install the stack over its base from ``texts``; without texts the plan says what a Job asks for, and cannot be rendered.
    ``registry`` is where pods pull from, None for the registry of the image. The request names the image of the user or of the lock,
    or the base by digest, and no image where only a tag of the base is known: a mirror does not change the request, since the digest
    stays.
    Raises ``Unsupported`` where the nodes cannot share the devices evenly, ``InputError`` where the catalog has no row that the Job
    needs, and what ``cases.make`` raises.
    """
    case = catalog.cases[case_name]
    accelerator = catalog.accelerator_rows[case.accelerator]
    stack = lock.stacks[case.stack]
    image = image_of(lock, case.stack, images)
    base = None if stack.image.is_open else stack.image.reference
    draft = _open_version(stack) if image else texts.stacks.get(case.stack, _NOTHING).refusal
    # A draft's request has no image but the given one: not the one that `cases` would look for in the lock.
    request = cases.make(catalog, lock, case_name, image=image or base, draft=image is None or draft is not None)
    if request.devices % nodes:
        raise Unsupported(
            f"{case_name} has {request.devices} devices, which {nodes} nodes cannot share evenly. Mend the set."
        )
    return JobPlan(
        request=request,
        image=_pulled(image or stack.image.named, registry),
        installation=None if image else _installation(case.stack, stack, profiles, registry, texts),
        draft=draft,
        resource=accelerator.resource,
        profile=profiles.of(case.accelerator, request.devices // nodes),
        node=accelerator.found_node(),
        deadline_s=profiles.deadline_s_of(case.model),
        nodes=nodes,
    )


def image_of(lock: Lock, stack: str, images: Mapping[str, str]) -> str | None:
    """Return the image of a stack by digest, the user's before the lock's; None where there is no such image."""
    return images.get(stack) or (lock.built[stack].reference if stack in lock.built else None)


def _installation(
    name: str, stack: PinnedStack, profiles: Profiles, registry: str | None, texts: Texts
) -> Installation:
    return Installation(
        stack=name,
        base=_pulled(stack.image.named, registry),
        interpreter=_pulled(stack.interpreter.named, registry) if stack.interpreter else None,
        size=profiles.environment_of(name),
        kit=texts.kit,
        recipe=texts.stacks.get(name, _NOTHING).maps,
    )


def _open_version(stack: PinnedStack) -> str | None:
    """Return what keeps a launch in the stack's image from measuring and what to do next, None where nothing does."""
    for name, pin in stack.packages.items():
        if pin.version == UNRESOLVED and not pin.is_told_by_the_base:
            return (
                f"the version of {name} is unresolved in versions.lock, and a launch would refuse the image."
                " Note there what the image holds, then render again"
            )
    return None


def _pulled(image: str, registry: str | None) -> str:
    """Return the reference that pods pull: the image itself, or the same name and digest in the user's registry."""
    return f"{registry.rstrip('/')}/{image.rpartition('/')[2]}" if registry else image
