"""The energy of processors, from a folder like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.bench.devices import cpu
from runner.bench.facts import rapl


def zone(folder: Path, name: str, energy_uj: str | None) -> None:
    (folder / name).mkdir()
    if energy_uj is not None:
        (folder / name / "energy_uj").write_text(energy_uj + "\n")


def test_the_packages_count_and_their_parts_do_not(tmp_path: Path) -> None:
    for name, energy_uj in (("intel-rapl:0", "262143328850"), ("intel-rapl:1", "2000000"), ("intel-rapl:0:0", "7")):
        zone(tmp_path, name, energy_uj)
    (tmp_path / "intel-rapl").mkdir()
    assert rapl.energy_j(str(tmp_path)) == pytest.approx(262145.32885)


@pytest.mark.parametrize("told", [None, "", "unknown", "-1"])
def test_a_package_that_tells_nothing_makes_the_sum_unknown(tmp_path: Path, told: str | None) -> None:
    zone(tmp_path, "intel-rapl:0", "5000000")
    assert rapl.energy_j(str(tmp_path)) == 5.0
    zone(tmp_path, "intel-rapl:1", told)
    assert rapl.energy_j(str(tmp_path)) is None


def test_a_host_without_counters_tells_none(tmp_path: Path) -> None:
    assert rapl.energy_j(str(tmp_path)) is None
    assert rapl.energy_j(str(tmp_path / "nowhere")) is None


def test_the_cpu_tells_what_the_host_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rapl, "energy_j", lambda: 12.5)
    assert cpu.energy_j() == 12.5
