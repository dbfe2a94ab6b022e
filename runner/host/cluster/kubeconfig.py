"""Find, read and merge kubeconfig files as kubectl does, and return the cluster and the user that they lead to.

Rules: client-go's tools/clientcmd (loader.go, client_config.go). This module asks nothing of the cluster and runs no plugin. The
secrets in the files are remembered, so that they are masked wherever they would be written.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner.contract import files, patterns, secrets
from runner.contract.errors import ClusterRefused
from runner.contract.records import Json, JsonObject
from runner.contract.text import printable
from runner.host.readers import kubeyaml

# Where a kubelet puts a pod's own credentials.
MOUNTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Of a token, certificate or key, and of the output of a plugin.
MAX_FILE_BYTES = 1024 * 1024
# The lists of a kubeconfig, and the key that holds the content of their entries.
_LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
# The keys of an entry that hold a path, by list.
_PATHS = {
    "clusters": ("certificate-authority",),
    "users": ("client-certificate", "client-key", "tokenFile"),
}


@dataclass(frozen=True)
class Target:
    """One cluster and one user, as the files name them.

    ``cluster`` and ``user`` are the entries of the files, their paths made absolute; ``namespace`` is None where the context names
    none; ``where`` names in words the place in the files.
    """

    server: str
    cluster: JsonObject
    user: JsonObject = field(repr=False)
    user_name: str
    namespace: str | None
    where: str


@dataclass(frozen=True)
class _Entry:
    """A named entry of a kubeconfig, and the file that holds the entry."""

    content: JsonObject
    file: Path


def find(given: str | os.PathLike[str] | None, context: str | None) -> Target:
    """Return the target of ``--kubeconfig`` and ``--context``.

    The target is that of the file ``given``, else of the files of $KUBECONFIG, else of ~/.kube/config, else of the credentials of
    the pod that this process runs in.

    Raises ``NoCluster`` where none of them exists, and ``ClusterRefused`` for a kubeconfig that cannot be used.
    """
    paths, words = _paths(given)
    merged, current = _merged(paths, given is not None)
    if merged is not None:
        return _target(merged, context or current, words)
    if context:
        raise no_kubeconfig(f"there is none in {words}, and so no context {printable(context, 60)}", NoCluster)
    target = _of_this_pod()
    if target is None:
        raise no_kubeconfig(f"there is none in {words}, and this is no pod of a cluster", NoCluster)
    return target


class NoCluster(ClusterRefused):
    """No kubeconfig exists, and this process runs in no pod."""


def no_kubeconfig(reason: str, kind: type[ClusterRefused] = ClusterRefused) -> ClusterRefused:
    """Return the error of a kubeconfig that cannot be used, for a reason without a full stop."""
    return kind(
        f"No kubeconfig can be used: {reason}. Name one with --kubeconfig or KUBECONFIG;"
        " `kubectl config get-contexts` shows what there is."
    )


def read_named_file(path: str | os.PathLike[str], words: str = "", max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of a kubeconfig, or of a file that a kubeconfig names; ``words`` begin the reason of an error.

    Raises ``ClusterRefused`` for a file that cannot be read, is no regular file, or has more than ``max_bytes`` bytes.
    """
    try:
        return files.read_bytes(path, max_bytes, ClusterRefused, "")
    except ClusterRefused as problem:
        raise no_kubeconfig(f"{words}{str(problem).rstrip('. ')}") from None


def checked_texts(values: Json, what: str) -> list[str]:
    """Return a list of texts. Raises ``ClusterRefused``, with the words of ``what``, for any other value."""
    if not isinstance(values, list) or not all(isinstance(text, str) and "\0" not in text for text in values):
        raise no_kubeconfig(f"{what} are no list of texts; quote them")
    return values


def _paths(given: str | os.PathLike[str] | None) -> tuple[list[Path], str]:
    """Return the files to read, and words for them."""
    if given is not None:
        return [Path(given).expanduser()], os.fspath(given)
    listed = os.environ.get("KUBECONFIG")
    if listed:
        paths = list(dict.fromkeys(Path(path).expanduser() for path in listed.split(os.pathsep) if path))
        return paths, f"KUBECONFIG ({printable(listed, 200)})"
    try:
        return [Path.home() / ".kube" / "config"], "~/.kube/config"
    except RuntimeError:
        # this user has no home that Python knows
        return [], "~/.kube/config"


