"""Make the reports below ``examples/reports`` again: ``make examples``."""

from __future__ import annotations

from pathlib import Path

from tests.examples import reports


def main() -> None:
    """Write every example, and print its path and size."""
    for name in reports.EXAMPLES:
        folder = reports.FOLDER / name
        reports.write(name, folder)
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{folder.relative_to(Path.cwd())}: {size_bytes:,} bytes")


main()
