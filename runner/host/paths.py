"""Where the project's own files lie, said once."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "versions.lock"
CATALOG = ROOT / "runner" / "catalog"
K8S = ROOT / "k8s"
ACCELERATORS = ROOT / "runner" / "contract" / "accelerators.json"
RESULT_SCHEMA = ROOT / "runner" / "contract" / "schema" / "result-2.schema.json"


def shown(path):
    """Return a path as messages show it: relative to the repository where it lies inside."""
    path = Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def leads_outside(relative: str | Path, root: Path) -> bool:
    """Return whether a path below ``root`` leads out of it, by ``..`` or by a link, or has links that lead in a circle."""
    try:
        return not (root / relative).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return True