def _merged(paths: list[Path], must_exist: bool) -> tuple[dict[str, dict[str, _Entry]] | None, str]:
    """Return the entries of all files by list and name, and the current context; the first file that has a value decides.

    The entries are None where no file exists, or no file holds entries.
    """
    merged: dict[str, dict[str, _Entry]] = {key: {} for key in _LISTS}
    current = ""
    for path in paths:
        if not must_exist and not os.path.lexists(path):
            continue
        content = _read(path)
        current = current or content.pop("current-context", "")
        for key in _LISTS:
            for name, entry in content.get(key, {}).items():
                merged[key].setdefault(name, _Entry(_absolute(entry, key, path), path))
    if not any(merged.values()):
        if must_exist:
            raise no_kubeconfig(f"{paths[0]} names no cluster")
        return None, ""
    return merged, current


def _read(path: Path) -> dict[str, Any]:
    """Return the ``current-context`` of one file, a text, and under the name of each list its entries by name."""
    raw = read_named_file(path, max_bytes=kubeyaml.MAX_BYTES)
    try:
        documents = [document for document in kubeyaml.documents(raw) if document is not None]
        if len(documents) > 1:
            raise kubeyaml.NotKubernetes(f"it holds {len(documents)} documents")
        content = documents[0] if documents else {}
        if not isinstance(content, dict):
            raise kubeyaml.NotKubernetes(f"it is {kubeyaml.kind_of(content)}")
        if content.get("kind", "Config") != "Config":
            raise kubeyaml.NotKubernetes(f"its kind is {kubeyaml.kind_of(content['kind'])} and not Config")
        current = content.get("current-context", "")
        if not isinstance(current, str):
            raise kubeyaml.NotKubernetes(f"its current-context is {kubeyaml.kind_of(current)}; quote it")
        return {"current-context": current, **{key: _entries(content, key) for key in _LISTS}}
    except kubeyaml.NotKubernetes as problem:
        raise no_kubeconfig(f"{path} is no kubeconfig: {problem}") from None


def _entries(content: JsonObject, key: str) -> dict[str, JsonObject]:
    """Return the entries of one list of a kubeconfig, by name. Raises ``NotKubernetes`` for any other value."""
    listed = content.get(key, [])
    if not isinstance(listed, list):
        raise kubeyaml.NotKubernetes(f"its {key} are {kubeyaml.kind_of(listed)} and no list")
    entries: dict[str, JsonObject] = {}
    for item in listed:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise kubeyaml.NotKubernetes(f"one of its {key} has no name that is text")
        entry = item.get(_LISTS[key], {})
        if not isinstance(entry, dict):
            raise kubeyaml.NotKubernetes(
                f"the {_LISTS[key]} of {printable(name, 60)} is {kubeyaml.kind_of(entry)} and no mapping"
            )
        if name in entries:
            raise kubeyaml.NotKubernetes(f"two of its {key} are called {printable(name, 60)}")
        entries[name] = entry
    return entries


def _absolute(entry: JsonObject, key: str, path: Path) -> JsonObject:
    """Return an entry with its paths made absolute: the paths are relative to the folder of the kubeconfig."""
    folder = path.absolute().parent
    absolute = dict(entry)
    for name in _PATHS.get(key, ()):
        if isinstance(absolute.get(name), str) and absolute[name]:
            absolute[name] = str(folder / absolute[name])
    plugin = absolute.get("exec")
    # a command without a slash is looked for on the path
    if isinstance(plugin, dict) and "/" in str(plugin.get("command", "")):
        absolute["exec"] = {**plugin, "command": str(folder / str(plugin["command"]))}
    return absolute


def _target(merged: dict[str, dict[str, _Entry]], context: str, words: str) -> Target:
    """Return the target of a context; ``words`` name the files. Raises ``ClusterRefused`` for entries that cannot be used."""
    contexts = ", ".join(printable(name, 60) for name in sorted(merged["contexts"])) or "none"
    if not context:
        raise no_kubeconfig(f"{words} sets no current context; name one with --context: {contexts}")
    chosen = merged["contexts"].get(context)
    if chosen is None:
        raise no_kubeconfig(f"{words} has no context {printable(context, 60)}; there are: {contexts}")
    where = f"the context {printable(context, 60)} of {chosen.file}"
    _check_texts(chosen.content, ("cluster", "user", "namespace"), where)
    cluster_name, user_name = chosen.content.get("cluster", ""), chosen.content.get("user", "")
    cluster, user = merged["clusters"].get(cluster_name), merged["users"].get(user_name)
    if cluster is None:
        raise no_kubeconfig(f"{where} names the cluster {printable(cluster_name, 60)!r}, which is in no file")
    # a context without a user's name makes kubectl go on without credentials
    if user is None and user_name:
        raise no_kubeconfig(f"{where} names the user {printable(user_name, 60)}, who is in no file")
    cluster_words = f"the cluster {printable(cluster_name, 60)} of {cluster.file}"
    _check_texts(cluster.content, ("server", *_CLUSTER_TEXTS), cluster_words)
    _check_insecure(cluster.content, cluster_words)
    user_entry = user.content if user else {}
    if user:
        _check_texts(user_entry, _USER_TEXTS, f"the user {printable(user_name, 60)} of {user.file}")
    _remember_secrets(user_entry)
    return Target(
        server=_server(cluster, cluster_words),
        cluster=cluster.content,
        user=user_entry,
        user_name=printable(user_name, 60),
        namespace=_namespace(chosen.content.get("namespace"), where),
        where=where,
    )


