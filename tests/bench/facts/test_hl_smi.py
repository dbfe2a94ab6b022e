import pytest

from runner.bench.facts import hl_smi
from tests.bench.facts.recordings import GAUDI_VERSIONS as VERSIONS
from tests.bench.facts.recordings import GAUDIS as TABLE


def tool(table, versions):
    return lambda arguments: versions if arguments == ["-L"] else table


def test_names_driver_and_firmware_are_read():
    found = hl_smi.query(tool(TABLE, VERSIONS))
    assert found == {"names": ["HL-225", "HL-225"], "driver": "1.10.0-494ae52", "firmware": "1.10.0-fw-43.2.0"}


def test_devices_come_in_the_order_of_their_modules():
    assert hl_smi.parse_table("HL-225B, 1.9.0, 7\nHL-225, 1.9.0, 2\n")["names"] == ["HL-225", "HL-225B"]


def test_a_tool_that_is_not_there_or_fails_tells_nothing():
    assert hl_smi.query(tool(None, None)) is None
    assert hl_smi.query(tool("", None)) == {"names": [], "driver": None, "firmware": None}
    assert hl_smi.query(tool("hl-smi: no device was found\n", "garbage")) == {
        "names": [],
        "driver": None,
        "firmware": None,
    }


def test_devices_that_differ_in_driver_or_firmware_have_none_to_tell():
    first, _, last = VERSIONS.rpartition("1.10.0-fw-43.2.0")
    assert hl_smi.parse_firmware(first + "1.9.0-fw-42.0.1" + last) is None
    assert hl_smi.parse_table("HL-225, 1.9.0, 7\nHL-225, 1.10.0, 2\n")["driver"] is None


@pytest.mark.parametrize(
    "text, firmware",
    [
        (
            "Firmware [SPI] Version......Preboot version hl-gaudi2-1.10.0-fw43.2.0-sec-4 (May 17 2023)",
            "1.10.0-fw43.2.0",
        ),
        ("Firmware [SPI] Version : Preboot version hl-gaudi2-1.9.0-rc-fw-42.0.1-sec-3", "1.9.0-rc-fw-42.0.1"),
        ("Firmware [SPI] Version : Preboot version hl-gaudi2-1.20.0-fw-58.0.0-sec-9 (Jan 16 2025)", "1.20.0-fw-58.0.0"),
        ("", None),
    ],
)
def test_firmware_of_every_form_that_was_seen(text, firmware):
    assert hl_smi.parse_firmware(text) == firmware


@pytest.mark.parametrize(
    "name, known", [("HL-225", "gaudi2"), ("HL-205", "gaudi"), ("HL-325L", "gaudi3"), ("HL-328", "gaudi3"), ("X", None)]
)
def test_product_names_stand_for_accelerators(name, known):
    assert hl_smi.accelerator(name) == known


def test_the_program_is_asked_on_the_path(tmp_path, monkeypatch):
    program = tmp_path / "hl-smi"
    program.write_text('#!/bin/sh\n[ "$1" = -L ] && echo "none" || echo "HL-205, 1.9.0, 0"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hl_smi.query() is not None
    program.write_text("#!/bin/sh\nexit 3\n")
    assert hl_smi.query() is None
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert hl_smi.query() is None
