"""The accelerators of a host against what cases ask for. The lines are those that the verb ``devices`` is to print."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from runner.contract.errors import InputError, Unreachable, Unsupported
from runner.contract.found_devices import DeviceFound, DevicesUntold
from runner.host.doctor import devices
from runner.host.doctor.looking import Group, look_at
from runner.host.readers import accelerators
from tests.host.doctor.conftest import NeedsOf

ROWS = accelerators.read()


def device(**changes: object) -> DeviceFound:
    fields = {
        "index": 0,
        "name": "HL-225",
        "accelerator": "gaudi2",
        "device": "hpu",
        "memory_bytes": 96 * 10**9,
        "driver": "1.10.0-f00",
        "bus_id": "0000:07:00.0",
        "processes": 0,
        "source": "hl-smi",
        "firmware": "1.10.0-fw43.2.0",
    }
    return DeviceFound(**{**fields, **changes})  # type: ignore[arg-type]


def program(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "devices.py").write_text(text)
    return [sys.executable, str(tmp_path / "devices.py")]


def test_the_verb_is_asked_in_a_process_of_its_own(tmp_path: Path) -> None:
    told = [device(), device(index=1, processes=None)]
    lines = "\n".join(json.dumps(one.facts()) for one in told)
    assert devices.here(program(tmp_path, f"print({lines!r})")) == told
    assert devices.here(program(tmp_path, "pass")) == []


def test_what_was_not_told_is_no_host_without_accelerators(tmp_path: Path) -> None:
    untold = json.dumps(DevicesUntold("cuda", 0, "No device file is here, and nvidia-smi fails.").facts())
    file_alone = json.dumps(device(name=None, accelerator=None, device="cuda").facts())
    for lines in (untold, f"{untold}\n{file_alone}"):
        with pytest.raises(Unreachable, match="and nvidia-smi fails"):
            devices.here(program(tmp_path, f"print({lines!r})"))
    assert devices.here(program(tmp_path, f"print({untold!r}); print({json.dumps(device().facts())!r})")) == [device()]


def test_the_verb_that_is_asked_is_the_kit_s_own() -> None:
    assert {found.device for found in devices.here()} <= {"cuda", "hpu"}


@pytest.mark.parametrize(
    "text, error",
    [
        ("import sys; sys.exit(3)", Unsupported),
        ("print('no JSON')", InputError),
        ("print('[]')", InputError),
        ('print(\'{"event": "device"}\')', InputError),
    ],
    ids=["failed", "text", "list", "no-name"],
)
def test_a_verb_that_fails_or_prints_something_else(tmp_path: Path, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        devices.here(program(tmp_path, text))


def test_a_driver_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_DEVICES_S", 0.5)
    with pytest.raises(Unreachable, match="did not end within 0.5 s"):
        devices.here(program(tmp_path, "import time; time.sleep(600)"))


def test_a_ready_host(needs_of: NeedsOf) -> None:
    looks = devices.looks([device() for _ in range(8)], needs_of("gaudi2-8-bloomz", "gaudi2-1-bloomz-7b1"), ROWS)
    findings = look_at([Group(looks)])
    assert {finding.what: finding.state for finding in findings} == dict.fromkeys(
        ["accelerators", "free devices", "device memory", "driver for gaudi-1.10", "firmware for gaudi-1.10"], "ready"
    )
    assert findings[0].finding == "8 x HL-225 (gaudi2) found."


def test_too_few_devices_and_other_ones(needs_of: NeedsOf) -> None:
    needs = needs_of("gaudi2-8-bloomz")
    other = device(name="HL-205", accelerator="gaudi")
    answer = devices.of_the_products([device(), other], needs, ROWS)
    assert answer.state == "not ready"
    assert answer.finding == "1 x HL-225 (gaudi2), 1 x HL-205 (gaudi) found; gaudi2-8-bloomz asks for 8 x gaudi2."
    unknown = devices.of_the_products([device(name="A card", accelerator=None)], needs, ROWS)
    assert unknown.state == "not ready" and "1 x A card (not in the catalog)" in unknown.finding
    assert devices.of_the_products([], [], ROWS).state == "ready"


def test_a_product_without_a_row_runs_the_cases_for_other_products() -> None:
    card = device(name="NVIDIA GeForce RTX 4090", accelerator=None, device="cuda")
    row = devices.row_of(card, ROWS)
    assert row is not None and ROWS[row].others
    assert devices.row_of(device(name=None, accelerator=None, device="cuda"), ROWS) is None


def test_a_case_of_the_cpu_asks_for_no_device(needs_of: NeedsOf) -> None:
    (look,) = devices.looks([], needs_of("cpu-1"), ROWS)
    assert look.ask().finding == "None found; no case asks for one."


def test_busy_devices(needs_of: NeedsOf) -> None:
    answer = devices.free([device(processes=2), device(processes=1), device()])
    assert (answer.state, answer.finding) == ("not ready", "3 processes run on 2 of 3 devices.")
    assert devices.free([device(processes=None)]).state == "cannot be told"


def test_a_model_that_does_not_fit(needs_of: NeedsOf) -> None:
    needs = needs_of("gaudi2-8-bloomz")
    assert devices.memory([device(memory_bytes=32 * 10**9)], needs).state == "not ready"
    assert devices.memory([device(memory_bytes=None)], needs).state == "cannot be told"


@pytest.mark.parametrize(
    "found, state",
    [("1.10.0-494", "ready"), ("1.24.0-1007", "warning"), (None, "cannot be told")],
    ids=["same-release", "another", "untold"],
)
def test_the_driver_is_of_the_stack_s_release(needs_of: NeedsOf, found: str | None, state: str) -> None:
    (need,) = needs_of("gaudi2-1-bloomz-7b1")
    assert devices.driver([device(driver=found)], need).state == state


def test_a_driver_that_the_lock_does_not_name_cannot_be_told(needs_of: NeedsOf) -> None:
    (need,) = needs_of("a100-1-bloomz-7b1")
    answer = devices.driver([device(driver="580.1")], need)
    assert answer.state == "cannot be told" and "versions.lock names none" in answer.finding


@pytest.mark.parametrize(
    "case, found, state",
    [
        ("gaudi2-1-bloomz-7b1", "1.10.0-fw-43.2.0", "ready"),
        ("gaudi2-1-bloomz-7b1", "1.9.0-fw-42.0.1", "warning"),
        ("gaudi2-1-bloomz-7b1", None, "cannot be told"),
        ("gaudi-1-bloomz-7b1", "1.2.3", "cannot be told"),
    ],
    ids=["same", "another", "untold", "of-another-series"],
)
def test_the_firmware_is_the_stack_s(needs_of: NeedsOf, case: str, found: str | None, state: str) -> None:
    (need,) = needs_of(case)
    assert devices.firmware([device(firmware=found)], need).state == state


def test_each_stack_is_told_of_its_own_driver(needs_of: NeedsOf) -> None:
    looks = devices.looks([device()], needs_of("gaudi2-1-bloomz-7b1", "gaudi2-1-bloomz-7b1-1.24"), ROWS)
    states = {look.what: look.ask().state for look in looks if look.what.startswith("driver")}
    assert states == {"driver for gaudi-1.10": "ready", "driver for gaudi-1.24": "warning"}
