"""A stack that pods install over its base, where no image of the stack was built: what that takes of each pod.

The init container ``unpack`` makes the kit's files of ConfigMaps, ``interpreter`` brings a Python where the base has none, and
``install`` makes the environment of the stack, without a network, from packages that the Job of ``packages`` fetched onto a volume.
Each of them writes into a volume of the pod that the measuring container can only read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from runner.contract.records import JsonObject
from runner.host.manifests import config
from runner.host.manifests.containers import SMALL, WRITABLE, container, mount
from runner.host.manifests.plan import ConfigMaps, Installation
from runner.host.manifests.site import Site
from runner.host.objects import names
from runner.host.objects.quantities import total
from runner.host.stacks import recipe

# How long a pod waits for the packages of its stack: long enough for a download that was applied together with it. A bench that waits
# holds its devices.
WAIT_FOR_PACKAGES_S = 3600
# What the pod that downloads has. For the 0.3 GB of the CPU stack it took 0.1 GB and 10 s of one core. Less than a core finds room on a
# node of two cores, beside a bench that waits for the packages; a whole one would not where the system's own pods have a part.
DOWNLOADING = {**SMALL, "cpu": "500m", "ephemeral-storage": "2Gi"}
# Thrice what the kit and the recipe of a stack have as text; twice what /usr/local of a slim Python has.
KIT_SIZE, PYTHON_SIZE = "32Mi", "512Mi"


def config_maps(stem: str, texts: Mapping[str, str]) -> ConfigMaps:
    """Return the ConfigMaps of texts by their paths; ``stem`` begins the names. Raises ``InputError`` where a name would be too long."""
    return config.parts(stem, {recipe.key(path): texts[path] for path in sorted(texts)})


def enter(installation: Installation | None) -> list[str]:
    """Return the words before a command of the stack's environment: none in an image, whose own variables lead there."""
    return [] if installation is None else list(recipe.IN_STACK)


def volumes(installation: Installation | None, packages: str) -> list[JsonObject]:
    """Return the volumes of a pod that installs a stack; ``packages`` is the claim of the packages."""
    if installation is None:
        return []
    return [
        *_prepared(installation),
        {"name": "environment", "emptyDir": {"sizeLimit": installation.size}},
        {"name": "packages", "persistentVolumeClaim": {"claimName": packages}},
    ]


def disk(installation: Installation | None) -> tuple[str, ...]:
    """Return the sizes of the node's disk that a pod needs for an installed stack."""
    if installation is None:
        return ()
    return (installation.size, *_prepared_sizes(installation).values())


def mounts(installation: Installation | None) -> list[JsonObject]:
    """Return the mounts of a container that runs in the installed environment, all of them to read only."""
    if installation is None:
        return []
    return [*_prepared_mounts(installation), mount("environment", recipe.ENVIRONMENT, read_only=True)]


def init_containers(installation: Installation | None, amounts: Mapping[str, str]) -> list[JsonObject]:
    """Return the init containers that install a stack; ``amounts`` are those of the pod, which ``install`` may take for itself."""
    if installation is None:
        return []
    install = container(
        names.INSTALL,
        installation.base,
        recipe.install(WAIT_FOR_PACKAGES_S),
        WRITABLE,
        {kind: amounts[kind] for kind in SMALL},
        [
            # `install` notes beside the kit what the base holds.
            *_prepared_mounts(installation, writes=("kit",)),
            mount("environment", recipe.ENVIRONMENT),
            mount("packages", recipe.PACKAGES, read_only=True),
            mount("tmp", "/tmp"),  # noqa: S108
        ],
    )
    return [*_preparing(installation, SMALL), install]


def fetching(site: Site, installation: Installation, packages: str) -> JsonObject:
    """Return the containers and volumes of the pod that fetches the packages of a stack onto the claim ``packages``."""
    fetch = container(
        names.PACKAGES,
        installation.base,
        recipe.DOWNLOAD,
        {**WRITABLE, **site.fetching_variables},
        {
            **DOWNLOADING,
            "ephemeral-storage": total(DOWNLOADING["ephemeral-storage"], *_prepared_sizes(installation).values()),
        },
        [
            *_prepared_mounts(installation),
            mount("packages", recipe.PACKAGES),
            mount("tmp", "/tmp"),  # noqa: S108
        ],
    )
    return {
        "initContainers": _preparing(installation, DOWNLOADING),
        "containers": [fetch],
        "volumes": [
            *_prepared(installation),
            {"name": "packages", "persistentVolumeClaim": {"claimName": packages}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
    }


def _preparing(installation: Installation, amounts: Mapping[str, str]) -> list[JsonObject]:
    """Return the init containers that put the kit, and a Python where the base has none, into a pod."""
    image = installation.interpreter or installation.base
    unpack = container(
        names.UNPACK,
        image,
        recipe.UNPACK,
        {},
        amounts,
        [mount("source", recipe.SOURCE, read_only=True), mount("kit", recipe.KIT)],
    )
    if installation.interpreter is None:
        return [unpack]
    written = [mount("python", recipe.INTERPRETER)]
    return [unpack, container(names.INTERPRETER, image, recipe.COPY_INTERPRETER, {}, amounts, written)]


def _prepared(installation: Installation) -> list[JsonObject]:
    """Return the volumes that the preparing init containers fill, and that which they read."""
    sources = [{"configMap": {"name": name}} for name in (*installation.kit, *installation.recipe)]
    return [
        {"name": "source", "projected": {"sources": sources}},
        *({"name": name, "emptyDir": {"sizeLimit": size}} for name, size in _prepared_sizes(installation).items()),
    ]


def _prepared_sizes(installation: Installation) -> dict[str, str]:
    return {"kit": KIT_SIZE, **({"python": PYTHON_SIZE} if installation.interpreter else {})}


def _prepared_mounts(installation: Installation, writes: Collection[str] = ()) -> list[JsonObject]:
    places = {"kit": recipe.KIT, "python": recipe.INTERPRETER}
    return [mount(name, places[name], read_only=name not in writes) for name in _prepared_sizes(installation)]
