"""Read profiles.yaml: what a Job asks of a node, where it finds one, and which cases are applied together."""

from dataclasses import dataclass
from typing import TypeVar

from runner.contract import patterns, secrets
from runner.contract.errors import InputError
from runner.contract.fields import Fields
from runner.contract.request import MAX_DEVICES
from runner.host import paths
from runner.host.readers import strictyaml

NONE = "none"
T = TypeVar("T")
MAX_DEADLINE_S = 366 * 86400


@dataclass(frozen=True)
class Set:
    """Cases that are applied together, from ``folder`` below k8s/; ``engine`` is what starts the pods: job, mpijob or jobset."""

    folder: str
    engine: str
    nodes: int
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where an accelerator is found: labels with the values that serve, taints to tolerate, variables that its software needs.

    ``pci`` are the VENDOR:DEVICE ids of one vendor that tell such a node, where the labels are the kit's own to set."""

    labels: dict[str, list[str]]
    pci: tuple[str, ...]
    tolerations: tuple[str, ...]
    variables: dict[str, str]


@dataclass(frozen=True)
class Profile:
    """What one pod asks for; requests are limits. Quantities are Kubernetes' own text, ``hugepages`` (of 2 MiB) may be None."""

    accelerator: str
    devices: int
    cpu: int
    memory: str
    hugepages: str | None
    shm: str
    ephemeral_storage: str
    tmp: str


@dataclass(frozen=True)
class Profiles:
    sets: dict[str, Set]
    places: dict[str, Place]
    profiles: dict[str, Profile]
    deadlines_s: dict[str, int]

    def of(self, accelerator, devices):
        """Return the profile of a pod with so many devices. Raises ``InputError`` where the table has none."""
        for profile in self.profiles.values():
            if (profile.accelerator, profile.devices) == (accelerator, devices):
                return profile
        raise InputError(
            f"runner/catalog/profiles.yaml has no profile of {devices} x {accelerator}. Add a row to profiles."
        )

    def place_of(self, accelerator: str) -> Place:
        """Return where an accelerator is found. Raises ``InputError`` where the table has no row of it."""
        return _row(self.places, "nodes", accelerator)

    def deadline_s_of(self, model: str) -> int:
        """Return how many seconds a model's Job may take. Raises ``InputError`` where the table has no row of it."""
        return _row(self.deadlines_s, "deadlines_s", model)


def _row(table: dict[str, T], name: str, key: str) -> T:
    if key not in table:
        raise InputError(f"runner/catalog/profiles.yaml has no row {key} in {name}. Add one.")
    return table[key]


def read(catalog, folder=paths.CATALOG):
    """Read the table; every name in it must be one of ``catalog``'s. Raises ``InputError`` naming file and line."""
    path = folder / "profiles.yaml"
    table = Fields(strictyaml.read(path), paths.shown(path))
    deadlines = table.fields("deadlines_s")
    found = Profiles(
        sets={name: _set(row, catalog) for name, row in table.each("sets", patterns.DNS_LABEL)},
        places={name: _place(row) for name, row in table.each("nodes", patterns.NAME)},
        profiles={name: _profile(row, catalog) for name, row in table.each("profiles", patterns.ROW)},
        deadlines_s={
            name: deadlines.count(name, least=1, most=MAX_DEADLINE_S) for name in deadlines.keys(patterns.NAME)
        },
    )
    table.done()
    return found


def _set(row, catalog):
    found = Set(
        folder=row.form("folder", patterns.MANIFESTS_FOLDER),
        engine=row.choice("engine", ("job", "mpijob", "jobset"), "job"),
        nodes=row.count("nodes", 1, least=1, most=MAX_DEVICES),
        cases=tuple(row.forms("cases", patterns.NAME)),
    )
    for name in found.cases:
        if name not in catalog.cases:
            raise row.fail("cases", f"{name!r} is no case of cases.yaml.")
    row.done()
    return found


def _place(row):
    labels, variables = row.fields("labels"), row.fields("variables")
    place = Place(
        labels={name: labels.forms(name, patterns.LABEL_VALUE) for name in labels.keys(patterns.LABEL_KEY)},
        pci=tuple(row.forms("pci", patterns.PCI)),
        tolerations=tuple(row.forms("tolerations", patterns.LABEL_KEY)),
        variables={name: variables.form(name, patterns.TEXT) for name in variables.keys(patterns.VARIABLE)},
    )
    for label, values in place.labels.items():
        if not values:
            raise labels.fail(label, f"{label!r} has no value. Name those that serve, or remove the label.")
    if len({ids[:4] for ids in place.pci}) > 1:
        raise row.fail("pci", "pci must be VENDOR:DEVICE ids of one vendor, such as 1da3:1020.")
    for name, value in place.variables.items():
        if secrets.is_secret_name(name) or secrets.mask(value) != value:
            raise variables.fail(name, f"{name!r} looks like a secret, and manifests are files that anyone can read.")
    row.done()
    return place


def _profile(row, catalog):
    def quantity(key):
        return row.form(key, patterns.QUANTITY)

    profile = Profile(
        accelerator=row.choice("accelerator", tuple(catalog.accelerators)),
        devices=row.count("devices", least=1, most=MAX_DEVICES),
        cpu=row.count("cpu", least=1, most=MAX_DEVICES),
        memory=quantity("memory"),
        hugepages=None if row.text("hugepages") == NONE else quantity("hugepages"),
        shm=quantity("shm"),
        ephemeral_storage=quantity("ephemeral_storage"),
        tmp=quantity("tmp"),
    )
    row.done()
    return profile
