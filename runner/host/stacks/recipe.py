"""The texts by which a pod installs a stack by itself: the kit's own code, and what versions.lock pins of the stack.

Both functions are pure: they read this checkout and ask no network. The texts travel in ConfigMaps, whose keys have no slash
(``key``). A pod runs the commands below in this order. ``UNPACK`` runs in the image that has Python: the stack's interpreter where
the lock has one, else its base. All other commands but ``COPY_INTERPRETER`` run in the base.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from runner.contract import recipe as contract
from runner.contract.recipe import GitSource, LockedFile, Recipe
from runner.contract.requirements import Requirement
from runner.host import paths
from runner.host.readers.lockfile import UNRESOLVED, Lock, PinnedStack, RequirementsFile
from runner.host.stacks import agreement, dockerfiles, requirements

# Where a pod has everything. SOURCE holds the ConfigMaps, PACKAGES is the volume of packages, and the others are the pod's own.
SOURCE, KIT, PACKAGES, ENVIRONMENT, INTERPRETER = "/source", "/opt/kit", "/packages", "/opt/bench", "/opt/python"
RECIPE = f"{KIT}/recipe"

# Stands for the slash in the key of a ConfigMap, which may hold letters, digits, dots, hyphens and _.
SLASH = "--"

# The command that makes the tree of KIT from SOURCE; and the command of the interpreter's image, whose Python the base lacks.
# Without -p: /opt/python belongs to root there, so no user of a pod may set its times.
UNPACK = ("python3", f"{SOURCE}/runner--bench--pods--unpack.py", SOURCE, KIT)
COPY_INTERPRETER = ("cp", "-dR", "/usr/local/.", f"{INTERPRETER}/")

# Before a command that runs while the stack is not installed, and before one that runs in the installed stack.
IN_BASE = ("sh", f"{RECIPE}/base.sh")
IN_STACK = ("sh", f"{RECIPE}/enter.sh")
_RUNNER = ("python3", "-m", "runner")
# Downloads onto the volume; the Job packages-STACK runs it.
DOWNLOAD = (*IN_BASE, *_RUNNER, "packages", "--recipe", RECIPE, "--packages", PACKAGES)

# The parts of the repository that an image's kit holds; runner/host and the catalog stay outside.
_KIT = ("__init__.py", "__main__.py", "contract", "bench")
# The lock's requirements of pip, setuptools and wheel: for a Python from 3.10 on, and for an older Python.
BUILD_TOOLS = ("build", "build38")


def install(wait_s: int) -> tuple[str, ...]:
    """Return the command that installs a stack from the volume, and waits at most ``wait_s`` seconds for its packages."""
    flags = ("--recipe", RECIPE, "--packages", PACKAGES, "--environment", ENVIRONMENT, "--wait-s", str(wait_s))
    return (*IN_BASE, *_RUNNER, "install", *flags)


def key(path: str) -> str:
    """Return the key of a ConfigMap for a path below KIT."""
    assert SLASH not in path, f"{path} cannot be a key"
    return path.replace("/", SLASH)


def kit_files() -> dict[str, Path]:
    """Return path below the kit to file of everything that the kits of all stacks hold."""
    files = {"LICENSE": paths.ROOT / "LICENSE"}
    for part in _KIT:
        top = paths.PACKAGE / part
        for file in [top] if top.is_file() else top.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                files[f"runner/{file.relative_to(paths.PACKAGE)}"] = file
    return dict(sorted(files.items()))


def kit() -> dict[str, str]:
    """Return path below KIT to text of everything that the kits of all stacks hold."""
    return {name: file.read_text(encoding="utf-8") for name, file in kit_files().items()}


def of_stack(lock: Lock, name: str) -> dict[str, str]:
    """Return path below KIT to text of everything that a stack is installed from: requirements, and the recipe.

    Raises ``InputError`` where a file of the lock was changed. A pin that is unresolved is told in the recipe, and refused in the pod.
    """
    stack = lock.stacks[name]
    recipe = of(lock, name)
    texts = {entry.file: agreement.locked_text(entry) for entry in (stack.requirements, stack.torch) if entry}
    of_recipe = {
        contract.NAME: recipe.text(),
        contract.TOOLS: tools_text(lock, stack.python),
        "install.sh": dockerfiles.INSTALL.read_text(encoding="utf-8"),
        "base.sh": base_script(stack),
        "enter.sh": enter_script(stack),
    }
    of_recipe.update(
        {f"programs/{file.name}": file.read_text(encoding="utf-8") for file in dockerfiles.program_scripts(stack)}
    )
    return dict(sorted({**texts, **{f"recipe/{file}": text for file, text in of_recipe.items()}}.items()))


def of(lock: Lock, name: str) -> Recipe:
    """Return the recipe of a stack. Raises ``InputError`` where a file of the lock was changed."""
    stack = lock.stacks[name]
    return Recipe(
        stack=name,
        python=stack.python,
        exact_python=stack.platform is not None,
        tools_sha256=hashlib.sha256(tools_text(lock, stack.python).encode()).hexdigest(),
        torch=_locked(stack.torch) if stack.torch else None,
        requirements=_locked(stack.requirements),
        source_only=list(requirements.SOURCE_ONLY),
        sources=sources(stack, lock),
        programs=list(stack.programs),
        install_arguments=dockerfiles.read(stack).install_arguments,
        base_inventory=stack.image.inventory,
        unresolved=_unresolved(lock, name),
    )


def sources(stack: PinnedStack, lock: Lock) -> dict[str, GitSource]:
    """Return the commits that a stack's packages and programs are built from, by their names in order."""
    return {
        product: GitSource(
            repository=lock.sources[where].repository,
            commit=lock.sources[where].commit,
            tree=lock.sources[where].tree,
            wheel_sha256=stack.packages[product].sha256 or UNRESOLVED if product in stack.packages else None,
        )
        for product, where in sorted(stack.sources.items())
    }


