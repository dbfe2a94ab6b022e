"""The list that ``devices --json`` prints, as ``request --here`` reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.contract import found_devices
from runner.contract.errors import InputError
from runner.contract.found_devices import DeviceFound

FOUND = DeviceFound(0, "HL-225", "gaudi2", "hpu", None, "1.10.0", None, None, "hl-smi")


def test_what_is_printed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "devices"
    path.write_text(f"{json.dumps(FOUND.facts())}\n\n{json.dumps(FOUND.facts())}\n")
    assert found_devices.read(path) == [FOUND, FOUND]
    path.write_text("")
    assert found_devices.read(path) == []


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"event": "request"}, "'event'"),
        ({"index": -1}, "'index'"),
        ({"device": "tpu"}, "'device'"),
        ({"source": "rumour"}, "'source'"),
        ({"accelerator": "No Name"}, "'accelerator'"),
        ({"name": "a\u202eb"}, "'name'"),
        ({"more": 1}, "more"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_a_line_that_is_no_device_is_named(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    path = tmp_path / "devices"
    path.write_text(f"{json.dumps(FOUND.facts())}\n{json.dumps({**FOUND.facts(), **changed})}\n")
    with pytest.raises(InputError, match="line 2") as caught:
        found_devices.read(path)
    assert told in str(caught.value)


def test_a_file_that_is_not_there_is_said_with_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`python -m runner devices --json` printed"):
        found_devices.read(tmp_path / "none")
