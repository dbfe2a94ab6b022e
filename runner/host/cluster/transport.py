"""Make the connections to an API server: TLS with the certificates of a kubeconfig, and the proxies that kubectl would use.

Proxy rules: client-go's ``proxy-url``, else Go's net/http ProxyFromEnvironment (golang.org/x/net/http/httpproxy), which has
https_proxy, http_proxy and no_proxy in both cases, knows no all_proxy, and takes no proxy to this machine itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from runner.contract import secrets
from runner.contract.text import printable
from runner.host.cluster import credentials
from runner.host.cluster.credentials import Credentials
from runner.host.cluster.kubeconfig import Target, no_kubeconfig, read_named_file

# The exceptions of a request, and of reading its answer, where the connection fails.
FAILURES: tuple[type[Exception], ...] = (urllib3.exceptions.HTTPError, OSError)
MAX_KEPT_CONNECTIONS = 32
# Of the body of a refusal, which the kubernetes package reads whole.
MAX_REFUSAL_BYTES = 1024 * 1024
_SOCKS = ("socks5", "socks5h", "socks4", "socks4a")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Connections:
    """The connections to one server, in the place of the ``kubernetes`` package's pool; ``extra_headers`` go with every request.

    No redirection is followed, for a redirection of an API server leads to a login page.
    """

    def __init__(self, pool: urllib3.PoolManager, extra_headers: tuple[tuple[str, str], ...] = ()) -> None:
        self._pool, self._extra_headers = pool, extra_headers

    def request(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Make a request as ``urllib3.PoolManager`` does; the body of a refusal ends after ``MAX_REFUSAL_BYTES``."""
        headers = urllib3.HTTPHeaderDict(options.pop("headers", None) or {})
        for name, value in self._extra_headers:
            headers.add(name, value)
        response = self._pool.request(method, url, redirect=False, headers=headers, **options)
        if 200 <= response.status <= 299:
            return response
        try:
            body = response.read(MAX_REFUSAL_BYTES)
        finally:
            response.close()
        return urllib3.HTTPResponse(body, response.headers, response.status, reason=response.reason)

    def clear(self) -> None:
        """Close all connections."""
        self._pool.clear()


def connections(target: Target, shown: Credentials) -> Connections:
    """Return the connections to a target's server. Raises ``ClusterRefused`` for certificates and proxies that cannot be used."""
    return Connections(_pool(target, shown), credentials.impersonation(target))


def _pool(target: Target, shown: Credentials) -> urllib3.PoolManager:
    server = urlsplit(target.server)
    options: dict[str, Any] = {"maxsize": MAX_KEPT_CONNECTIONS, "retries": False, "ssl_context": _tls(target, shown)}
    name = target.cluster.get("tls-server-name")
    if name:
        options |= {"server_hostname": name, "assert_hostname": name}
    proxy = proxy_for(target)
    if proxy is None:
        return urllib3.PoolManager(**options)
    try:
        if urlsplit(proxy).scheme in _SOCKS:
            from urllib3.contrib.socks import SOCKSProxyManager

            return SOCKSProxyManager(proxy, **options)
        return urllib3.ProxyManager(_without_user(proxy), proxy_headers=_proxy_headers(proxy), **options)
    except (urllib3.exceptions.HTTPError, ValueError) as problem:
        words = printable(" ".join(secrets.mask(str(problem)).split()), 200)
        raise no_kubeconfig(f"the proxy to {server.hostname} cannot be used: {words}") from None


# --- TLS ---


def _tls(target: Target, shown: Credentials) -> ssl.SSLContext:
    context = create_urllib3_context()
    cluster, where = target.cluster, target.where
    if cluster.get("insecure-skip-tls-verify") is True:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        # the kubeconfig asks for a connection without verification
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    else:
        context.verify_mode = ssl.CERT_REQUIRED
        authority = _authority(target)
        try:
            if authority is None:
                context.load_default_certs()
            else:
                # As Go does, and so kubectl. Every certificate of the authority is trusted, an intermediate and a server's own
                # certificate too. Authorities that lack what RFC 5280 asks for are accepted: many clusters have such authorities.
                # Python differs, by version.
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
                context.verify_flags &= ~ssl.VERIFY_X509_STRICT
                context.load_verify_locations(cadata=authority)
        except (ssl.SSLError, ValueError, TypeError):
            raise no_kubeconfig(f"the certificate-authority of {where} is no certificate in PEM") from None
    if shown.certificate and shown.key:
        _load_pair(context, shown.certificate, shown.key, f"the user {target.user_name}")
    return context


