"""Plan the build of a stack's image, then build it: what from what, with which command, and what is refused before and after.

``plan`` reads the lock and this checkout, fetches nothing, and refuses what cannot be built. ``execute`` fetches, builds, looks into
the image, and writes ``image.json`` and ``sbom.json`` beside the build context.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from runner.contract.errors import InputError, Unsupported
from runner.contract.files import sha256_of_file
from runner.contract.progress import SILENT, Step, Task
from runner.host import paths
from runner.host.images import build_context, buildah, contents, sbom
from runner.host.images.contents import PYTHON, InstalledPackage
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath, PinnedStack
from runner.host.stacks import requirements

BUILD = paths.BUILD

# Parts of the repository that an image is made of; a change elsewhere does not make the checkout another one.
_DECISIVE = ("LICENSE", "images", "requirements", "runner", "versions.lock")


@dataclass(frozen=True)
class BuildPlan:
    """The plan of an image, decided before anything is fetched.

    ``base`` is the image that the stack's image stands on, ``interpreter`` the image that brings Python; each is a reference by
    digest, or a local name where a stand-in is used. ``revision`` is the commit of this checkout and ``epoch`` its time in Unix
    seconds. ``inputs`` is the hash of everything that decides the image. ``arguments`` are the Dockerfile's; ``labels`` are the
    image's, less the builder's version. ``checkouts`` maps git sources to local copies. ``folder`` is where the build writes.
    """

    lock: Lock
    name: str
    base: str
    interpreter: str
    has_stand_in: bool
    tag: str
    revision: str
    epoch: int
    inputs: str
    arguments: dict[str, str]
    labels: dict[str, str]
    checkouts: dict[str, Path]
    folder: Path

    @property
    def stack(self) -> PinnedStack:
        """The stack whose image is built."""
        return self.lock.stacks[self.name]

    @property
    def pulled(self) -> tuple[str, ...]:
        """The images that are fetched; stand-ins are here already."""
        return () if self.has_stand_in else tuple(sorted({self.base, self.interpreter}))

    @property
    def context(self) -> Path:
        """The folder that everything is gathered in."""
        return self.folder / "context"

    @property
    def uses_base_packages(self) -> bool:
        """Whether the stack takes Python packages of the base, such as the vendor's torch."""
        return any(pin.origin == "base" for pin in self.stack.packages.values())

    def wheelhouse(self, python: str, glibc: str) -> Path:
        """The folder that keeps fetched files from one build to the next, for one Python and one C library."""
        return BUILD / "wheels" / f"{self.name}-{python}-{glibc}"

    def labels_with(self, builder: str) -> dict[str, str]:
        """The image's labels, with the version of the buildah that builds it."""
        return {**self.labels, "bloomz-bench.builder": f"buildah {builder}"}

    def command(self, builder: str) -> list[str]:
        """The words behind ``buildah`` that build the image."""
        return buildah.build_arguments(self.context, self.tag, self.arguments, self.labels_with(builder), self.epoch)


@dataclass(frozen=True)
class BuiltImage:
    """An image that was built: ``image`` is its local id, ``base`` the reference of its base, ``inputs`` the hash of all its inputs.

    ``pinned`` says that the base is the lock's and no stand-in. ``packages`` is the number of its Python packages, ``bytes`` the
    size of its layers. ``image.json`` has these keys.
    """

    image: str
    tag: str
    base: str
    pinned: bool
    revision: str
    inputs: str
    packages: int
    bytes: int


