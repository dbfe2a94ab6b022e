"""Name the places of the project's own files."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from runner.contract.errors import InputError, UsageError

PACKAGE = Path(__file__).resolve().parents[1]
_CLONE = PACKAGE.parent
# An installed package has no repository around it: pyproject.toml puts the pins below the environment's share/.
IS_CLONE = (_CLONE / "versions.lock").is_file()
ROOT = _CLONE if IS_CLONE else Path(sysconfig.get_path("data")) / "share" / "bloomz-bench"
LOCK = ROOT / "versions.lock"
CATALOG = PACKAGE / "catalog"
# Files that the kit makes go into the clone, or into the folder where an installed kit was started.
K8S = ROOT / "k8s" if IS_CLONE else Path("k8s")
BUILD = ROOT / "build" if IS_CLONE else Path("build")
ACCELERATORS = PACKAGE / "contract" / "accelerators.json"
RESULT_SCHEMA = PACKAGE / "contract" / "schema" / "result-2.schema.json"


def need_a_clone(verb: str) -> None:
    """Raise ``UsageError`` in an installed kit, for a verb that changes or builds from the repository's own files.

    Raises ``InputError`` in a clone whose versions.lock is missing: without that file a clone looks like an installed kit.
    """
    # no installed package has pyproject.toml beside it
    if not (_CLONE / "versions.lock").is_file() and (_CLONE / "pyproject.toml").is_file():
        raise InputError(
            f"{_CLONE} has no versions.lock, which pins all that the kit uses. Restore it with `git checkout -- versions.lock`."
        )
    if not IS_CLONE:
        raise UsageError(
            f"The verb {verb} works on the repository's own files, and this is an installed package. Clone the repository, run `make"
            f" setup` there, and then `.venv/bin/python -m runner {verb}`."
        )


def shown(path: str | Path) -> str:
    """Return a path as messages show it: relative to the repository if the path lies in it."""
    full = Path(path)
    return str(full.relative_to(ROOT)) if full.is_relative_to(ROOT) else str(full)


def leads_outside(relative: str | Path, root: Path) -> bool:
    """Return whether a path below ``root`` leads out of ``root``, by ``..`` or by a link, or has links in a circle."""
    try:
        return not (root / relative).resolve().is_relative_to(root.resolve())
    # a circle of links
    except (OSError, RuntimeError):
        return True
