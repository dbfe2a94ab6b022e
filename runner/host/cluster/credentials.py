"""Turn a user of a kubeconfig into credentials: tokens, certificates, passwords, and what a credential plugin gives.

Plugins speak client.authentication.k8s.io (kubernetes.io/docs/reference/access-authn-authz/authentication, client-go credential
plugins). The ``kubernetes`` package's own loader waits for a plugin for ever, keeps its words to itself, and goes on as anonymous
where there is none; here each of these ends with the plugin's name and words.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

from runner.contract import file_kinds, files, secrets, signals, strictjson
from runner.contract.errors import ClusterRefused
from runner.contract.text import printable
from runner.host.cluster.kubeconfig import Target, no_kubeconfig

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
AT_A_TERMINAL_S = 600.0  # a person may have to open a page and log in
MAX_FILE_BYTES = 1024 * 1024  # of a token, certificate or key, and of what a plugin prints
TOKEN_FILE_S = 60.0  # a kubelet replaces a pod's token an hour before it ends; client-go reads it anew each minute
EARLY_S = 10.0  # before a plugin's credentials end

_TOKEN = re.compile(r"[\x21-\x7e]+")
_WORDS = 600  # characters of a plugin's own words that are told
_LONGEST_WORD = 40  # characters: what is longer may be a token


@dataclass(frozen=True)
class Credentials:
    """What a request shows: an ``Authorization`` header, a client certificate and its key (PEM), or none of them.

    ``renew_at_s`` is when they are to be made again, in seconds since 1970; None where they have no known end.
    """

    authorization: str | None = field(default=None, repr=False)
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    renew_at_s: float | None = None


def of(target: Target, patience_s: float) -> Credentials:
    """Return the credentials of a target's user. A plugin has ``patience_s`` seconds, and ``AT_A_TERMINAL_S`` at a terminal.

    Raises ``ClusterRefused`` for what cannot be read, is unknown, or gives nothing.
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
        given = _run(target, patience_s)
        return given if given.certificate else Credentials(given.authorization, *pair, given.renew_at_s)
    return Credentials(None, *pair)


def impersonation(target: Target) -> tuple[tuple[str, str], ...]:
    """Return the headers by which a user acts as another one (``as``, ``as-uid``, ``as-groups``, ``as-user-extra``)."""
    user, who = target.user, f"the user {target.user_name}"
    groups = _texts(user.get("as-groups", []), f"the as-groups of {who}")
    extra = user.get("as-user-extra", {})
    if not isinstance(extra, dict):
        raise no_kubeconfig(f"the as-user-extra of {who} is no mapping of names to lists of texts")
    headers = [("Impersonate-User", user.get("as", "")), ("Impersonate-Uid", user.get("as-uid", ""))]
    headers += [("Impersonate-Group", group) for group in groups]
    for key, values in extra.items():
        name = f"Impersonate-Extra-{urllib.parse.quote(key.lower(), safe='')}"
        headers += [(name, value) for value in _texts(values, f"the as-user-extra {printable(key, 60)} of {who}")]
    asked = tuple((name, value) for name, value in headers if value)
    if asked and not user.get("as"):
        raise no_kubeconfig(f"{who} names groups or more to act as, and no user: as is missing")
    if not all(value.isascii() and value.isprintable() for _, value in asked):
        raise no_kubeconfig(f"{who} acts as somebody with letters that no header can hold")
    return asked


# --- what stands in the kubeconfig, or in files that it names ---


def _content(user: dict[str, Any], name: str, who: str) -> bytes | None:
    data = user.get(f"{name}-data")
    if data:
        return decoded(data, f"the {name}-data of {who}")
    return _read(user[name], f"the {name}", who) if user.get(name) else None


def decoded(data: str, what: str) -> bytes:
    """Return what base64 in a kubeconfig holds."""
    try:
        return base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError):
        raise no_kubeconfig(f"{what} is no base64") from None


def _read(path: str, what: str, who: str) -> bytes:
    try:
        return files.read_bytes(path, MAX_FILE_BYTES, ClusterRefused, "")
    except ClusterRefused as problem:
        raise no_kubeconfig(f"{what} of {who}: {str(problem).rstrip('. ')}") from None


def _text(raw: bytes) -> str:
    """Return the text of a token file; a byte order mark is one of its editor's, and no part of the token."""
    return file_kinds.decoded(raw, "replace").strip()


def _bearer(token: str, where: str) -> str:
    if not token:
        raise no_kubeconfig(f"{where} is empty: a token should stand there")
    if not _TOKEN.fullmatch(token):
        raise no_kubeconfig(
            f"{where} holds no token: a token is letters, digits and marks, without a blank or a new line"
        )
    secrets.remember(token)
    return f"Bearer {token}"


