"""Make credentials of a user of a kubeconfig: tokens, certificates, passwords, and the answer of a credential plugin."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
import urllib.parse
from dataclasses import dataclass, field
from datetime import datetime

from runner.contract import secrets
from runner.contract.records import Json, JsonObject
from runner.contract.text import printable
from runner.host.cluster import plugins
from runner.host.cluster.kubeconfig import Target, checked_texts, no_kubeconfig, read_named_file

# How long a token from a file is used. A kubelet replaces a pod's token an hour before its end; client-go reads the file each minute.
TOKEN_FILE_S = 60.0

_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Credentials:
    """The credentials of requests: an ``Authorization`` header, a client certificate and its key (PEM), or none of them.

    ``renew_at_s`` is the time at which the credentials are to be made anew, in seconds since 1970; None where no end is known.
    """

    authorization: str | None = field(default=None, repr=False)
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    renew_at_s: float | None = None


def of(target: Target, plugin_timeout_s: float) -> Credentials:
    """Return the credentials of a target's user. A plugin may run ``plugin_timeout_s``, or ``plugins.AT_A_TERMINAL_S`` at a terminal.

    Raises ``ClusterRefused`` for a file that cannot be read, a way to log in that is unknown, and a plugin that gives no credentials.
    """
    user, who = target.user, f"the user {target.user_name}"
    certificate = _content(user, "client-certificate", who)
    key = _content(user, "client-key", who)
    if (certificate is None) != (key is None):
        raise no_kubeconfig(f"{who} has a client certificate or its key, and not both")
    pair = (certificate, key)
    if user.get("tokenFile"):
        token = _read(user["tokenFile"], "the token file", who)
        return Credentials(_bearer(_text(token), user["tokenFile"]), *pair, time.time() + TOKEN_FILE_S)
    if user.get("token"):
        return Credentials(_bearer(user["token"], f"the token of {who}"), *pair)
    if user.get("username") or user.get("password"):
        text = f"{user.get('username', '')}:{user.get('password', '')}"
        basic = base64.b64encode(text.encode()).decode()
        secrets.remember(basic)
        return Credentials(f"Basic {basic}", *pair)
    if "auth-provider" in user:
        return Credentials(_provided(user["auth-provider"], who), *pair)
    if "exec" in user:
        answer = plugins.run(target, plugin_timeout_s)
        authorization = _bearer(answer.token, f"the token from {answer.plugin}") if answer.token else None
        if answer.certificate:
            pair = (answer.certificate, answer.key)
        return Credentials(authorization, *pair, answer.renew_at_s)
    return Credentials(None, *pair)


def impersonation(target: Target) -> tuple[tuple[str, str], ...]:
    """Return the headers by which a user acts as another user (``as``, ``as-uid``, ``as-groups``, ``as-user-extra``).

    Raises ``ClusterRefused`` for values that no header can hold.
    """
    user, who = target.user, f"the user {target.user_name}"
    groups = checked_texts(user.get("as-groups", []), f"the as-groups of {who}")
    extra = user.get("as-user-extra", {})
    if not isinstance(extra, dict):
        raise no_kubeconfig(f"the as-user-extra of {who} is no mapping of names to lists of texts")
    headers = [("Impersonate-User", user.get("as", "")), ("Impersonate-Uid", user.get("as-uid", ""))]
    headers += [("Impersonate-Group", group) for group in groups]
    for key, values in extra.items():
        name = f"Impersonate-Extra-{urllib.parse.quote(key.lower(), safe='')}"
        headers += [
            (name, value) for value in checked_texts(values, f"the as-user-extra {printable(key, 60)} of {who}")
        ]
    asked = tuple((name, value) for name, value in headers if value)
    if asked and not user.get("as"):
        raise no_kubeconfig(f"{who} names groups or more to act as, and no user: as is missing")
    if not all(value.isascii() and value.isprintable() for _, value in asked):
        raise no_kubeconfig(f"{who} acts as somebody with letters that no header can hold")
    return asked


# --- credentials in the kubeconfig, or in files that the kubeconfig names ---


def _content(user: JsonObject, name: str, who: str) -> bytes | None:
    """Return the content of a user's certificate or key, from the kubeconfig or from a file; None where the user has none."""
    data = user.get(f"{name}-data")
    if data:
        return decoded(data, f"the {name}-data of {who}")
    return _read(user[name], f"the {name}", who) if user.get(name) else None


def decoded(data: str, what: str) -> bytes:
    """Return the bytes of a base64 text in a kubeconfig. Raises ``ClusterRefused``, with the words of ``what``, for another text."""
    try:
        return base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError):
        raise no_kubeconfig(f"{what} is no base64") from None


def _read(path: str, what: str, who: str) -> bytes:
    return read_named_file(path, f"{what} of {who}: ")


def _text(raw: bytes) -> str:
    """Return the text of a token file. A byte order mark was added by an editor, and is no part of the token."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if raw.startswith(mark):
            return raw.decode(encoding, "replace").strip()
    return raw.decode("utf-8", "replace").strip()


def _bearer(token: str, where: str) -> str:
    """Return the header that shows a token, and remember the token as a secret; ``where`` begins the reason of an error."""
    if not token:
        raise no_kubeconfig(f"{where} is empty: a token should stand there")
    if not _TOKEN.fullmatch(token):
        raise no_kubeconfig(
            f"{where} holds no token: a token is letters, digits and marks, without a blank or a new line"
        )
    secrets.remember(token)
    return f"Bearer {token}"


def _provided(provider: Json, who: str) -> str:
    """Return the header of an auth-provider, which older kubeconfigs name in the place of a plugin."""
    name = provider.get("name") if isinstance(provider, dict) else None
    if name != "oidc":
        raise no_kubeconfig(
            f"{who} logs in by the auth-provider {printable(str(name), 60)!r}, which Kubernetes has not had since 1.26; make the"
            " kubeconfig anew with the cloud's own command"
        )
    settings = provider.get("config") if isinstance(provider, dict) else None
    token = settings.get("id-token") if isinstance(settings, dict) else None
    if not isinstance(token, str) or not token:
        raise no_kubeconfig(f"{who} logs in by OIDC and has no id-token yet; `kubectl auth whoami` fetches one")
    ends_s = _end_of(token)
    if ends_s is not None and ends_s <= time.time():
        ended = datetime.fromtimestamp(ends_s).astimezone().isoformat(timespec="seconds")
        raise no_kubeconfig(f"the id-token of {who} ended at {ended}; `kubectl auth whoami` fetches a new one")
    return _bearer(token, f"the id-token of {who}")


def _end_of(token: str) -> float | None:
    """Return the end of a JSON Web Token in seconds since 1970, None where the token names none."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, RecursionError, OverflowError):
        return None
