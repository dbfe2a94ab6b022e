"""Judge where Python takes its modules from, and what else can come into the interpreter unseen.

Names and versions of installed packages do not say what an import finds. A folder on PYTHONPATH, or the folder that
Python was started in, comes first; a ``.pth`` file or ``sitecustomize`` runs code at every start; ``LD_PRELOAD``
changes what libraries do. Nothing is imported here.
"""

from __future__ import annotations

import os
import site
import sysconfig
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path
from typing import Container, Iterable, Mapping

from runner.bench.facts import shadowing, startup
from runner.bench.facts.distributions import Listing


@dataclass
class Findings:
    """The findings on the interpreter, as ``records.Inventory`` keeps them.

    ``shadowed``, ``unrecorded`` and ``injected`` refuse a launch.
    """

    # Module, or package, to the place that Python takes it from.
    shadowed: dict[str, str] = field(default_factory=dict)
    # Locked packages that list no files, so that no file of theirs was compared.
    unrecorded: list[str] = field(default_factory=list)
    # Files and variables that run code of no locked package in every Python here.
    injected: list[str] = field(default_factory=list)
    # Variables and files that can change a measurement, each with its value or its first characters. These flag a
    # launch.
    interpreter: dict[str, str] = field(default_factory=dict)
    # All variables of Python and of the dynamic linker.
    variables: dict[str, str] = field(default_factory=dict)


def judge(
    wanted: Container[str],
    expected: Iterable[Distribution],
    added: Iterable[Distribution],
    base: Listing,
    root: Path,
    environment: Mapping[str, str],
) -> Findings:
    """Return the ``Findings`` on the packages that the stack locks, whose names are ``wanted``.

    ``expected`` are all distributions that may be installed, the wanted ones among them; ``added`` are all others that
    are installed. ``base`` is what the image's build listed of its base, and ``root`` the kit's own folder.
    """
    findings = Findings()
    base_folders = {os.path.realpath(listed["folder"]) for listed in base.values()}
    folders = own_folders() | base_folders
    packages = [shadowing.Package(distribution) for distribution in expected]
    locked = [package for package in packages if package.name in wanted]
    for package in locked:
        if package.folder not in folders:
            findings.shadowed[package.name] = package.folder
        elif package.lists_nothing and (
            package.name not in base or base[package.name]["folder"] != package.given_folder
        ):
            findings.unrecorded.append(package.name)
        for module in package.modules:
            owners = [owner for owner in packages if module in owner.modules and owner.folder in folders]
            place = shadowing.place_elsewhere(module, owners)
            if place:
                findings.shadowed[module] = place
    findings.shadowed.update(shadowing.preferred_to_listed(locked, packages))
    findings.shadowed.update(shadowing.shadowed_standard_library())
    findings.unrecorded.sort()

    listed_files = {file for package in packages for file in package.startup_files}
    added_files = {file for distribution in added for file in startup.unaltered_files(distribution)}
    variables = startup.variables(environment, folders | {os.path.realpath(root)})
    for part in (startup.files(own_folders(), base_folders, listed_files, added_files), variables.findings):
        findings.injected += part.injected
        findings.interpreter.update(part.interpreter)
    findings.variables = variables.recorded
    return findings


def own_folders() -> set[str]:
    """Return the folders that this interpreter installs packages into: not the user's, and none of a variable."""
    folders = [*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return {os.path.realpath(folder) for folder in folders}
