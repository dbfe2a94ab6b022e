"""HLML beside hl-smi: a double of pyhlml that answers as the recordings of ``test_hl_smi`` print, and must be read alike.

The double has the functions of habana-pyhlml 1.24.2, which return bytes. Of hl0 in sysfs public recordings show the text behind the
driver's and the firmware's version.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from runner.bench.facts import gaudi, hl_smi, hlml, host
from tests.bench.facts import recordings

SPI = b"Preboot version hl-gaudi2-1.10.0-fw-43.2.0-sec-4 (May 17 2023 - 20:08:22)"
ROWS = [(b"HL-225", 1, SPI), (b"HL-225", 0, SPI)]


class HLMLError(Exception):
    pass


class Pyhlml(ModuleType):
    """The module pyhlml over some devices: name, number of the module and firmware of each."""

    def __init__(
        self, rows: list[tuple[bytes, int, bytes]], driver: bytes, fails: dict[str, Exception] | None = None
    ) -> None:
        super().__init__("pyhlml")
        self.rows, self.driver, self.initialised = rows, driver, 0
        for name, error in (fails or {}).items():
            setattr(self, name, lambda *arguments, error=error: self._raise(error))

    def _raise(self, error: Exception) -> None:
        print("Failed to load libhlml")
        raise error

    def hlmlInit(self) -> None:
        self.initialised += 1

    def hlmlShutdown(self) -> None:
        self.initialised -= 1

    def hlmlDeviceGetCount(self) -> int:
        return len(self.rows)

    def hlmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def hlmlGetDriverVersion(self) -> bytes:
        assert self.initialised
        return self.driver

    def hlmlDeviceGetName(self, handle: int) -> bytes:
        return self.rows[handle][0]

    def hlmlDeviceGetModuleID(self, handle: int) -> int:
        return self.rows[handle][1]

    def hlmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        """Return millijoules: 1 J, 2 J and so on, in the order of the handles."""
        assert self.initialised
        return (handle + 1) * 1000

    def hlmlDeviceGetFirmwareSPIVersion(self, handle: int) -> bytes:
        return self.rows[handle][2]


def installed(monkeypatch: pytest.MonkeyPatch, *arguments: Any, **keywords: Any) -> Pyhlml:
    module = Pyhlml(*arguments, **keywords)
    monkeypatch.setitem(sys.modules, "pyhlml", module)
    return module


def recorded(command: list[str]) -> str:
    return recordings.GAUDI_VERSIONS if "-L" in command else recordings.GAUDIS


def test_hlml_and_the_tool_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    module = installed(monkeypatch, ROWS, b"1.10.0-494ae52")
    monkeypatch.setattr(host, "printed_by", recorded)
    assert hlml.query() == hl_smi.query()
    gaudis = hlml.query()
    assert gaudis is not None and gaudis["firmware"] == "1.10.0-fw-43.2.0"
    assert module.initialised == 0


def test_devices_come_in_the_order_of_their_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, [(b"HL-225B", 7, SPI), (b"HL-225", 2, SPI.replace(b"43.2.0", b"42.0.1"))], b"1.9.0")
    assert hlml.query() == {"names": ["HL-225", "HL-225B"], "driver": "1.9.0", "firmware": None}


@pytest.mark.parametrize(
    "rows, driver, fails",
    [
        (ROWS, b"1.10.0", {"hlmlInit": HLMLError(1)}),
        (ROWS, b"1.10.0", {"hlmlDeviceGetHandleByIndex": HLMLError(15)}),
        (ROWS, b"1.10.0", {"hlmlDeviceGetFirmwareSPIVersion": AttributeError("an older release of pyhlml")}),
        ([(b"Gaudi2", 0, SPI)], b"1.10.0", {}),
        ([(b"HL-225", 0, b"")], b"1.10.0", {}),
        (ROWS, b"", {}),
    ],
)
def test_where_the_library_fails_or_says_it_otherwise_the_tool_is_asked(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: list[tuple[bytes, int, bytes]],
    driver: bytes,
    fails: dict[str, Exception],
) -> None:
    installed(monkeypatch, rows, driver, fails)
    monkeypatch.setattr(host, "printed_by", recorded)
    assert hlml.query() is None
    assert gaudi.query() == hl_smi.query() is not None
    if "hlmlInit" in fails:
        assert capsys.readouterr().out == ""


def test_without_the_package_the_tool_is_asked_and_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyhlml", None)
    monkeypatch.setattr(host, "printed_by", recorded)
    assert hlml.query() is None
    assert gaudi.query() == hl_smi.query() is not None
    monkeypatch.setattr(host, "printed_by", lambda command: None)
    assert gaudi.query() is None
    assert capfd.readouterr() == ("", "")


def test_where_hlml_answers_no_program_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(command: list[str]) -> str:
        raise AssertionError(f"{command} was started")

    installed(monkeypatch, ROWS, b"1.10.0-494ae52")
    monkeypatch.setattr(host, "printed_by", started)
    gaudis = gaudi.query()
    assert gaudis is not None and gaudis["driver"] == "1.10.0-494ae52"


def test_the_energy_of_a_device_is_told_in_joules_by_the_place_of_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = installed(monkeypatch, ROWS, b"1.10.0")
    assert (hlml.energy_j(0), hlml.energy_j(1)) == (2.0, 1.0)
    assert hlml.energy_j(2) is None
    assert module.initialised == 0
    monkeypatch.setitem(sys.modules, "pyhlml", None)
    assert hlml.energy_j(0) is None
