"""Find the user's package index: pip's settings, from its variables and files, for pip, for uv and for our own questions."""

from __future__ import annotations

import ast
import functools
import os
import sys

from runner.host.pins import programs

PIP = (sys.executable, "-m", "pip")
PYPI = "https://pypi.org/simple"


def index() -> str:
    """Return the address of the user's index, as pip knows it. The address may hold user and password."""
    return os.environ.get("PIP_INDEX_URL") or _settings().get("index-url") or PYPI


def more_indexes() -> tuple[str, ...]:
    """Return the addresses of the indexes that pip asks beside ``index()``."""
    addresses = os.environ.get("PIP_EXTRA_INDEX_URL")
    if addresses is None:
        addresses = "" if "PIP_INDEX_URL" in os.environ else _settings().get("extra-index-url", "")
    return tuple(addresses.split())


def uv_variables() -> dict[str, str]:
    """Return the variables by which uv asks the index that pip asks; none where the user named an index to uv, or none to pip."""
    address = os.environ.get("PIP_INDEX_URL") or _settings().get("index-url")
    named_to_uv = any(os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"))
    return {"UV_DEFAULT_INDEX": address} if address and not named_to_uv else {}


def certificate_variables() -> dict[str, str]:
    """Return the variable by which uv trusts the certificates that pip's settings name; none where the user named some to uv."""
    certificates = os.environ.get("PIP_CERT") or _settings().get("cert")
    return {"SSL_CERT_FILE": certificates} if certificates and not os.environ.get("SSL_CERT_FILE") else {}


def install_variables() -> dict[str, str]:
    """Return the variables by which uv installs from where pip would: indexes, folders of files, certificates, trusted hosts.

    pip takes the best version of all indexes, uv the first index that knows a package; the strategy among them is therefore pip's. What
    the user named to uv itself stays.
    """
    links, hosts = (
        os.environ.get(f"PIP_{name.upper().replace('-', '_')}") or _settings().get(name, "")
        for name in ("find-links", "trusted-host")
    )
    wanted = {
        "UV_INDEX": " ".join(more_indexes()),
        "UV_FIND_LINKS": ",".join(links.split()),
        "UV_INSECURE_HOST": " ".join(hosts.split()),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    given = {name: value for name, value in wanted.items() if value and not os.environ.get(name)}
    return {**uv_variables(), **certificate_variables(), **given}


def _settings() -> dict[str, str]:
    """Return pip's own settings, from its files and variables; pip lists the variables last, so the variables count."""
    return _settings_under(tuple(sorted(item for item in os.environ.items() if item[0].startswith("PIP_"))))


@functools.cache
def _settings_under(_variables: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Ask pip once for each set of its variables."""
    settings = {}
    for line in programs.run([*PIP, "config", "list"], "pip").decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        try:
            settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            continue
    return settings
