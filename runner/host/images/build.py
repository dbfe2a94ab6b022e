"""Plan the build of a stack's image, then build it: what from what, with which command, and what is refused before and after.

``plan`` reads the lock and this checkout, fetches nothing, and refuses what cannot be built. ``execute`` fetches, builds, looks into
the image, and writes ``image.json`` and ``sbom.json`` beside the build context.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.contract import recipe, strictjson
from runner.contract.errors import InputError, Unsupported
from runner.contract.files import sha256_of_file
from runner.contract.progress import SILENT, Step, Task
from runner.host import paths, writing
from runner.host.images import build_context, buildah, checkout, contents, sbom
from runner.host.images.contents import PYTHON, InstalledPackage
from runner.host.pins.origins import container_registry
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath, PinnedStack
from runner.host.stacks import dockerfiles

BUILD = paths.BUILD
# The name of the record of a built image, which is written last.
_RECORD = "image.json"


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
    size of its layers, ``builder`` the version of the buildah that built it. ``image.json`` has these keys.
    """

    image: str
    tag: str
    base: str
    pinned: bool
    revision: str
    inputs: str
    packages: int
    bytes: int
    builder: str


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
    here = checkout.read()
    inputs = inputs_of(lock, name, stand_in)
    arguments = {"BASE": base, "INTERPRETER": interpreter, "SOURCE_DATE_EPOCH": str(here.epoch)}
    if "ARG INTERPRETER" not in dockerfiles.path(stack).read_text(encoding="utf-8"):
        del arguments["INTERPRETER"]
    labels = {
        "org.opencontainers.image.title": f"bloomz-bench {name}",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": here.revision,
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
        revision=here.revision,
        epoch=here.epoch,
        inputs=inputs,
        arguments=arguments,
        labels=labels,
        checkouts=dict(checkouts or {}),
        folder=folder or BUILD / "images" / name,
    )


_BUILD_STEPS = 5


def execute(planned: BuildPlan, task: Task = SILENT) -> BuiltImage:
    """Build a planned image and return what was built; ``image.json`` and ``sbom.json`` in the plan's folder say it too.

    ``task`` shows the ``_BUILD_STEPS`` steps. Of several builds at once in a checkout, each waits for the one before: they would empty
    each other's folders.

    The pins that only the pinned base could tell are written into the lock. Raises ``Unsupported`` where the base is not what the stack
    needs, or the build fails; ``Unreachable`` where an index, registry or git server does not answer.
    """
    planned.folder.parent.mkdir(parents=True, exist_ok=True)
    with writing.alone(planned.folder):
        return _execute(planned, task)


def _execute(planned: BuildPlan, task: Task) -> BuiltImage:
    def begin(number: int, what: str) -> None:
        sentence = f"{planned.name}: step {number + 1} of {_BUILD_STEPS}, {what}"
        task.update(Step(what, number, _BUILD_STEPS, "steps", sentence))

    shutil.rmtree(planned.folder, ignore_errors=True)
    # what the label bloomz-bench.lock is the hash of; building and recording change the lock
    writing.write_text(planned.folder / paths.LOCK.name, paths.LOCK.read_text(encoding="utf-8"))
    begin(0, "fetching the base image")
    for reference in planned.pulled:
        # what is here is not asked for; a silent registry would use up the hour that a pull may take
        if not buildah.is_here(reference):
            container_registry.knock(reference)
        buildah.pull(reference)
    python, glibc = contents.python_version(planned.interpreter), contents.glibc_version(planned.base)
    refuse_python(planned.name, planned.stack, python)
    begin(1, "looking into the base image")
    base_python = contents.python_path(planned.interpreter)
    base_packages = None
    if planned.uses_base_packages:
        base_packages = contents.python_packages(planned.base, base_python, paths.ROOT)
    base_inventory = None if base_packages is None else recipe.inventory_text(base_packages)
    wheelhouse = planned.wheelhouse(python, glibc)
    begin(2, "fetching packages and sources")
    build_context.gather(
        planned.stack, planned.lock, python, glibc, wheelhouse, planned.context, planned.checkouts, base_inventory
    )
    begin(3, "building")
    builder = buildah.version()
    image = buildah.build(planned.command(builder))
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
        builder=builder,
    )
    writing.write_text(planned.folder / _RECORD, json.dumps(asdict(built), indent=2) + "\n")
    return built


def earlier(name: str) -> BuiltImage | None:
    """Return the image of a stack that was built here before; None where none was, or its record is of another form."""
    try:
        record = strictjson.read(BUILD / "images" / name / _RECORD)
        return BuiltImage(**{key: record[key] for key in BuiltImage.__annotations__})
    except (InputError, KeyError, TypeError):
        return None


def current(lock: Lock, name: str) -> BuiltImage | None:
    """Return the image of a stack that was built here of what this checkout holds, None where there is none."""
    built = earlier(name)
    if built is None or built.inputs != inputs_of(lock, name, None if built.pinned else built.base):
        return None
    return built


def refuse_python(name: str, stack: PinnedStack, python: str) -> None:
    """Raise ``Unsupported`` for a Python, such as 3.12.1, that the stack is not locked for."""
    if not recipe.serves(python, stack.python, exact=stack.platform is not None):
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
    if stack.image.inventory is None or not recipe.is_pinned(stack.image.inventory, base_inventory):
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
