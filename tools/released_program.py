"""Fetch a program that versions.lock pins as its authors release it (``binaries``), and compare it with its sha256."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from runner.contract.errors import InputError, Unreachable, Unsupported
from runner.contract.text import first_line
from runner.host.readers import lockfile
from runner.host.readers.lockfile import PinnedBinary

FETCH_S = 60.0
# The largest today, a scanner in its archive, has 90 MB.
MAX_BYTES = 400 * 1024 * 1024


def fetched(name: str, folder: Path, fetch: Callable[[str], bytes] | None = None) -> Path:
    """Return the path of a pinned program below ``folder``, where it stays for the next call; ``fetch`` reads an address.

    Raises ``UnresolvedPin``, ``Unsupported`` on another machine than Linux on x86-64, ``Unreachable``, and ``InputError`` for another file
    than the pinned one.
    """
    pin = lockfile.read().binaries.get(name)
    if pin is None:
        raise InputError(f"versions.lock pins no program {name} (binaries). Restore it with `git checkout`.")
    sha256 = lockfile.need(pin.sha256, f"the sha256 of {name} (binaries)")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Unsupported(f"versions.lock pins {name} for Linux on x86-64 alone. Run this step on such a machine.")
    path = folder / f"{name}-{pin.version}-{sha256[:12]}"
    if not path.exists():
        raw = (fetch or _fetch)(pin.url)
        found = hashlib.sha256(raw).hexdigest()
        if found != sha256:
            raise InputError(
                f"{pin.url} is not the file that versions.lock pins: its sha256 is {found}. Do not run it; find out why."
            )
        _keep(_program(name, pin, raw), path)
    return path


def _program(name: str, pin: PinnedBinary, raw: bytes) -> bytes:
    """Return the bytes of the program: the file itself, or the member of its name in an archive."""
    if not pin.url.endswith((".tar.gz", ".tgz")):
        return raw
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as archive:
        for member in archive:
            if member.name == name and member.isreg() and member.size <= MAX_BYTES:
                file = archive.extractfile(member)
                assert file is not None
                return file.read()
    raise InputError(f"{pin.url} holds no program {name}. Pin another file in versions.lock.")


def _keep(program: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, made = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(program)
    Path(made).chmod(0o755)
    Path(made).replace(path)


def _fetch(url: str) -> bytes:
    """Return what lies at an address of https. A redirection may lead elsewhere, as releases do; the sha256 decides."""
    try:
        with urllib.request.urlopen(url, timeout=FETCH_S) as answer:  # noqa: S310 - the lock takes https alone
            raw: bytes = answer.read(MAX_BYTES + 1)
    except (OSError, urllib.error.URLError) as problem:
        raise Unreachable(
            f"{url} could not be fetched: {first_line(problem)}. Try again where the network reaches it."
        ) from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"{url} has more than {MAX_BYTES} bytes. Pin another file in versions.lock.")
    return raw
