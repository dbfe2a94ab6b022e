"""Run the credential plugin of a kubeconfig, and read its answer.

Plugins speak client.authentication.k8s.io (kubernetes.io/docs/reference/access-authn-authz/authentication, client-go credential
plugins). The ``kubernetes`` package's loader waits for a plugin without a limit, hides the plugin's output, and goes on as anonymous
where a plugin is missing. This module raises an error in each of these cases, with the plugin's name and output.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO

from runner.contract import files, secrets, signals, streams, strictjson
from runner.contract.errors import ClusterRefused
from runner.contract.records import Json, JsonObject
from runner.contract.text import printable
from runner.host.cluster.kubeconfig import MAX_FILE_BYTES, Target, checked_texts, no_kubeconfig, read_named_file

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
# How long a plugin may run at a terminal: a person may have to open a page and log in.
AT_A_TERMINAL_S = 600.0
# How long before their end a plugin's credentials are made anew.
EARLY_S = 10.0

# Of a plugin's output, as quoted in an error.
_QUOTED_CHARACTERS = 600
# Of a word on a plugin's standard output, as quoted in an error: a longer word may be a token.
_LONGEST_WORD_CHARACTERS = 40


@dataclass(frozen=True)
class Answer:
    """The credentials that a plugin gave: a token, a client certificate with its key (PEM), or both.

    ``plugin`` names the plugin in words; ``renew_at_s`` is the time at which to run the plugin again, in seconds since 1970, None
    where no end is known.
    """

    plugin: str
    token: str | None = field(repr=False)
    certificate: bytes | None
    key: bytes | None = field(repr=False)
    renew_at_s: float | None


def run(target: Target, timeout_s: float) -> Answer:
    """Run the credential plugin of a target's user, for at most ``timeout_s``, or ``AT_A_TERMINAL_S`` at a terminal.

    Raises ``ClusterRefused`` for a plugin that cannot be run, does not end in time, fails, or gives no credentials.
    """
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
    command = [plugin["command"], *checked_texts(plugin.get("args", []), f"the args of {name}")]
    answer, said = _output(
        command,
        {**os.environ, **_variables(plugin, name), "KUBERNETES_EXEC_INFO": _exec_info(target, plugin, interactive)},
        interactive,
        AT_A_TERMINAL_S if interactive else timeout_s,
        name,
        _hint(plugin),
    )
    return _parse_answer(answer, version, name, said)


def at_a_terminal() -> bool:
    """Return whether a person can read and answer questions of this process."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _variables(plugin: JsonObject, name: str) -> dict[str, str]:
    """Return the variables that a kubeconfig sets for a plugin."""
    listed = plugin.get("env", [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise no_kubeconfig(f"the env of {name} is no list of names and values")
    pairs = [(item.get("name"), item.get("value", "")) for item in listed]
    checked_texts([part for pair in pairs for part in pair], f"names and values of the env of {name}")
    if any(not key or "=" in key for key, _ in pairs):
        raise no_kubeconfig(f"the env of {name} has a name that no variable can have")
    return dict(pairs)


def _hint(plugin: JsonObject) -> str:
    """Return what the kubeconfig says about installing a plugin, as the end of a sentence."""
    hint = plugin.get("installHint")
    return (
        f"; its kubeconfig says: {printable(' '.join(hint.split()), 300).rstrip('. ')}" if isinstance(hint, str) else ""
    )


def _exec_info(target: Target, plugin: JsonObject, interactive: bool) -> str:
    """Return the ExecCredential that a plugin is asked with, as JSON."""
    spec: JsonObject = {"interactive": interactive}
    if plugin.get("provideClusterInfo") is True:
        cluster: JsonObject = {"server": target.server}
        for key in ("tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url"):
            if key in target.cluster:
                cluster[key] = target.cluster[key]
        if "certificate-authority-data" not in cluster and target.cluster.get("certificate-authority"):
            content = read_named_file(
                target.cluster["certificate-authority"], "the certificate-authority of the cluster: "
            )
            cluster["certificate-authority-data"] = base64.b64encode(content).decode()
        for extension in target.cluster.get("extensions") or []:
            if isinstance(extension, dict) and extension.get("name") == "client.authentication.k8s.io/exec":
                cluster["config"] = extension.get("extension")
        spec["cluster"] = cluster
    return json.dumps({"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec})


def _output(
    command: list[str], environment: dict[str, str], interactive: bool, limit_s: float, name: str, hint: str
) -> tuple[bytes, str]:
    """Run a plugin; return its standard output, and its other words as the end of a sentence.

    Standard output and error go to files: a process that the plugin leaves behind would hold a pipe open without an end.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command,
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=output,
                stderr=None if interactive else errors,
                env=environment,
                # in a session of its own the plugin and its children can be killed together; at a terminal it keeps the terminal
                start_new_session=not interactive,
            )
        except OSError as problem:
            raise no_kubeconfig(f"{name} cannot be run: {files.reason(problem)}{hint}") from None
        reason = ""
        terminal = streams.lent_terminal() if interactive else contextlib.nullcontext()
        with terminal, _killed_at_exit(process, whole_session=not interactive):
            reason = _wait(process, limit_s, (output, errors))
        if process.returncode and not reason:
            reason = f"ended with {_code(process.returncode)}"
        if reason:
            raise no_kubeconfig(f"{name} {reason}{_words(errors, output, interactive) or '; it said nothing'}")
        output.seek(0)
        return output.read(MAX_FILE_BYTES), _words(errors, output, interactive)


def _wait(process: subprocess.Popen[bytes], limit_s: float, outputs: tuple[IO[bytes], ...]) -> str:
    """Wait for the end of a plugin; return why the wait ended before, an empty text where the plugin ended by itself."""
    until_s, wait_s = time.monotonic() + limit_s, 0.01
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            process.wait(min(wait_s, left_s))
            return ""
        except subprocess.TimeoutExpired:
            wait_s = min(wait_s * 2, 0.2)
        if any(os.fstat(file.fileno()).st_size > MAX_FILE_BYTES for file in outputs):
            return f"printed more than {MAX_FILE_BYTES:,} bytes and was stopped"
    return f"did not end within {limit_s:g} s and was stopped"


@contextlib.contextmanager
def _killed_at_exit(process: subprocess.Popen[bytes], whole_session: bool) -> Iterator[None]:
    """Kill a plugin that still runs when the block ends; with ``whole_session`` its children too."""
    try:
        with signals.as_interrupt():
            yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.poll() is None:
                if whole_session:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
        process.wait()


def _code(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


def _words(errors: IO[bytes], output: IO[bytes], interactive: bool) -> str:
    """Return what a plugin said, as the end of a sentence: the last words of its standard error.

    Where standard error is empty, the last words of standard output are taken, if none of them looks like a part of credentials.
    """
    if interactive:
        return "; its words stand above"
    words, printed = _last_words(errors), _last_words(output).split()
    harmless = all(len(word) <= _LONGEST_WORD_CHARACTERS and "{" not in word for word in printed)
    if not words and len(printed) > 1 and harmless:
        words = " ".join(printed)
    return f"; it said: {printable(words, _QUOTED_CHARACTERS).rstrip('. ')}" if words else ""


def _last_words(file: IO[bytes]) -> str:
    # a character of UTF-8 has at most 4 bytes
    most_bytes = _QUOTED_CHARACTERS * 4
    file.seek(max(0, os.fstat(file.fileno()).st_size - most_bytes))
    return " ".join(file.read(most_bytes).decode("utf-8", "replace").split())[-_QUOTED_CHARACTERS:].strip()


def _parse_answer(raw: bytes, version: str, name: str, words: str) -> Answer:
    """Return the credentials in a plugin's output, an ExecCredential; ``words`` are the end of a sentence that quotes the plugin."""
    try:
        answer = strictjson.loads(raw, "its answer", ClusterRefused)
    except ClusterRefused:
        raise no_kubeconfig(f"{name} printed no JSON, or something beside it, and so no credentials{words}") from None
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential" or not isinstance(status, dict):
        raise no_kubeconfig(f"{name} printed no ExecCredential with a status, and so no credentials{words}")
    if answer.get("apiVersion") != version:
        answered_version = printable(str(answer.get("apiVersion")), 60)
        raise no_kubeconfig(f"{name} answered in {answered_version} and was asked in {version}")
    texts = {key: status.get(key) or "" for key in ("token", "clientCertificateData", "clientKeyData")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise no_kubeconfig(f"{name} gave a token or certificate that is no text")
    secrets.remember(texts["clientKeyData"])
    if not texts["token"] and not (texts["clientCertificateData"] and texts["clientKeyData"]):
        raise no_kubeconfig(f"{name} gave neither a token nor a certificate with its key{words}")
    return Answer(
        plugin=name,
        token=texts["token"].strip() if texts["token"] else None,
        certificate=texts["clientCertificateData"].encode() or None,
        key=texts["clientKeyData"].encode() or None,
        renew_at_s=_renew_at_s(status.get("expirationTimestamp"), name),
    )


def _renew_at_s(text: Json, name: str) -> float | None:
    """Return when a plugin's credentials are to be made anew, in seconds since 1970; None where they have no end."""
    if text is None:
        return None
    try:
        if not isinstance(text, str):
            raise TypeError
        # before Python 3.11 fromisoformat takes neither a Z nor every number of digits
        whole_seconds = re.sub(r"\.[0-9]+", "", text).replace("Z", "+00:00")
        return datetime.fromisoformat(whole_seconds).timestamp() - EARLY_S
    except (TypeError, ValueError, OverflowError):
        raise no_kubeconfig(
            f"{name} gave {printable(str(text), 60)!r} for the end of its credentials, which is no time"
        ) from None
