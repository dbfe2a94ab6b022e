"""Name the places of the project's own files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "versions.lock"
CATALOG = ROOT / "runner" / "catalog"
K8S = ROOT / "k8s"
RESULT_SCHEMA = ROOT / "runner" / "contract" / "schema" / "result-2.schema.json"


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