def plan(
    lock: Lock,
    name: str,
    stand_in: str | None = None,
    stand_in_interpreter: str | None = None,
    checkouts: Mapping[str, Path] | None = None,
    folder: Path | None = None,
) -> BuildPlan:
    """Return what the image of a stack is built from. Nothing is fetched and nothing is written.

    ``stand_in`` is a local image in place of the pinned base, ``stand_in_interpreter`` a local image in place of the one that
    brings Python (the stand-in itself, unless named). Raises ``UnresolvedPin`` where a pin is unresolved, and ``InputError`` where
    this is no git checkout or SOURCE_DATE_EPOCH is no time.
    """
    stack = lock.stacks[name]
    if stand_in is None:
        lockfile.need(stack.image.digest, f"The base image of {name} ({stack.image.repository}:{stack.image.tag})")
    for product, source in stack.sources.items():
        lockfile.need(lock.sources[source].commit, f"The commit of {source}, which {product} is built from,")
    base = stand_in or stack.image.reference
    interpreter = base
    if stack.interpreter is not None and stand_in is None:
        image = stack.interpreter
        lockfile.need(image.digest, f"The image of {name}'s Python ({image.repository}:{image.tag})")
        interpreter = image.reference
    elif stand_in is not None and stand_in_interpreter is not None:
        interpreter = stand_in_interpreter
    revision, epoch = checkout()
    inputs = inputs_of(lock, name, stand_in)
    arguments = {"BASE": base, "INTERPRETER": interpreter, "SOURCE_DATE_EPOCH": str(epoch)}
    if "ARG INTERPRETER" not in build_context.dockerfile(stack).read_text(encoding="utf-8"):
        del arguments["INTERPRETER"]
    labels = {
        "org.opencontainers.image.title": f"bloomz-bench {name}",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.base.name": stand_in or f"{stack.image.repository}:{stack.image.tag}",
        **({} if stand_in else {"org.opencontainers.image.base.digest": stack.image.digest}),
        "bloomz-bench.base": "stand-in" if stand_in else "pinned",
        "bloomz-bench.inputs": inputs,
        "bloomz-bench.lock": sha256_of_file(paths.LOCK),
        "bloomz-bench.stack": name,
    }
    return BuildPlan(
        lock=lock,
        name=name,
        base=base,
        interpreter=interpreter,
        has_stand_in=stand_in is not None,
        tag=f"localhost/bloomz-bench/{name}:latest",
        revision=revision,
        epoch=epoch,
        inputs=inputs,
        arguments=arguments,
        labels=labels,
        checkouts=dict(checkouts or {}),
        folder=folder or BUILD / "images" / name,
    )


_BUILD_STEPS = 5


def execute(planned: BuildPlan, task: Task = SILENT) -> BuiltImage:
    """Build a planned image and return what was built; ``image.json`` and ``sbom.json`` in the plan's folder say it too.

    ``task`` shows the ``_BUILD_STEPS`` steps.

    The pins that only the pinned base could tell are written into the lock. Raises ``Unsupported`` where the base is not what the stack
    needs, or the build fails; ``Unreachable`` where an index, registry or git server does not answer.
    """

    def begin(number: int, what: str) -> None:
        sentence = f"{planned.name}: step {number + 1} of {_BUILD_STEPS}, {what}"
        task.update(Step(what, number, _BUILD_STEPS, "steps", sentence))

    shutil.rmtree(planned.folder, ignore_errors=True)
    begin(0, "fetching the base image")
    for reference in planned.pulled:
        buildah.pull(reference)
    python, glibc = contents.python_version(planned.interpreter), contents.glibc_version(planned.base)
    refuse_python(planned.name, planned.stack, python)
    begin(1, "looking into the base image")
    base_python = contents.python_path(planned.interpreter)
    base_packages = None
    if planned.uses_base_packages:
        base_packages = contents.python_packages(planned.base, base_python, paths.ROOT)
    base_inventory = None if base_packages is None else json.dumps(base_packages, indent=1, sort_keys=True) + "\n"
    wheelhouse = planned.wheelhouse(python, glibc)
    begin(2, "fetching packages and sources")
    build_context.gather(
        planned.stack, planned.lock, python, glibc, wheelhouse, planned.context, planned.checkouts, base_inventory
    )
    begin(3, "building")
    image = buildah.build(planned.command(buildah.version()))
    begin(4, "looking into the image")
    packages = contents.python_packages(image, PYTHON)
    if base_packages is not None and base_inventory is not None:
        refuse_touched_base(
            planned.name, planned.stack, base_packages, packages, contents.python_packages(image, base_python)
        )
        if not planned.has_stand_in:
            lock_editor.edit(paths.LOCK, resolved_by(planned, image, base_inventory, packages))
    (planned.folder / "sbom.json").write_text(_bill(planned, image, packages), encoding="utf-8")
    built = BuiltImage(
        image=image,
        tag=planned.tag,
        base=planned.base,
        pinned=not planned.has_stand_in,
        revision=planned.revision,
        inputs=planned.inputs,
        packages=len(packages),
        bytes=buildah.size_bytes(image),
    )
    (planned.folder / "image.json").write_text(json.dumps(asdict(built), indent=2) + "\n", encoding="utf-8")
    return built


