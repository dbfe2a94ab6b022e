"""Ranks on several hosts: the hostfile that names them, and what a rank is told that shares no file with the parent."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import zlib
from typing import NamedTuple

from runner.contract import files, strictjson
from runner.contract.errors import InputError, LaunchFailed
from runner.contract.text import printable

MAX_BYTES = 1 << 20  # of a hostfile: a line for each of thousands of hosts
LOOPBACK = "127.0.0.1"


class Host(NamedTuple):
    """A host by the name or the address that others reach it by; ``slots`` is how many ranks it has room for."""

    address: str
    slots: int


# A name as RFC 1123 and container networks have it; it begins with a letter or digit, so that no program takes it for an option.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?", re.ASCII)
# OpenMPI's second number is the most that it would start when it is asked for too many.
_LINE = re.compile(r"(\S+)\s+slots=([1-9][0-9]{0,5})(?:\s+max[_-]slots=([1-9][0-9]{0,5}))?", re.ASCII)
# What other programs write, in words that end the sentence "line 1 is ..., ".
_FORMS = (
    (re.compile(r"\S+@"), "which names a user: put the user into ~/.ssh/config"),
    (
        re.compile(r"\[[^\s\]]*\]:|[^\s:\[]+:[0-9]+(\s|$)"),
        "with a number behind the address, as MPICH and ssh write it",
    ),
    (re.compile(r"[^\s\[]+\[|[^\s,]+,"), "a list of hosts as Slurm and pdsh write it: give each host a line"),
    (re.compile(r"\S+$"), "which says no slots"),
)
_ENCODINGS = (
    *((mark, "UTF-32") for mark in (b"\xff\xfe\0\0", b"\0\0\xfe\xff")),
    *((mark, "UTF-16") for mark in (b"\xff\xfe", b"\xfe\xff")),
)


def here(devices):
    """Return this host, where there is no other."""
    return Host(LOOPBACK, devices)


def read(path, devices):
    """Return the hosts of a hostfile (see ``parse``), the first of them this one. All slots are used.

    Raises ``InputError`` for another number of slots than ``devices``.
    """
    found = parse(path)
    slots = sum(host.slots for host in found)
    if slots != devices:
        raise InputError(
            f"{path} has {slots} slot(s) on {len(found)} host(s); the request is for {devices} device(s)."
            " Change the hostfile, or make the request with other --devices."
        )
    return found


def parse(path: str) -> list[Host]:
    """Return the hosts of a hostfile in order: a line ``ADDRESS slots=N`` each; what follows a # is a comment.

    OpenMPI's ``max_slots=M`` may follow. An IPv6 address may stand in brackets. Raises ``InputError`` for a file that cannot be
    read, and for a line that is none of these, naming the form where another program's is known.
    """
    found: list[Host] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        host = _host(line)
        if host is None:
            form = next((f", {words}" for form, words in _FORMS if form.match(line)), "")
            raise InputError(
                f"{path}, line {number} is {printable(line, 80)!r}{form}; a host is written as: ADDRESS slots=8."
            )
        if host.address in [known.address for known in found]:
            raise InputError(f"{path}, line {number} names {host.address} again. Give each host one line.")
        found.append(host)
    return found


def _text(path: str) -> str:
    content = files.read_bytes(path, MAX_BYTES, InputError, "Check the hostfile.")
    # a zero byte is every second one of UTF-16, whether or not its mark stands before the text
    named = next(
        (name for mark, name in _ENCODINGS if content.startswith(mark)), "UTF-16" if b"\0" in content else None
    )
    try:
        if named is None:
            return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    told = f"it is not text in UTF-8{f', but in {named}' if named else ''}"
    raise InputError(f"{path} cannot be read: {told}. Save the hostfile as UTF-8.")


def _host(line: str) -> Host | None:
    """Return the host of a line; None for a line that is not of the form."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    address, slots, most = found[1], int(found[2]), found[3]
    bracketed = re.fullmatch(r"\[(.*:.*)\]", address)
    address = bracketed[1] if bracketed else address
    if not _is_address(address) or (most is not None and int(most) < slots):
        return None
    return Host(address, slots)


def _is_address(text: str) -> bool:
    if ":" not in text:
        return _NAME.fullmatch(text) is not None
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text  # pdsh puts a host's number where it reads %n


def write(found: list[Host], folder: str) -> str:
    """Write hosts to a file of a folder as DeepSpeed reads them, and return the path: it gets what was checked, and nothing else."""
    path = os.path.join(folder, "hostfile")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{host.address} slots={host.slots}\n" for host in found)
    return path


def pack(value):
    """Return a JSON value as one word that any shell hands on as it is."""
    return base64.urlsafe_b64encode(zlib.compress(strictjson.canonical(value))).decode()


def unpack(word):
    """Return what ``pack`` was given. Raises ``LaunchFailed`` if the word was changed on its way."""
    try:
        content = zlib.decompress(base64.urlsafe_b64decode(word))
    except (ValueError, zlib.error):
        raise LaunchFailed("What the launcher handed to this rank is not what the parent packed.") from None
    return strictjson.loads(content, "what the parent packed", LaunchFailed)
