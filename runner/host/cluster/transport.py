"""Make the connections to an API server: TLS with the authorities and certificates of a kubeconfig, and proxies as kubectl takes them.

Proxy rules: client-go's ``proxy-url``, else Go's net/http ProxyFromEnvironment (golang.org/x/net/http/httpproxy), which has
https_proxy, http_proxy and no_proxy in both cases, knows no all_proxy, and takes no proxy to this machine itself.
"""

from __future__ import annotations

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

from runner.contract import files, secrets
from runner.contract.errors import ClusterRefused
from runner.contract.text import printable
from runner.host.cluster import credentials
from runner.host.cluster.credentials import Credentials
from runner.host.cluster.kubeconfig import Target, no_kubeconfig

MOST_KEPT = 32
REFUSAL_BYTES = 1024 * 1024
_SOCKS = ("socks5", "socks5h", "socks4", "socks4a")


class Connections:
    """The connections to one server, as the ``kubernetes`` package asks for them. No redirection is followed: it would lead to a
    login page; and the body of a refusal, which the package reads whole, ends after ``REFUSAL_BYTES``."""

    def __init__(self, pool: urllib3.PoolManager, more_headers: tuple[tuple[str, str], ...] = ()) -> None:
        self._pool, self._more_headers = pool, more_headers

    def request(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        headers = urllib3.HTTPHeaderDict(options.pop("headers", None) or {})
        for name, value in self._more_headers:
            headers.add(name, value)
        response = self._pool.request(method, url, redirect=False, headers=headers, **options)
        if 200 <= response.status <= 299:
            return response
        try:
            body = response.read(REFUSAL_BYTES)
        finally:
            response.close()
        return urllib3.HTTPResponse(body, response.headers, response.status, reason=response.reason)

    def clear(self) -> None:
        self._pool.clear()


def connections(target: Target, given: Credentials) -> Connections:
    """Return the connections to a target's server. Raises ``ClusterRefused`` for certificates and proxies that cannot be used."""
    return Connections(_pool(target, given), credentials.impersonation(target))


def _pool(target: Target, given: Credentials) -> urllib3.PoolManager:
    server = urlsplit(target.server)
    options: dict[str, Any] = {"maxsize": MOST_KEPT, "retries": False, "ssl_context": _tls(target, given)}
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


def _tls(target: Target, given: Credentials) -> ssl.SSLContext:
    context = create_urllib3_context()
    cluster, where = target.cluster, target.where
    if cluster.get("insecure-skip-tls-verify") is True:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # whoever wrote the kubeconfig asked for it
    else:
        context.verify_mode = ssl.CERT_REQUIRED
        authority = _authority(target)
        try:
            if authority is None:
                context.load_default_certs()
            else:
                # As Go does it, and so kubectl: each certificate given is trusted, an intermediate or a server's own too, and
                # authorities that lack what RFC 5280 asks for serve, as those of many clusters do. Python differs, by version.
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
                context.verify_flags &= ~ssl.VERIFY_X509_STRICT
                context.load_verify_locations(cadata=authority)
        except (ssl.SSLError, ValueError, TypeError):
            raise no_kubeconfig(f"the certificate-authority of {where} is no certificate in PEM") from None
    if given.certificate and given.key:
        _load_pair(context, given.certificate, given.key, f"the user {target.user_name}")
    return context


def _authority(target: Target) -> str | None:
    data, path = target.cluster.get("certificate-authority-data"), target.cluster.get("certificate-authority")
    if data:
        raw = credentials.decoded(data, f"the certificate-authority-data of {target.where}")
    elif path:
        try:
            raw = files.read_bytes(path, credentials.MAX_FILE_BYTES, ClusterRefused, "")
        except ClusterRefused as problem:
            raise no_kubeconfig(f"the certificate-authority of {target.where}: {str(problem).rstrip('. ')}") from None
    else:
        return None
    return raw.decode("ascii", "ignore")  # bundles hold comments, with the names of authorities in any language


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes, who: str) -> None:
    """Load a client's certificate and key, which Python reads from files alone; the files are gone when this returns."""
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:
        certificates, keys = Path(folder, "certificate"), Path(folder, "key")
        certificates.write_bytes(certificate)
        keys.write_bytes(key)  # in a folder that only this user can enter
        try:
            context.load_cert_chain(certificates, keys, password="")
        except (ssl.SSLError, ValueError, OSError):
            raise no_kubeconfig(
                f"the client certificate and key of {who} are no pair in PEM, or the key is protected by a password"
            ) from None


# --- proxies ---


def proxy_for(target: Target) -> str | None:
    """Return the address of the proxy to a target's server, None where there is none.

    Raises ``ClusterRefused`` for one that cannot be used.
    """
    named = target.cluster.get("proxy-url")
    if named:
        return _usable(named, f"proxy-url of {target.where}")
    server = urlsplit(target.server)
    for variable in (f"{server.scheme}_proxy".upper(), f"{server.scheme}_proxy"):
        found = os.environ.get(variable)
        if found:
            bypassed = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
            return None if _bypassed(target.server, bypassed) else _usable(found, variable)
    return None


def _usable(proxy: str, where: str) -> str:
    completed = proxy.strip() if "://" in proxy else f"http://{proxy.strip()}"
    try:
        parts = urlsplit(completed)
        good = bool(parts.hostname) and parts.port != 0 and completed.isprintable() and " " not in completed
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.scheme not in ("http", "https", *_SOCKS):
        told = printable(secrets.mask(proxy), 100)
        raise no_kubeconfig(f"{where} is {told!r}, no address of an HTTP or SOCKS proxy")
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


def _bypassed(server: str, listed: str) -> bool:
    """Return whether no_proxy, or Go's own rule for this machine, takes a server's address out."""
    parts = urlsplit(server)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry.strip().lower(), host, port, address) for entry in listed.split(","))


def _matches(entry: str, host: str, port: int, address: Any) -> bool:
    if not entry or entry == "*":
        return bool(entry)
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    else:
        return address is not None and address in network
    name, colon, of_port = entry.rpartition(":")
    if entry.startswith("[") and entry.endswith("]"):
        return address is not None and entry[1:-1] == str(address)
    if colon and of_port.isdecimal() and not name.endswith(":"):
        if int(of_port) != port:
            return False
        entry = name.strip("[]")
        if address is not None:
            return entry == str(address)
    if entry.startswith("*."):
        entry = entry[1:]
    return host.endswith(entry) if entry.startswith(".") else host == entry or host.endswith(f".{entry}")
