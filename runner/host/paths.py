"""Where the project's own files lie, said once."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "versions.lock"
CATALOG = ROOT / "runner" / "catalog"
K8S = ROOT / "k8s"
RESULT_SCHEMA = ROOT / "runner" / "contract" / "schema" / "result-2.schema.json"


def shown(path):
    """Return a path as messages show it: relative to the repository where it lies inside."""
    path = Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