def refuse_python(name: str, stack: PinnedStack, python: str) -> None:
    """Raise ``Unsupported`` for a Python, such as 3.12.1, that the stack is not locked for."""
    offered, locked = ([int(part) for part in version.split(".")[:2]] for version in (python, stack.python))
    if offered < locked or (offered != locked and name in requirements.PLATFORMS):
        raise Unsupported(f"The base has Python {python}; {name} is locked for {stack.python}. Name another base.")


def refuse_touched_base(
    name: str,
    stack: PinnedStack,
    before: Mapping[str, InstalledPackage],
    imported: Mapping[str, InstalledPackage],
    after: Mapping[str, InstalledPackage],
) -> None:
    """Raise ``Unsupported`` unless the base's packages are as they were, and those that the stack takes are the ones imported.

    ``before`` and ``after`` are what the base's own Python imports in the base and in the image, ``imported`` what the stack's does.
    """
    changed = sorted(package for package in {*before, *after} if before.get(package) != after.get(package))
    covered = [
        package
        for package, pin in stack.packages.items()
        if pin.origin == "base" and imported.get(package) != before.get(package)
    ]
    if changed or covered:
        raise Unsupported(
            f"The image of {name} would not have the base's own {', '.join(changed or covered)}. Take it out of the lock's"
            " requirements: add it to EXCLUDED in runner/host/stacks/requirements.py and run `python -m runner lock`."
        )


def resolved_by(
    planned: BuildPlan, image: str, base_inventory: str, packages: Mapping[str, InstalledPackage]
) -> dict[LockPath, str]:
    """Return the pins that only the pinned base could tell. Raises ``Unsupported`` for a base that is not what the lock says."""
    name, stack = planned.name, planned.stack
    sha256 = hashlib.sha256(base_inventory.encode()).hexdigest()
    if stack.image.inventory not in (sha256, UNRESOLVED):
        raise Unsupported(f"The packages of {name}'s base are not those that versions.lock lists by their hash.")
    resolved: dict[LockPath, str] = {("stacks", name, "image", "inventory"): sha256}
    wheels = contents.wheels_built(image)
    for package, pin in stack.packages.items():
        if pin.origin == "base" and pin.version == UNRESOLVED and package in packages:
            resolved["stacks", name, "packages", package, "version"] = packages[package]["version"]
        if pin.origin == "source" and pin.sha256 == UNRESOLVED:
            resolved["stacks", name, "packages", package, "sha256"] = wheels[package]
    return resolved


def inputs_of(lock: Lock, name: str, stand_in: str | None = None) -> str:
    """Return the hash of everything that decides the image of a stack: files, and the pins that no file of it holds."""
    stack = lock.stacks[name]
    pins = [stand_in or stack.image.digest, lock.tools["buildah"]]
    pins += [stack.interpreter.digest] if stack.interpreter else []
    pins += [lock.sources[source].commit for source in stack.sources.values()]
    return build_context.inputs(name, lock, pins)


class Checkout(NamedTuple):
    """The commit of this checkout, with -dirty where files differ from it, and the commit's time in Unix seconds."""

    revision: str
    epoch: int


def checkout() -> Checkout:
    """Return the state of this checkout. Raises ``InputError`` where neither git nor SOURCE_DATE_EPOCH tells a time."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(paths.ROOT), *arguments], capture_output=True, encoding="utf-8")
        # git is not installed
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    revision, time = git("rev-parse", "HEAD"), git("log", "-1", "--format=%ct")
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or time
    if epoch is None:
        raise InputError("This is no git checkout, so the time of its commit is not known. Set SOURCE_DATE_EPOCH.")
    if not (epoch.isascii() and epoch.isdigit() and len(epoch) < 12):
        raise InputError(f"SOURCE_DATE_EPOCH is {epoch[:60]!a}, and must be seconds since 1970. Mend it, or unset it.")
    dirty = "-dirty" if git("status", "--porcelain", "--", *_DECISIVE) else ""
    return Checkout(f"{revision}{dirty}" if revision else "unknown", int(epoch))


def _bill(planned: BuildPlan, image: str, packages: Mapping[str, InstalledPackage]) -> str:
    """Return the bill of materials of a built image."""
    programs = [
        sbom.CompiledProgram(program, pin, planned.lock.sources[pin.source], contents.program_sha256(image, program))
        for program, pin in planned.stack.programs.items()
    ]
    return sbom.bill(
        planned.name,
        packages,
        planned.context / "wheels",
        contents.distribution(image),
        contents.debian_packages(image),
        planned.epoch,
        programs,
    )
