"""Tests of pages in Chromium: they need Debian's Chromium, and the environment of ``make test-page``."""

from __future__ import annotations

import shutil
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
    missing = [str(tool) for tool in (looking.PYTHON, "chromium") if shutil.which(tool) is None]
    assert not missing, f"not installed: {', '.join(missing)}. Run `make test-page`."
