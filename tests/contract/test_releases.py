"""Builds of one release, and spellings of one firmware."""

from __future__ import annotations

import pytest

from runner.contract.releases import firmware_version, release


@pytest.mark.parametrize(
    "version, of",
    [
        ("1.10.0-494ae52", "1.10.0"),
        ("2.13.0+cpu", "2.13.0"),
        ("2.10.0a0+git", "2.10.0"),
        ("580.95.05", "580.95.05"),
        ("", ""),
    ],
)
def test_the_release_of_a_build(version: str, of: str) -> None:
    assert release(version) == of


def test_both_spellings_of_a_firmware_are_one_version() -> None:
    assert (
        firmware_version("1.10.0-fw-43.2.0")
        == firmware_version("1.10.0-fw43.2.0")
        != firmware_version("1.9.0-fw-42.0.1")
    )