def _provided(provider: Any, who: str) -> str:
    """Return the header of a provider that older kubeconfigs name in place of a plugin."""
    name = provider.get("name") if isinstance(provider, dict) else None
    if name != "oidc":
        raise no_kubeconfig(
            f"{who} logs in by the auth-provider {printable(str(name), 60)!r}, which Kubernetes has not had since 1.26; make the"
            " kubeconfig anew with the cloud's own command"
        )
    settings = provider.get("config")
    token = settings.get("id-token") if isinstance(settings, dict) else None
    if not isinstance(token, str) or not token:
        raise no_kubeconfig(f"{who} logs in by OIDC and has no id-token yet; `kubectl auth whoami` fetches one")
    ends_s = _end_of(token)
    if ends_s is not None and ends_s <= time.time():
        ended = datetime.fromtimestamp(ends_s).astimezone().isoformat(timespec="seconds")
        raise no_kubeconfig(f"the id-token of {who} ended at {ended}; `kubectl auth whoami` fetches a new one")
    return _bearer(token, f"the id-token of {who}")


def _end_of(token: str) -> float | None:
    """Return when a JSON Web Token ends, None where it does not say."""
    parts = token.split(".")
    try:
        told = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(told["exp"])
    except (IndexError, KeyError, TypeError, ValueError, RecursionError, OverflowError):
        return None


# --- plugins ---


def _run(target: Target, patience_s: float) -> Credentials:
    """Run the credential plugin of a user and return what it gives."""
    plugin = target.user["exec"]
    who = f"the user {target.user_name}"
    if not isinstance(plugin, dict) or not isinstance(plugin.get("command"), str) or not plugin["command"]:
        raise no_kubeconfig(f"the exec of {who} names no command")
    name = f"the credential plugin {printable(plugin['command'], 200)} of {who}"
    version = plugin.get("apiVersion")
    if version not in API_VERSIONS:
        raise no_kubeconfig(
            f"{name} is asked for {printable(str(version), 60)}, and kubectl knows {' and '.join(API_VERSIONS)}"
        )
    mode, terminal = plugin.get("interactiveMode", "IfAvailable"), at_a_terminal()
    if mode == "Always" and not terminal:
        raise no_kubeconfig(f"{name} asks for a terminal (interactiveMode Always), and there is none")
    interactive = terminal and mode != "Never"
    command = [plugin["command"], *_texts(plugin.get("args", []), f"the args of {name}")]
    raw, said = _printed(
        command,
        {**os.environ, **_variables(plugin, name), "KUBERNETES_EXEC_INFO": _asked(target, plugin, interactive)},
        interactive,
        AT_A_TERMINAL_S if interactive else patience_s,
        name,
        _hint(plugin),
    )
    return _given(raw, version, name, said)


def at_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _texts(values: Any, what: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(one, str) and "\0" not in one for one in values):
        raise no_kubeconfig(f"{what} are no list of texts; quote them")
    return values


