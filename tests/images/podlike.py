"""Run the containers of a pod that installs its stack by itself, one after the other, as the kubelet runs those of the manifests.

Every container has a read-only root, no capability and the user of the manifests. What a pod has as emptyDirs, claims and ConfigMaps
are folders here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.host.manifests import pod
from runner.host.pins import pip_settings
from runner.host.readers.lockfile import Lock
from runner.host.stacks import recipe
from tests.images.containers import RUN_S, Ran

# What programs read beside pip's own settings, to reach an index.
NETWORK = ("_PROXY", "_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO")


@dataclass(frozen=True)
class Volume:
    """A folder here, and its place in a container; ``mode`` is rw or ro."""

    folder: Path
    place: str
    mode: str = "rw"

    @property
    def words(self) -> list[str]:
        return ["--volume", f"{self.folder}:{self.place}:{self.mode}"]


class Pod:
    """The pod of a stack: ``base`` and ``interpreter`` are local images, ``folder`` holds its volumes."""

    def __init__(self, lock: Lock, stack: str, base: str, interpreter: str | None, folder: Path) -> None:
        self.base, self.interpreter, self.folder = base, interpreter, folder
        for name in ("source", "kit", "python", "environment", "packages", "tmp", "results"):
            (folder / name).mkdir()
            (folder / name).chmod(0o777)
        self.texts = {**recipe.kit(), **recipe.of_stack(lock, stack)}
        mount(self.texts, folder / "source")
        self._runs = 0

    def prepare(self, options: Sequence[str] = ()) -> list[Ran]:
        """Run what comes before the download: the tree of the kit, and the interpreter's Python where the base has none."""
        source = Volume(self.folder / "source", recipe.SOURCE, "ro")
        ran = [self._run(self.interpreter or self.base, recipe.UNPACK, [source, self.volume("kit")], options)]
        if self.interpreter is not None:
            ran.append(self._run(self.interpreter, recipe.COPY_INTERPRETER, [self.volume("python")], options))
        return ran

    def download(self, options: Sequence[str] = ()) -> Ran:
        """Run the one container of the Job that fetches packages; it alone has a network, and the index of this machine."""
        return self._run(
            self.base, recipe.DOWNLOAD, [self.volume("packages")], [*_reaching_indexes(), *options], "host"
        )

    def install(self, options: Sequence[str] = ()) -> Ran:
        """Run the container that installs the stack."""
        volumes = [self.volume("packages", "ro"), self.volume("environment")]
        return self._run(self.base, recipe.install(0), volumes, options)

    def enter(self, *command: str, files: Sequence[Path] = (), options: Sequence[str] = ()) -> Ran:
        """Run a command in the installed stack, as the container that measures."""
        volumes = [self.volume("environment", "ro"), self.volume("kit", "ro"), self.volume("python", "ro")]
        volumes += [Volume(file, f"/requests/{file.name}", "ro") for file in files]
        self._runs += 1
        results = self.folder / "results" / str(self._runs)
        results.mkdir()
        results.chmod(0o777)
        volumes.append(Volume(results, "/results"))
        ran = self._run(self.base, [*recipe.IN_STACK, *command], volumes, options)
        return Ran(ran.status, ran.output, ran.errors, results)

    def volume(self, name: str, mode: str = "rw") -> Volume:
        places = {
            "kit": recipe.KIT,
            "python": recipe.INTERPRETER,
            "environment": recipe.ENVIRONMENT,
            "packages": recipe.PACKAGES,
        }
        return Volume(self.folder / name, places[name], mode)

    def _run(
        self,
        image: str,
        command: Sequence[str],
        volumes: Sequence[Volume],
        options: Sequence[str],
        network: str = "none",
    ) -> Ran:
        words = ["podman", "--runtime", "runc", "run", "--rm", "--network", network, "--user", f"{pod.UID}:{pod.UID}"]
        words += ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
        words += ["--cap-drop", "all", "--security-opt", "no-new-privileges", "--read-only", "--read-only-tmpfs=false"]
        words += [word for name, value in pod.WRITABLE.items() for word in ("--env", f"{name}={value}")]
        mounted = {volume.place for volume in volumes}
        shared = [one for one in (self.volume("kit"), self.volume("python")) if one.place not in mounted]
        for volume in (*volumes, *shared, Volume(self.folder / "tmp", "/tmp")):
            words += volume.words
        words += [*options, "--entrypoint", command[0], image, *command[1:]]
        done = subprocess.run(words, capture_output=True, encoding="utf-8", errors="replace", timeout=RUN_S)
        return Ran(done.returncode, done.stdout, done.stderr, self.folder)


def mount(texts: dict[str, str], folder: Path) -> None:
    """Lay texts out as the kubelet does a projected volume of ConfigMaps: files in a hidden folder, and links by their keys."""
    hidden = folder / "..2026_01_01"
    hidden.mkdir()
    (folder / "..data").symlink_to(hidden.name)
    for path, text in texts.items():
        (hidden / recipe.key(path)).write_text(text)
        (folder / recipe.key(path)).symlink_to(f"..data/{recipe.key(path)}")


def _reaching_indexes() -> list[str]:
    """Return the options by which a container asks the index that pip asks on this machine, which no image knows."""
    settings = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in pip_settings._settings().items()}
    variables = {name: value for name, value in os.environ.items() if name.upper().endswith(NETWORK)}
    variables |= {**settings, **{name: value for name, value in os.environ.items() if name.startswith("PIP_")}}
    words = [word for value in variables.values() for word in value.split()]
    # the pages of an index that is a folder lead to files beside that folder
    places = {str(Path(word[len("file://") :]).parent) if word.startswith("file://") else word for word in words}
    folders = sorted(place for place in places if place.startswith("/") and Path(place).exists())
    options = [
        word for name, value in sorted(variables.items()) for word in ("--env", f"{name}={' '.join(value.split())}")
    ]
    return options + [word for place in folders for word in Volume(Path(place), place, "ro").words]


# Printed by a Python of a container: every file below a folder with its mode and its content's hash, or where a link leads.
TREE = """
import hashlib, json, os, sys
found = {}
for top in sys.argv[1:]:
    for folder, folders, names in os.walk(top):
        for path in (os.path.join(folder, name) for name in [*folders, *names]):
            mode = oct(os.lstat(path).st_mode)
            if os.path.islink(path):
                found[path] = [mode, os.readlink(path)]
            elif os.path.isfile(path):
                found[path] = [mode, hashlib.sha256(open(path, "rb").read()).hexdigest()]
            else:
                found[path] = [mode, None]
print(json.dumps(found))
"""

VARIABLES = "import json, os; print(json.dumps(dict(os.environ)))"
