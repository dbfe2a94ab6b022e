"""Ranks on several hosts: the hostfile that names them, and what a rank is told that shares no file with the parent."""

import base64
import re
import zlib
from collections import namedtuple

from runner.contract import strictjson
from runner.contract.errors import InputError, LaunchFailed

# slots: how many ranks the host has room for
Host = namedtuple("Host", "address slots")
LOOPBACK = "127.0.0.1"


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


def parse(path):
    """Return the hosts of a hostfile in order: a line ``ADDRESS slots=N`` each; lines that begin with # are comments.

    Raises ``InputError`` for a file that cannot be read, and for a line that is none of these.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as problem:
        told = getattr(problem, "strerror", None) or "it is not text"
        raise InputError(f"{path} cannot be read: {told}. Check the hostfile.") from None
    found: list = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9][\w.:-]*)\s+slots=([1-9][0-9]{0,5})", line)
        if match is None:
            raise InputError(f"{path}, line {number} is {line!r}; a host is written as: ADDRESS slots=8.")
        if match.group(1) in [host.address for host in found]:
            raise InputError(f"{path}, line {number} names {match.group(1)} again. Give each host one line.")
        found.append(Host(match.group(1), int(match.group(2))))
    return found


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
