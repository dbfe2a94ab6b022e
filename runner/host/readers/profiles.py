"""Read profiles.yaml: what a Job asks of a node, and which cases are applied together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from runner.contract import patterns
from runner.contract.errors import InputError
from runner.contract.fields import Fields
from runner.contract.request import MAX_DEVICES
from runner.host import paths
from runner.host.readers import strictyaml
from runner.host.readers.catalog import Catalog

# How the table says that a pod asks for no hugepages.
NONE = "none"
# The kind of object that makes the pods of a case: a Job, an MPIJob or a JobSet.
JobKind = Literal["job", "mpijob", "jobset"]
MAX_DEADLINE_S = 366 * 86400


@dataclass(frozen=True)
class Set:
    """Cases that are applied together, from ``folder`` below k8s/, each on so many ``nodes``."""

    folder: str
    job_kind: JobKind
    nodes: int
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """The resources of one pod, as requests and as limits.

    ``cpu`` is in cores. The other amounts are quantities as Kubernetes writes them. ``hugepages`` are of 2 MiB, None where the pod
    asks for none.
    """

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
    """The tables of profiles.yaml by the names of their rows; ``deadlines_s`` are by model, ``environments`` by stack."""

    sets: dict[str, Set]
    profiles: dict[str, Profile]
    environments: dict[str, str]
    deadlines_s: dict[str, int]

    def of(self, accelerator: str, devices: int) -> Profile:
        """Return the profile of a pod with so many devices. Raises ``InputError`` where the table has none."""
        for profile in self.profiles.values():
            if (profile.accelerator, profile.devices) == (accelerator, devices):
                return profile
        raise InputError(
            f"runner/catalog/profiles.yaml has no profile of {devices} x {accelerator}. Add a row to profiles."
        )

    def environment_of(self, stack: str) -> str:
        """Return the disk that a stack takes in a pod that installs it. Raises ``InputError`` where the table has no row of it."""
        if stack not in self.environments:
            raise InputError(f"runner/catalog/profiles.yaml has no row {stack} in environments. Add one.")
        return self.environments[stack]

    def deadline_s_of(self, model: str) -> int:
        """Return how many seconds a model's Job may take. Raises ``InputError`` where the table has no row of it."""
        if model not in self.deadlines_s:
            raise InputError(f"runner/catalog/profiles.yaml has no row {model} in deadlines_s. Add one.")
        return self.deadlines_s[model]


def read(catalog: Catalog, folder: Path = paths.CATALOG) -> Profiles:
    """Read the tables, whose names of cases and accelerators must be those of ``catalog``. Raises ``InputError`` with file and line."""
    path = folder / "profiles.yaml"
    table = Fields(strictyaml.read(path), paths.shown(path))
    deadlines, environments = table.fields("deadlines_s"), table.fields("environments")
    profiles = Profiles(
        sets={name: _set(row, catalog) for name, row in table.each("sets", patterns.DNS_LABEL)},
        profiles={name: _profile(row, catalog) for name, row in table.each("profiles", patterns.ROW)},
        environments={name: environments.form(name, patterns.QUANTITY) for name in environments.keys(patterns.NAME)},
        deadlines_s={
            name: deadlines.count(name, least=1, most=MAX_DEADLINE_S) for name in deadlines.keys(patterns.NAME)
        },
    )
    table.done()
    return profiles


def _set(row: Fields, catalog: Catalog) -> Set:
    manifest_set = Set(
        folder=row.form("folder", patterns.MANIFESTS_FOLDER),
        job_kind=row.choice("job_kind", get_args(JobKind), "job"),
        nodes=row.count("nodes", 1, least=1, most=MAX_DEVICES),
        cases=tuple(row.forms("cases", patterns.NAME)),
    )
    for name in manifest_set.cases:
        if name not in catalog.cases:
            raise row.fail("cases", f"{name!r} is no case of cases.yaml.")
    row.done()
    return manifest_set


def _profile(row: Fields, catalog: Catalog) -> Profile:
    def quantity(key: str) -> str:
        return str(row.form(key, patterns.QUANTITY))

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
