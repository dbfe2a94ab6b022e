"""Take the picture of a report that README shows: ``python -m tests.page.picture``, after ``make examples``."""

from __future__ import annotations

from tests.examples import reports
from tests.page import looking
from tests.page.looking import Look

PICTURE = looking.ROOT / "docs" / "images" / "report.png"
# The first row of figures.
PART, WIDTH, HEIGHT = "#cells", 1200, 670


def main() -> None:
    """Write the part of the report of made-up cells that shows launches beside published numbers."""
    page = reports.FOLDER / "eight-cells" / "index.html"
    looking.look([Look(str(page), anchor=PART, width=WIDTH, height=HEIGHT, picture=str(PICTURE), full_page=False)])
    print(f"{PICTURE.relative_to(looking.ROOT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