# What `kubectl config view` writes in the place of a secret.
_LEFT_OUT = ("REDACTED", "DATA+OMITTED")
_CLUSTER_TEXTS = ("certificate-authority", "certificate-authority-data", "tls-server-name", "proxy-url")
_USER_TEXTS = (
    *("token", "tokenFile", "username", "password"),
    *("client-certificate", "client-certificate-data", "client-key", "client-key-data"),
    *("as", "as-uid"),
)


def _check_texts(entry: JsonObject, keys: tuple[str, ...], where: str) -> None:
    for key in keys:
        if not isinstance(entry.get(key, ""), str):
            raise no_kubeconfig(f"the {key} of {where} is {kubeyaml.kind_of(entry[key])} and no text; quote it")
        if entry.get(key) in _LEFT_OUT:
            raise no_kubeconfig(
                f"the {key} of {where} is {entry[key]}: `kubectl config view` left it out. `kubectl config view --raw --flatten` does not"
            )


def _check_insecure(cluster: JsonObject, where: str) -> None:
    insecure = cluster.get("insecure-skip-tls-verify", False)
    if not isinstance(insecure, bool):
        raise no_kubeconfig(
            f"the insecure-skip-tls-verify of {where} is {kubeyaml.kind_of(insecure)}; write true or false, without quotes"
        )
    if insecure and any(cluster.get(key) for key in ("certificate-authority", "certificate-authority-data")):
        raise no_kubeconfig(
            f"{where} has a certificate-authority, and insecure-skip-tls-verify says not to ask for it; remove one of them, as"
            " kubectl asks too"
        )


def _server(cluster: _Entry, where: str) -> str:
    server = cluster.content.get("server", "").strip()
    if not server:
        raise no_kubeconfig(f"{cluster.file} is no kubeconfig: {where} names no server")
    # client-go completes an address without a scheme in this way
    if "://" not in server:
        secured = any(key in cluster.content for key in ("insecure-skip-tls-verify", *_CLUSTER_TEXTS[:3]))
        server = f"{'https' if secured else 'http'}://{server}"
    if not _is_address(server):
        raise no_kubeconfig(f"the server of {where} is {printable(server, 100)!r}, no address with http or https")
    return server.rstrip("/")


def _is_address(server: str) -> bool:
    if not server.isascii() or not server.isprintable() or " " in server:
        return False
    try:
        parts = urlsplit(server)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _namespace(name: str | None, where: str) -> str | None:
    if not name:
        return None
    if not patterns.DNS_LABEL.fullmatch(name):
        raise no_kubeconfig(f"the namespace of {where} is {printable(name, 80)!r}, no name of a namespace")
    return name


def _remember_secrets(user: JsonObject) -> None:
    """Remember the secrets in a user's entry, so that they are masked from now on."""
    for key in ("token", "password", "client-key-data"):
        secrets.remember(user.get(key))
    if user.get("client-key-data"):
        try:
            key = base64.b64decode(user["client-key-data"]).decode("ascii")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            key = ""
        for line in key.splitlines()[1:-1]:
            secrets.remember(line)
    for part in (user.get("exec"), user.get("auth-provider")):
        _remember_named_secrets(part)


def _remember_named_secrets(value: Json) -> None:
    """Remember the texts in an entry of a plugin that stand under the name of a secret."""
    if isinstance(value, dict):
        for key, member in value.items():
            secret = secrets.is_secret_name(key) or secrets.is_secret_name(str(value.get("name")))
            if secret and isinstance(member, str):
                secrets.remember(member)
            _remember_named_secrets(member)
    elif isinstance(value, list):
        for item in value:
            _remember_named_secrets(item)


def _of_this_pod() -> Target | None:
    """Return the target that a pod's own credentials lead to, None where this process runs in no pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port or not (MOUNTED / "token").exists():
        return None
    namespace_file = MOUNTED / "namespace"
    namespace = ""
    if namespace_file.exists():
        namespace = read_named_file(namespace_file, max_bytes=1000).decode("utf-8", "replace").strip()
    cluster = {"certificate-authority": str(MOUNTED / "ca.crt")}
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Target(
        server=server,
        cluster=cluster,
        user={"tokenFile": str(MOUNTED / "token")},
        user_name="of this pod",
        namespace=_namespace(namespace, str(namespace_file)),
        where=f"the pod's own credentials in {MOUNTED}",
    )