def _authority(target: Target) -> str | None:
    """Return the certificates of a target's authority in PEM, None where the kubeconfig names none."""
    data, path = target.cluster.get("certificate-authority-data"), target.cluster.get("certificate-authority")
    if data:
        raw = credentials.decoded(data, f"the certificate-authority-data of {target.where}")
    elif path:
        raw = read_named_file(path, f"the certificate-authority of {target.where}: ")
    else:
        return None
    # bundles hold comments, with the names of authorities in any language
    return raw.decode("ascii", "ignore")


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes, who: str) -> None:
    """Load a client's certificate and key. Python reads both from files only; the files are removed before this returns."""
    # only this user can enter the folder
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:
        certificate_path, key_path = Path(folder, "certificate"), Path(folder, "key")
        certificate_path.write_bytes(certificate)
        key_path.write_bytes(key)
        try:
            context.load_cert_chain(certificate_path, key_path, password="")
        except (ssl.SSLError, ValueError, OSError):
            raise no_kubeconfig(
                f"the client certificate and key of {who} are no pair in PEM, or the key is protected by a password"
            ) from None


# --- proxies ---


def proxy_for(target: Target) -> str | None:
    """Return the address of the proxy to a target's server, None where requests go to the server directly.

    Raises ``ClusterRefused`` for a proxy that cannot be used.
    """
    named = target.cluster.get("proxy-url")
    if named:
        return _usable(named, f"proxy-url of {target.where}")
    server = urlsplit(target.server)
    for variable in (f"{server.scheme}_proxy".upper(), f"{server.scheme}_proxy"):
        proxy = os.environ.get(variable)
        if proxy:
            no_proxy = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
            return None if _bypassed(target.server, no_proxy) else _usable(proxy, variable)
    return None


def _usable(proxy: str, where: str) -> str:
    """Return the address of a proxy with its scheme. Raises ``ClusterRefused`` for an address that no proxy can have."""
    completed = proxy.strip() if "://" in proxy else f"http://{proxy.strip()}"
    try:
        parts = urlsplit(completed)
        good = bool(parts.hostname) and parts.port != 0 and completed.isprintable() and " " not in completed
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.scheme not in ("http", "https", *_SOCKS):
        words = printable(secrets.mask(proxy), 100)
        raise no_kubeconfig(f"{where} is {words!r}, no address of an HTTP or SOCKS proxy")
    if parts.scheme in _SOCKS and importlib.util.find_spec("socks") is None:
        raise no_kubeconfig(
            f"{where} names a SOCKS proxy, and the package PySocks is not installed; `pip install PySocks` adds it, or name an HTTP"
            " proxy"
        )
    secrets.remember(unquote(parts.password or ""))
    return completed


def _without_user(proxy: str) -> str:
    parts = urlsplit(proxy)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _proxy_headers(proxy: str) -> dict[str, str] | None:
    user, at, _ = urlsplit(proxy).netloc.rpartition("@")
    return dict(urllib3.make_headers(proxy_basic_auth=unquote(user))) if at else None


def _bypassed(server: str, no_proxy: str) -> bool:
    """Return whether a server is reached without a proxy: ``no_proxy`` lists the server, or the server is on this machine."""
    parts = urlsplit(server)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address: _Address | None = None
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry.strip().lower(), host, port, address) for entry in no_proxy.split(","))


def _matches(entry: str, host: str, port: int, address: _Address | None) -> bool:
    """Return whether one entry of no_proxy matches a server; ``address`` is the host as an IP address, None for a name.

    An entry is ``*``, an address, a network, or a domain, each with a port or without.
    """
    if not entry or entry == "*":
        return bool(entry)
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    else:
        return address is not None and address in network
    name, colon, entry_port = entry.rpartition(":")
    if entry.startswith("[") and entry.endswith("]"):
        return address is not None and entry[1:-1] == str(address)
    if colon and entry_port.isdecimal() and not name.endswith(":"):
        if int(entry_port) != port:
            return False
        entry = name.strip("[]")
        if address is not None:
            return entry == str(address)
    if entry.startswith("*."):
        entry = entry[1:]
    return host.endswith(entry) if entry.startswith(".") else host == entry or host.endswith(f".{entry}")
