from __future__ import annotations

import os

import pytest

from runner.bench.parent import scratch


def test_scratch_is_removed_even_after_an_error() -> None:
    with pytest.raises(RuntimeError), scratch.folder() as folder:
        (open(os.path.join(folder, "raw"), "w")).close()
        raise RuntimeError
    assert not os.path.exists(folder)
