"""Tests of pages in Chromium: they need Debian's Chromium, and the environment of ``make test-page``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.page import looking


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.page)


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Say what to run where the tools are missing."""
    missing = [path for path in (looking.PYTHON, Path("/usr/bin/chromium")) if not path.exists()]
    assert not missing, f"not installed: {', '.join(map(str, missing))}. Run `make test-page`."
