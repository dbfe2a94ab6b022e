"""What holds in every format alike."""

from __future__ import annotations

import pytest

from runner.host.exports.formats import FORMATS
from tests.host.exports import made
from tests.support import planted


@pytest.mark.parametrize("name", FORMATS)
def test_a_secret_in_a_foreign_text_is_masked(name: str) -> None:
    content = FORMATS[name].content(made.hostile(f"token {planted.TOKEN} of a path"))
    raw = content if isinstance(content, bytes) else content.encode("utf-8")
    assert planted.found_in(raw) == []


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_results_make_the_same_bytes(name: str) -> None:
    assert FORMATS[name].content(made.of(made.gaudi2())) == FORMATS[name].content(made.of(made.gaudi2()))


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if name not in ("badge", "parquet")])
def test_a_walk_through_and_dummy_weights_are_said(name: str) -> None:
    """The badge has no room for weights, and says walk-through; Parquet has columns of the CSV (test_parquet.py)."""
    told = str(FORMATS[name].content(made.of(made.cpu())))
    assert "dummy" in told and ("walk-through" in told or "walk_through" in told)
