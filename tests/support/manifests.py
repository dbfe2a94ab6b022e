"""Objects that tests of manifests start from: the sets as they are rendered, on a lock that has images."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable
from pathlib import Path

import yaml

from runner.contract.records import JsonObject
from runner.host.manifests import plan, sets
from runner.host.manifests.site import ANY, Site
from runner.host.readers import catalog, lockfile, profiles
from runner.host.verbs import render

ROOT = Path(__file__).parents[2]
IMAGE = f"registry.example/bench@sha256:{'5' * 64}"


def objects(name: str, site: Site = ANY, registry: str | None = None, image: str | None = IMAGE) -> list[JsonObject]:
    """Return all objects of a set, as if every stack had an image and no pin were open; with ``image`` None, as the lock is."""
    tables, lock, table = read_once()
    images = dict.fromkeys(lock.stacks, image) if image else {}
    if image:
        lock = copy.deepcopy(lock)
        for stack in lock.stacks.values():
            resolved = {key: pin for key, pin in stack.packages.items() if pin.version != lockfile.UNRESOLVED}
            stack.packages.clear()
            stack.packages.update(resolved)
    row = table.sets[name]
    plans = [plan.make(tables, lock, table, case, row.nodes, images, registry, texts()) for case in row.cases]
    return [manifest for file in sets.files(site, name, row, plans).values() for manifest in file.objects]


@functools.cache
def read_once() -> tuple[catalog.Catalog, lockfile.Lock, profiles.Profiles]:
    """Return the catalog, the lock and the profiles, which no test may change."""
    tables = catalog.read()
    return tables, lockfile.read(), profiles.read(tables)


@functools.cache
def texts() -> plan.Texts:
    """Return what pods install the stacks of the lock from."""
    tables, lock, _ = read_once()
    return render.texts(tables, lock, tuple(lock.stacks), {})


def names() -> tuple[str, ...]:
    """Return the names of all sets."""
    return tuple(read_once()[2].sets)


def read(folder: str | Path) -> list[JsonObject]:
    """Return the objects of all files of a folder, as `kubectl apply -f FOLDER` would read them."""
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix in (".yaml", ".yml", ".json"))
    return [document for path in paths for document in documents(path.read_text()) if document]


def documents(text: str) -> list[JsonObject]:
    """Return the documents of a YAML text, read by libyaml where PyYAML has it: the kit's text alone takes seconds without."""
    return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def one(objects: Iterable[JsonObject], kind: str, name: str = "") -> JsonObject:
    """Return the only object of a kind whose name begins with ``name``."""
    (matching,) = [
        manifest for manifest in objects if manifest["kind"] == kind and manifest["metadata"]["name"].startswith(name)
    ]
    return matching
