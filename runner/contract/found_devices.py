"""The accelerators of a host, as the verb ``devices`` prints them with ``--json`` and ``request --here`` reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal, Union, get_args

from runner.contract import files, patterns, strictjson
from runner.contract.announce import Event, fact
from runner.contract.errors import InputError
from runner.contract.fields import Fields
from runner.contract.request import DEVICES
from runner.contract.words import DeviceKind

# What told of a device: NVIDIA's library or tool, Gaudi's library or tool, or nothing but the files below /dev.
Source = Literal["nvml", "nvidia-smi", "hlml", "hl-smi", "device-files"]

_PLACE = patterns.FreeText("text of a driver")
_MESSAGE = patterns.FreeText("sentence about a vendor's tool")
# A host has at most a few dozen devices.
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class DeviceFound(Event, word="device"):
    """An accelerator of this host. A slice of a GPU is a device of its own."""

    index: int = field(metadata=fact("number of the device among those of its maker here, by the source"))
    name: str | None = field(metadata=fact("product, by the driver's words; null where only a device file is here"))
    accelerator: str | None = field(
        metadata=fact("name of the accelerator in the catalog; null for a product that the catalog does not have")
    )
    device: DeviceKind = field(metadata=fact("kind of processor: `cuda` or `hpu`"))
    memory_bytes: int | None = field(metadata=fact("memory of the device, by the driver; null where it is not told"))
    driver: str | None = field(metadata=fact("version of the driver; null where it is not told"))
    bus_id: str | None = field(
        metadata=fact("PCI bus id, as the kernel writes it; null where it is not told, and for a slice")
    )
    processes: int | None = field(
        metadata=fact("number of processes that compute on the device; null where it is not told")
    )
    source: Source = field(
        metadata=fact("what told of the device: `nvml`, `nvidia-smi`, `hlml`, `hl-smi` or `device-files`")
    )
    firmware: str | None = field(
        default=None, metadata=fact("firmware that a Gaudi booted; null for a GPU, and where it is not told")
    )

    @classmethod
    def from_json(cls, value: object, where: str) -> DeviceFound:
        """Read a device. Raises ``InputError`` for what ``devices --json`` does not print."""
        fields = Fields(value, where)
        fields.choice("event", (cls.word,))
        device = cls(
            index=fields.count("index"),
            name=fields.optional(_text, "name"),
            accelerator=fields.optional(lambda part, key: part.form(key, patterns.NAME), "accelerator"),
            device=fields.choice("device", DEVICES),
            memory_bytes=fields.optional(Fields.count, "memory_bytes"),
            driver=fields.optional(_text, "driver"),
            bus_id=fields.optional(_text, "bus_id"),
            processes=fields.optional(Fields.count, "processes"),
            source=fields.choice("source", get_args(Source)),
            firmware=fields.form("firmware", _PLACE, None),
        )
        fields.done()
        return device


@dataclass(frozen=True)
class DevicesUntold(Event, word="untold"):
    """Nobody told which devices of one maker are here, though the maker's tool or device files are here."""

    device: DeviceKind = field(metadata=fact("kind of processor: `cuda` or `hpu`"))
    device_files: int = field(metadata=fact("number of device files that are here"))
    message: str = field(metadata=fact("what was asked, and what to do"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.message

    @classmethod
    def from_json(cls, value: object, where: str) -> DevicesUntold:
        """Read what was not told. Raises ``InputError`` for what ``devices --json`` does not print."""
        fields = Fields(value, where)
        fields.choice("event", (cls.word,))
        untold = cls(
            device=fields.choice("device", DEVICES),
            device_files=fields.count("device_files"),
            message=fields.form("message", _MESSAGE),
        )
        fields.done()
        return untold


# One line of what ``devices --json`` prints.
Told = Union[DeviceFound, DevicesUntold]


def read(path: str | os.PathLike[str]) -> list[Told]:
    """Return what a file lists, one JSON object a line; an empty file says that the host has no device.

    Raises ``InputError`` for a file that cannot be read, and for a line that ``devices --json`` does not print.
    """
    advice = "Name a file that holds what `python -m runner devices --json` printed."
    lines = files.read_bytes(path, _MAX_BYTES, InputError, advice).splitlines()
    places = ((f"{os.fspath(path)}: line {number}", line) for number, line in enumerate(lines, 1) if line.strip())
    return [from_line(line, where) for where, line in places]


def from_line(line: bytes, where: str) -> Told:
    """Return what one line tells. Raises ``InputError`` for a line that ``devices --json`` does not print."""
    value = strictjson.loads(line, where)
    is_untold = isinstance(value, dict) and value.get("event") == DevicesUntold.word
    return DevicesUntold.from_json(value, where) if is_untold else DeviceFound.from_json(value, where)


def _text(fields: Fields, key: str) -> str:
    return fields.form(key, _PLACE)
