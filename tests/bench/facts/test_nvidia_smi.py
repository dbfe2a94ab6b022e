"""Readings of nvidia-smi in the form that its man page documents for ``--format=csv,noheader``: a line for each device or process,
fields parted by a comma and a space, ``[N/A]`` for what a device does not support. Public recordings show PCI ids with eight digits
of domain, reasons as sixteen hexadecimal digits, and 'Field "..." is not a valid field to query.' with a failing status.
Places, drivers and processes are the tests' own.
"""

import pytest

from runner.bench.facts import nvidia_smi
from tests.bench.facts.recordings import APPS, TABLE


def tool(*answers):
    """Return a program that prints, or fails with None, by what its first argument contains."""
    return lambda arguments: next((text for part, text in answers if part in arguments[0]), None)


def test_devices_are_read_by_bus_id():
    assert nvidia_smi.query(tool(("clocks_event_reasons.active", TABLE))) == {
        "0000:07:00.0": {"driver": "525.105.17", "throttle_reasons": []},
        "0000:0f:00.0": {"driver": "525.105.17", "throttle_reasons": ["sw_power_cap", "sw_thermal_slowdown"]},
    }


def test_a_driver_that_knows_no_events_is_asked_for_throttle_reasons():
    asked = []

    def old(arguments):
        asked.append(arguments)
        return None if "event" in arguments[0] else TABLE

    assert len(nvidia_smi.query(old)) == 2
    assert asked == [
        ["--query-gpu=pci.bus_id,driver_version,clocks_event_reasons.active", "--format=csv,noheader"],
        ["--query-gpu=pci.bus_id,driver_version,clocks_throttle_reasons.active", "--format=csv,noheader"],
    ]


def test_processes_are_read_by_bus_id():
    assert nvidia_smi.processes(tool(("--query-compute-apps=gpu_bus_id,pid", APPS))) == {
        "0000:07:00.0": [4711, 4713],
        "0000:0f:00.0": [4712],
    }
    assert nvidia_smi.processes(tool(("", ""))) == {}


def test_a_tool_that_is_not_there_or_fails_tells_nothing():
    assert nvidia_smi.query(tool()) is None
    assert nvidia_smi.processes(tool()) is None


def test_lines_that_are_no_rows_are_left_out():
    assert nvidia_smi.parse_devices("No devices were found\n") == {}
    assert nvidia_smi.parse_processes("No running processes found\n00000000:07:00.0, [N/A]\n") == {}


@pytest.mark.parametrize(
    "text, reasons",
    [
        ("0x0000000000000000", []),
        ("0x0000000000000001", []),
        ("0x0000000000000005", ["sw_power_cap"]),
        ("0x00000000000000C8", ["hw_power_brake_slowdown", "hw_slowdown", "hw_thermal_slowdown"]),
        ("0x0000000000000112", ["applications_clocks_setting", "display_clock_setting", "sync_boost"]),
        ("0x0000000000000600", ["0x200", "0x400"]),
        ("[N/A]", None),
        ("[Not Supported]", None),
    ],
)
def test_reasons_are_the_names_of_the_bits(text, reasons):
    assert nvidia_smi.parse_reasons(text) == reasons


@pytest.mark.parametrize("told", ["00000000:0F:00.0", "0000:0f:00.0", "0:0F:00.0"])
def test_one_place_has_one_name(told):
    assert nvidia_smi.bus_id(told) == "0000:0f:00.0"


def test_a_domain_beyond_four_digits_keeps_its_digits():
    assert nvidia_smi.bus_id("00010000:0F:00.0") == "10000:0f:00.0"


@pytest.mark.parametrize(
    "name, known",
    [
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("A100-SXM4-80GB", "a100-80gb"),
        ("NVIDIA A100-SXM4-40GB", None),
        ("NVIDIA A100 80GB PCIe", None),
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", None),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H200", "h200"),
    ],
)
def test_product_names_stand_for_accelerators(name, known):
    assert nvidia_smi.accelerator(name) == known


def test_the_program_is_asked_on_the_path(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in *clocks_event*) echo "Field \\"$1\\" is not a valid field to query."; exit 2;; esac\n'
        'case "$1" in *compute-apps*) echo "00000000:07:00.0, 4711";; *) echo "00000000:07:00.0, 470.82.01, 0x4";; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_smi.query() == {"0000:07:00.0": {"driver": "470.82.01", "throttle_reasons": ["sw_power_cap"]}}
    assert nvidia_smi.processes() == {"0000:07:00.0": [4711]}
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert nvidia_smi.query() is None