def _variables(plugin: dict[str, Any], name: str) -> dict[str, str]:
    listed = plugin.get("env", [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise no_kubeconfig(f"the env of {name} is no list of names and values")
    pairs = [(one.get("name"), one.get("value", "")) for one in listed]
    _texts([part for pair in pairs for part in pair], f"names and values of the env of {name}")
    if any(not key or "=" in key for key, _ in pairs):
        raise no_kubeconfig(f"the env of {name} has a name that no variable can have")
    return dict(pairs)


def _hint(plugin: dict[str, Any]) -> str:
    hint = plugin.get("installHint")
    return (
        f"; its kubeconfig says: {printable(' '.join(hint.split()), 300).rstrip('. ')}" if isinstance(hint, str) else ""
    )


def _asked(target: Target, plugin: dict[str, Any], interactive: bool) -> str:
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.get("provideClusterInfo") is True:
        told: dict[str, Any] = {"server": target.server}
        for key in ("tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url"):
            if key in target.cluster:
                told[key] = target.cluster[key]
        if "certificate-authority-data" not in told and target.cluster.get("certificate-authority"):
            content = _read(target.cluster["certificate-authority"], "the certificate-authority", "the cluster")
            told["certificate-authority-data"] = base64.b64encode(content).decode()
        for one in target.cluster.get("extensions") or []:
            if isinstance(one, dict) and one.get("name") == "client.authentication.k8s.io/exec":
                told["config"] = one.get("extension")
        spec["cluster"] = told
    return json.dumps({"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec})


def _printed(
    command: list[str], environment: dict[str, str], interactive: bool, limit_s: float, name: str, hint: str
) -> tuple[bytes, str]:
    """Run a plugin and return its standard output, and in words what it said on standard error, unless that went to the terminal.

    Files take both: a process that the plugin leaves behind would hold a pipe open for ever.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command,
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=output,
                stderr=None if interactive else errors,
                env=environment,
                start_new_session=not interactive,  # so that all that it started can be ended; a terminal stays its own
            )
        except OSError as problem:
            raise no_kubeconfig(f"{name} cannot be run: {files.reason(problem)}{hint}") from None
        problem_words = ""
        with _ended(process, whole=not interactive):
            problem_words = _waited(process, limit_s, (output, errors))
        if process.returncode and not problem_words:
            problem_words = f"ended with {_code(process.returncode)}"
        if problem_words:
            raise no_kubeconfig(f"{name} {problem_words}{_words(errors, output, interactive) or '; it said nothing'}")
        output.seek(0)
        return output.read(MAX_FILE_BYTES), _words(errors, output, interactive)


def _waited(process: subprocess.Popen, limit_s: float, written: tuple[IO[bytes], ...]) -> str:
    """Wait for a plugin; return what keeps it from being waited for longer, nothing where it ended by itself."""
    until_s, wait_s = time.monotonic() + limit_s, 0.01
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            process.wait(min(wait_s, left_s))
            return ""
        except subprocess.TimeoutExpired:
            wait_s = min(wait_s * 2, 0.2)
        if any(os.fstat(one.fileno()).st_size > MAX_FILE_BYTES for one in written):
            return f"printed more than {MAX_FILE_BYTES:,} bytes and was stopped"
    return f"did not end within {limit_s:g} s and was stopped"


@contextlib.contextmanager
def _ended(process: subprocess.Popen, whole: bool) -> Iterator[None]:
    """End a plugin when the block ends, however it ends; the ``whole`` session with what the plugin started."""
    try:
        with signals.as_interrupt():
            yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL) if whole else process.kill()
        process.wait()


def _code(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


def _words(errors: IO[bytes], output: IO[bytes], interactive: bool) -> str:
    """Return what a plugin said: the end of standard error, else of standard output where that holds words and no credentials."""
    if interactive:
        return "; its words stand above"
    told, printed = _end_of_file(errors), _end_of_file(output).split()
    if not told and len(printed) > 1 and all(len(word) <= _LONGEST_WORD and "{" not in word for word in printed):
        told = " ".join(printed)
    return f"; it said: {printable(told, _WORDS).rstrip('. ')}" if told else ""


def _end_of_file(file: IO[bytes]) -> str:
    file.seek(max(0, os.fstat(file.fileno()).st_size - _WORDS * 4))
    return " ".join(file.read(_WORDS * 4).decode("utf-8", "replace").split())[-_WORDS:].strip()


def _given(raw: bytes, version: str, name: str, said: str) -> Credentials:
    """Return the credentials in a plugin's answer, an ExecCredential; ``said`` are its other words."""
    try:
        told = strictjson.loads(raw, "its answer", ClusterRefused)
    except ClusterRefused:
        raise no_kubeconfig(f"{name} printed no JSON, or something beside it, and so no credentials{said}") from None
    status = told.get("status") if isinstance(told, dict) else None
    if not isinstance(told, dict) or told.get("kind") != "ExecCredential" or not isinstance(status, dict):
        raise no_kubeconfig(f"{name} printed no ExecCredential with a status, and so no credentials{said}")
    if told.get("apiVersion") != version:
        other = printable(str(told.get("apiVersion")), 60)
        raise no_kubeconfig(f"{name} answered in {other} and was asked in {version}")
    texts = {key: status.get(key) or "" for key in ("token", "clientCertificateData", "clientKeyData")}
    if not all(isinstance(one, str) for one in texts.values()):
        raise no_kubeconfig(f"{name} gave a token or certificate that is no text")
    secrets.remember(texts["clientKeyData"])
    if not texts["token"] and not (texts["clientCertificateData"] and texts["clientKeyData"]):
        raise no_kubeconfig(f"{name} gave neither a token nor a certificate with its key{said}")
    return Credentials(
        _bearer(texts["token"].strip(), f"the token from {name}") if texts["token"] else None,
        texts["clientCertificateData"].encode() or None,
        texts["clientKeyData"].encode() or None,
        _end(status.get("expirationTimestamp"), name),
    )


def _end(text: Any, name: str) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(re.sub(r"\.[0-9]+", "", text).replace("Z", "+00:00")).timestamp() - EARLY_S
    except (TypeError, ValueError, OverflowError):
        raise no_kubeconfig(
            f"{name} gave {printable(str(text), 60)!r} for the end of its credentials, which is no time"
        ) from None