def tools(lock: Lock, python: str) -> list[Requirement]:
    """Return the locked pip and wheel that run on a Python such as 3.12.1. Raises ``InputError`` where their file was changed."""
    is_modern = tuple(int(part) for part in python.split(".")[:2]) >= (3, 10)
    entry = lock.requirements[BUILD_TOOLS[0 if is_modern else 1]]
    pins = requirements.read(agreement.locked_text(entry), entry.file)
    return [pin for pin in pins if pin.name in ("pip", "wheel")]


def tools_text(lock: Lock, python: str) -> str:
    """Return the requirements of the pip and wheel that run on a Python such as 3.12.1."""
    return "".join(pin.text for pin in tools(lock, python))


def base_script(stack: PinnedStack) -> str:
    """Return base.sh, which runs its arguments as the image's build runs install.sh, with the kit in the working folder."""
    lines = ["export PYTHONDONTWRITEBYTECODE=1", *_exports(stack, dockerfiles.read(stack).build)]
    return _script("Run a command in the base, before the stack is installed.", lines)


def enter_script(stack: PinnedStack) -> str:
    """Return enter.sh, which runs its arguments with the variables of the stack's image."""
    variables = {**dockerfiles.read(stack).image, "BLOOMZ_BENCH_INSTALLATION": "pod"}
    return _script(
        "Run a command in the installed stack, with the variables that its image sets.", _exports(stack, variables)
    )


def _exports(stack: PinnedStack, variables: dict[str, str]) -> list[str]:
    """Return the lines of a shell that set variables, and put the copied interpreter before the base's programs."""
    lines = []
    if stack.interpreter is not None:
        lines.append(f'export PATH="{INTERPRETER}/bin:$PATH"')
        variables = {name: value.replace("/usr/local/", f"{INTERPRETER}/") for name, value in variables.items()}
    return lines + [f'export {name}="{value}"' for name, value in variables.items()]


def _script(what: str, lines: list[str]) -> str:
    return "\n".join(["#!/bin/sh", f"# {what} Made from the Dockerfile.", *lines, f"cd {KIT}", 'exec "$@"', ""])


def _locked(entry: RequirementsFile) -> LockedFile:
    agreement.locked_text(entry)
    return LockedFile(entry.file, entry.sha256, entry.index)


def _unresolved(lock: Lock, name: str) -> list[str]:
    """Return every pin that an installation in a pod needs and the lock leaves open, each named in a few words."""
    stack = lock.stacks[name]
    versions = [
        f"the version of {package} in stack {name}"
        for package, pin in stack.packages.items()
        if pin.version == UNRESOLVED and not pin.is_told_by_the_base
    ]
    parts = [
        f"the {part} of {where}, which {product} is built from,"
        for product, where in stack.sources.items()
        for part, value in (("commit", lock.sources[where].commit), ("tree", lock.sources[where].tree))
        if value == UNRESOLVED
    ]
    return [*versions, *parts]
