"""Objects that tests of manifests start from: the sets as they are rendered, on a lock that has images."""

from __future__ import annotations

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
    tables, lock = catalog.read(), lockfile.read()
    images = dict.fromkeys(lock.stacks, image) if image else {}
    if image:
        for stack in lock.stacks.values():
            resolved = {key: pin for key, pin in stack.packages.items() if pin.version != lockfile.UNRESOLVED}
            stack.packages.clear()
            stack.packages.update(resolved)
    table = profiles.read(tables)
    row = table.sets[name]
    plans = [plan.make(tables, lock, table, case, row.nodes, images, registry, texts()) for case in row.cases]
    return [manifest for file in sets.files(site, name, row, plans).values() for manifest in file.objects]


@functools.cache
def texts() -> plan.Texts:
    """Return what pods install the stacks of the lock from."""
    lock = lockfile.read()
    return render.texts(catalog.read(), lock, tuple(lock.stacks), {})


def names() -> tuple[str, ...]:
    """Return the names of all sets."""
    return tuple(profiles.read(catalog.read()).sets)


def read(folder: str | Path) -> list[JsonObject]:
    """Return the objects of all files of a folder, as `kubectl apply -f FOLDER` would read them."""
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix in (".yaml", ".yml", ".json"))
    return [document for path in paths for document in yaml.safe_load_all(path.read_text()) if document]


def one(objects: Iterable[JsonObject], kind: str, name: str = "") -> JsonObject:
    """Return the only object of a kind whose name begins with ``name``."""
    (matching,) = [
        manifest for manifest in objects if manifest["kind"] == kind and manifest["metadata"]["name"].startswith(name)
    ]
    return matching
