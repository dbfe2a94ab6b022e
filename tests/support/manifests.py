"""Objects that tests of manifests start from: the sets as they are rendered, on a lock that has images."""

from pathlib import Path

import yaml

from runner.host.manifests import plan, sets
from runner.host.manifests.site import ANY
from runner.host.readers import catalog, lockfile, profiles

ROOT = Path(__file__).parents[2]
IMAGE = f"registry.example/bench@sha256:{'5' * 64}"


def objects(name, site=ANY, registry=None, image=IMAGE):
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
    runs = [plan.make(tables, lock, table, case, row.nodes, images, registry) for case in row.cases]
    return [thing for file in sets.files(site, name, row, runs).values() for thing in file.objects]


def names():
    return tuple(profiles.read(catalog.read()).sets)


def read(folder):
    """Return the objects of all files of a folder, as `kubectl apply -f FOLDER` would read them."""
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix in (".yaml", ".yml", ".json"))
    return [thing for path in paths for thing in yaml.safe_load_all(path.read_text()) if thing]


def one(things, kind, name=""):
    """Return the only object of a kind whose name begins with ``name``."""
    (found,) = [thing for thing in things if thing["kind"] == kind and thing["metadata"]["name"].startswith(name)]
    return found
