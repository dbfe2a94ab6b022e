"""Read and write the hostfile, which names the hosts of a launch on several hosts."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import NamedTuple, Sequence

from runner.contract import file_kinds, files
from runner.contract.errors import InputError
from runner.contract.text import printable

# A file of thousands of hosts, one line each, is smaller.
MAX_BYTES = 1 << 20
LOOPBACK = "127.0.0.1"


class Host(NamedTuple):
    """A host: the name or address by which other hosts reach it, and the number of ranks that it has room for."""

    address: str
    slots: int


class Hostfile(NamedTuple):
    """A hostfile for a launcher: the path of the file, and the address of its first host, on which rank 0 runs."""

    path: str
    first_address: str


# A name as RFC 1123 and container networks write it. The name begins with a letter or digit, so that no program takes it for
# an option.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?", re.ASCII)
# OpenMPI's second number is the most ranks that OpenMPI starts there when it is asked for more than there are slots.
_LINE = re.compile(r"(\S+)\s+slots=([1-9][0-9]{0,5})(?:\s+max[_-]slots=([1-9][0-9]{0,5}))?", re.ASCII)
# Lines as other programs write them, each with words that end the sentence "line 1 is ..., ".
_FOREIGN_FORMS = (
    (re.compile(r"\S+@"), "which names a user: put the user into ~/.ssh/config"),
    (
        re.compile(r"\[[^\s\]]*\]:|[^\s:\[]+:[0-9]+(\s|$)"),
        "with a number behind the address, as MPICH and ssh write it",
    ),
    (re.compile(r"[^\s\[]+\[|[^\s,]+,"), "a list of hosts as Slurm and pdsh write it: give each host a line"),
    (re.compile(r"\S+$"), "which says no slots"),
)


def this_host(devices: int) -> Host:
    """Return the host of a launch that runs on this host alone."""
    return Host(LOOPBACK, devices)


def read(path: str, devices: int) -> list[Host]:
    """Return the hosts of a hostfile (see ``parse``); the first of them is this host. A launch uses all slots.

    Raises ``InputError`` for another number of slots than ``devices``.
    """
    hosts = parse(path)
    slots = sum(host.slots for host in hosts)
    if slots != devices:
        raise InputError(
            f"{path} has {slots} slot(s) on {len(hosts)} host(s); the request is for {devices} device(s)."
            " Change the hostfile, or make the request with other --devices."
        )
    return hosts


def parse(path: str) -> list[Host]:
    """Return the hosts of a hostfile in order: a line ``ADDRESS slots=N`` each. A comment begins with #.

    OpenMPI's ``max_slots=M`` may follow. An IPv6 address may stand in brackets.
    Raises ``InputError`` for a file that cannot be read, and for any other line; the message names the program that
    writes such lines, where the program is known.
    """
    hosts: list[Host] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        host = _host(line)
        if host is None:
            form = next((f", {words}" for form, words in _FOREIGN_FORMS if form.match(line)), "")
            raise InputError(
                f"{path}, line {number} is {printable(line, 80)!r}{form}; a host is written as: ADDRESS slots=8."
            )
        if host.address in [earlier.address for earlier in hosts]:
            raise InputError(f"{path}, line {number} names {host.address} again. Give each host one line.")
        hosts.append(host)
    return hosts


def _text(path: str) -> str:
    """Return the text of a hostfile.

    Raises ``InputError`` for a file that cannot be read, or that is not text in UTF-8.
    """
    content = files.read_bytes(path, MAX_BYTES, InputError, "Check the hostfile.")
    # Latin letters in UTF-16 have a zero byte each, with or without a mark at the begin of the text.
    encoding = file_kinds.encoding_of(content) or ("UTF-16" if b"\0" in content else "UTF-8")
    try:
        if encoding == "UTF-8":
            return file_kinds.decoded(content)
    except UnicodeDecodeError:
        pass
    problem = f"it is not text in UTF-8{f', but in {encoding}' if encoding != 'UTF-8' else ''}"
    raise InputError(f"{path} cannot be read: {problem}. Save the hostfile as UTF-8.")


def _host(line: str) -> Host | None:
    """Return the host of a line; None for a line that is not of the form."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    address, slots, max_slots = match[1], int(match[2]), match[3]
    bracketed = re.fullmatch(r"\[(.*:.*)\]", address)
    address = bracketed[1] if bracketed else address
    if not _is_address(address) or (max_slots is not None and int(max_slots) < slots):
        return None
    return Host(address, slots)


def _is_address(text: str) -> bool:
    """Return whether a text is a host's name or an IP address."""
    if ":" not in text:
        return _NAME.fullmatch(text) is not None
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    # pdsh puts the host's number in the place of %n, so that no zone of an IPv6 address may follow.
    return "%" not in text


def write(hosts: Sequence[Host], folder: str) -> Hostfile:
    """Write hosts that were checked to a file of ``folder``, in the form that DeepSpeed reads."""
    path = os.path.join(folder, "hostfile")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{host.address} slots={host.slots}\n" for host in hosts)
    return Hostfile(path, hosts[0].address)
