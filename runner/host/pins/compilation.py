"""Decide what uv compiles for each requirements file of the lock, and write the file where its pins change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Demand

from runner.contract import files
from runner.contract.errors import InputError
from runner.contract.files import sha256_of_file
from runner.contract.text import printable
from runner.host import paths, writing
from runner.host.pins import uv
from runner.host.readers.lockfile import UNRESOLVED, Lock, PinnedStack, RequirementsFile
from runner.host.stacks import agreement, requirements

# Requirements that share the edited file of others.
_EDITED = {"build38": "build.in"}

# The kit's own files that are installed over others, and whose versions bound them; "cpu" is the stack.
BOUND_BY = {"host": ("cpu",), "dev": ("cpu", "host"), "mutation": ("cpu", "host", "dev")}


@dataclass(frozen=True)
class Compilation:
    """The question to uv about one requirements file.

    ``names`` are requirement lines, ``bounds`` lines that bound versions. ``source`` says in the file's head what it comes from.
    ``excluded`` are packages that uv leaves out with all that they ask for; ``held_elsewhere`` are packages that uv resolves and
    another file of the stack holds. ``platform`` is uv's; None serves every platform.
    """

    entry: RequirementsFile
    names: tuple[str, ...]
    bounds: tuple[str, ...]
    source: str
    platform: str | None = None
    excluded: tuple[str, ...] = requirements.EXCLUDED
    held_elsewhere: frozenset[str] = frozenset()

    def write(self, kept: str | None = None) -> str:
        """Compile, write the file where its requirements differ from the earlier ones, and return the file's sha256.

        ``kept`` is the text whose versions and hashes stay unless they no longer fit; None is the text of the file as the lock pins it,
        and no text where the lock leaves the file's sha256 unresolved. Raises ``InputError`` where there is no solution, ``Unreachable``
        where the index does not answer.
        """
        target = paths.ROOT / self.entry.file
        before = _earlier_text(self.entry) if kept is None else kept
        text = uv.compile_file(
            target,
            self.entry.python,
            self.entry.exclude_newer,
            self.names,
            self.bounds,
            self.source,
            self.platform,
            excluded=self.excluded,
            index=self.entry.index,
            before=before,
        )
        if self.held_elsewhere:
            head = text.splitlines(keepends=True)[0]
            text = head + "".join(pin.text for pin in requirements.read(text) if pin.name not in self.held_elsewhere)
        stays = requirements.read(before) == requirements.read(text) if before is not None else False
        # a head tells another day or another stack
        if not stays or not target.exists() or (kept is not None and kept != text):
            writing.write_text(target, text)
        return sha256_of_file(target)


def of_stack(name: str, stack: PinnedStack) -> Compilation:
    """Return the compilation of a stack's own file: its direct pins, and what the excluded torch and each git source ask for."""
    pinned = [
        f"{package}=={pin.version}"
        for package, pin in stack.packages.items()
        if pin.origin == "index" and package != "torch"
    ]
    source_needs = [
        need
        for package, pin in stack.packages.items()
        if pin.origin == "source"
        for need in requirements.SOURCE_NEEDS.get(package, {}).get(".".join(pin.version.split(".")[:2]), ())
    ]
    names = (*pinned, *requirements.TORCH_NEEDS, *source_needs)
    return Compilation(stack.requirements, names, (), f"stack {name}", stack.platform)


def of_torch(name: str, stack: PinnedStack) -> Compilation:
    """Return the compilation of torch and what torch brings: for images, which install torch by its hash.

    The stack's own file bounds it, and holds what both need. Raises ``InputError`` where that file cannot be read.
    """
    assert stack.torch is not None
    text = agreement.text_of(stack.requirements, paths.ROOT)
    return Compilation(
        stack.torch,
        (f"torch=={stack.packages['torch'].version}",),
        _version_lines(text),
        f"torch of stack {name}" + (f", index {stack.torch.index}" if stack.torch.index else ""),
        stack.platform,
        excluded=(),
        held_elsewhere=frozenset(pin.name for pin in requirements.read(text)),
    )


def of_own_file(lock: Lock, name: str) -> Compilation:
    """Return the compilation of a file of the kit itself, ``requirements/NAME.txt``.

    A file that shares an environment with others takes the versions of those. Raises ``InputError`` where the edited file holds
    more than names with versions, or where one of the others cannot be read.
    """
    entry = lock.requirements[name]
    target = paths.ROOT / entry.file
    edited = target.with_name(_EDITED.get(name, f"{name}.in"))
    bounds = [f"{tool}=={version}" for tool, version in lock.tools.items()]
    for other in BOUND_BY.get(name, ()):
        if other == "cpu":
            bounds += _version_lines(agreement.text_of(lock.stacks["cpu"].requirements, paths.ROOT))
        elif other in lock.requirements:
            bounds += _version_lines(agreement.text_of(lock.requirements[other], paths.ROOT))
    # the versions of today do not run on 3.8
    if entry.python == "3.8":
        bounds = []
    return Compilation(entry, tuple(_edited_lines(edited)), tuple(bounds), paths.shown(edited))


def _edited_lines(path: Path) -> list[str]:
    """Return the requirements of a file that people edit. Raises ``InputError`` for an address, a path or an option of pip."""
    lines = []
    raw = files.read_bytes(path, agreement.MAX_BYTES, advice="Restore it with `git checkout`.")
    for number, line in enumerate(raw.decode("utf-8", errors="replace").splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        try:
            demand = Demand(content)
        except InvalidRequirement:
            demand = None
        if demand is None or demand.url is not None or not content.isascii():
            raise InputError(
                f"{paths.shown(path)}:{number}: {printable(content, 200)!r} is no name of a package with versions."
                " Mend that line."
            )
        lines.append(content)
    return lines


def _version_lines(text: str) -> tuple[str, ...]:
    """Return the requirement lines of a compiled file, with their markers and without hashes."""
    return tuple(line.removesuffix(" \\") for line in text.splitlines() if line and not line.startswith((" ", "#")))


def _earlier_text(entry: RequirementsFile) -> str | None:
    """Return the text of an earlier compilation, whose versions stay; None where its pin is unresolved, or the file damaged."""
    if entry.sha256 == UNRESOLVED or not (paths.ROOT / entry.file).exists():
        return None
    text = agreement.text_of(entry, paths.ROOT)
    try:
        requirements.read(text)
    except InputError:
        return None
    return text
