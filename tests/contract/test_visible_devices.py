"""What CUDA_VISIBLE_DEVICES names, and what a launch can take of it."""

from __future__ import annotations

import pytest

from runner.contract import visible_devices


@pytest.mark.parametrize(
    "listed, named",
    [(None, None), ("", None), (" , ", None), ("2, 3", ["2", "3"]), ("MIG-6b84cf06", ["MIG-6b84cf06"])],
    ids=["unset", "empty", "blank", "numbers", "slice"],
)
def test_the_names_are_read_as_cuda_reads_them(listed: str | None, named: list[str] | None) -> None:
    assert visible_devices.named({} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}) == named


def test_numbers_alone_can_be_launched() -> None:
    assert visible_devices.unlaunchable({}) is None
    assert visible_devices.unlaunchable({"CUDA_VISIBLE_DEVICES": "3,2"}) is None
    assert "takes numbers alone" in str(visible_devices.unlaunchable({"CUDA_VISIBLE_DEVICES": "3,GPU-2b3c"}))
