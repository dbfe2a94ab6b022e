"""Find, read and merge kubeconfig files as kubectl does, and say which cluster and which user they lead to.

Rules: client-go's tools/clientcmd (loader.go, client_config.go). Nothing is asked of the cluster here, and no plugin is run; what
the files hold for a secret is masked from then on wherever it would be written.
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
from runner.contract.text import printable
from runner.host.readers import kubeyaml

MOUNTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where a kubelet puts a pod's own credentials
_LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_PATHS = {
    "clusters": ("certificate-authority",),
    "users": ("client-certificate", "client-key", "tokenFile"),
}


@dataclass(frozen=True)
class Target:
    """One cluster and one user of it, as the files name them: ``cluster`` and ``user`` are their entries, paths made absolute.

    ``namespace`` is None where the context names none; ``where`` says in words where this stands.
    """

    server: str
    cluster: dict[str, Any]
    user: dict[str, Any] = field(repr=False)
    user_name: str
    namespace: str | None
    where: str


@dataclass(frozen=True)
class _Entry:
    """A named entry of a kubeconfig, and the file that it stands in."""

    content: dict[str, Any]
    file: Path


def find(given: str | os.PathLike[str] | None, context: str | None) -> Target:
    """Return what ``--kubeconfig`` and ``--context`` lead to: the file given, else those of $KUBECONFIG, else ~/.kube/config, else
    the credentials of the pod that this runs in.

    Raises ``NoCluster`` where none of these is there, and ``ClusterRefused`` for what cannot be used.
    """
    places, words = _places(given)
    merged, current = _merged(places, given is not None)
    if merged is not None:
        return _target(merged, context or current, words)
    if context:
        raise no_kubeconfig(f"there is none in {words}, and so no context {printable(context, 60)}", NoCluster)
    own = _of_this_pod()
    if own is None:
        raise no_kubeconfig(f"there is none in {words}, and this is no pod of a cluster", NoCluster)
    return own


class NoCluster(ClusterRefused):
    """No kubeconfig is there at all, and this is no pod."""


def no_kubeconfig(reason: str, kind: type[ClusterRefused] = ClusterRefused) -> ClusterRefused:
    """Return the error of a kubeconfig that cannot be used, for a reason without a full stop."""
    return kind(
        f"No kubeconfig can be used: {reason}. Name one with --kubeconfig or KUBECONFIG;"
        " `kubectl config get-contexts` shows what there is."
    )


def _places(given: str | os.PathLike[str] | None) -> tuple[list[Path], str]:
    """Return the files to read, and words for them."""
    if given is not None:
        return [Path(given).expanduser()], os.fspath(given)
    listed = os.environ.get("KUBECONFIG")
    if listed:
        found = list(dict.fromkeys(Path(one).expanduser() for one in listed.split(os.pathsep) if one))
        return found, f"KUBECONFIG ({printable(listed, 200)})"
    try:
        return [Path.home() / ".kube" / "config"], "~/.kube/config"
    except RuntimeError:  # no home is known
        return [], "~/.kube/config"


def _merged(places: list[Path], must_be_there: bool) -> tuple[dict[str, dict[str, _Entry]] | None, str]:
    """Return the entries of all files by list and name, the first of a name, and the first current context.

    The entries are None where no file is there, or none of them holds any.
    """
    merged: dict[str, dict[str, _Entry]] = {key: {} for key in _LISTS}
    current = ""
    for place in places:
        if not must_be_there and not os.path.lexists(place):
            continue
        content = _read(place)
        current = current or content.pop("current-context", "")
        for key in _LISTS:
            for name, entry in content.get(key, {}).items():
                merged[key].setdefault(name, _Entry(_absolute(entry, key, place), place))
    if not any(merged.values()):
        if must_be_there:
            raise no_kubeconfig(f"{places[0]} names no cluster")
        return None, ""
    return merged, current


def _read(place: Path) -> dict[str, Any]:
    """Return one file's ``current-context`` and entries by name."""
    try:
        raw = files.read_bytes(place, kubeyaml.MAX_BYTES, ClusterRefused, "")
    except ClusterRefused as problem:
        raise no_kubeconfig(str(problem).rstrip(". ")) from None
    try:
        found = [one for one in kubeyaml.documents(raw) if one is not None]
        if len(found) > 1:
            raise kubeyaml.NotKubernetes(f"it holds {len(found)} documents")
        content = found[0] if found else {}
        if not isinstance(content, dict):
            raise kubeyaml.NotKubernetes(f"it is {kubeyaml.kind_of(content)}")
        if content.get("kind", "Config") != "Config":
            raise kubeyaml.NotKubernetes(f"its kind is {kubeyaml.kind_of(content['kind'])} and not Config")
        current = content.get("current-context", "")
        if not isinstance(current, str):
            raise kubeyaml.NotKubernetes(f"its current-context is {kubeyaml.kind_of(current)}; quote it")
        return {"current-context": current, **{key: _entries(content, key) for key in _LISTS}}
    except kubeyaml.NotKubernetes as problem:
        raise no_kubeconfig(f"{place} is no kubeconfig: {problem}") from None


def _entries(content: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    listed = content.get(key, [])
    if not isinstance(listed, list):
        raise kubeyaml.NotKubernetes(f"its {key} are {kubeyaml.kind_of(listed)} and no list")
    found: dict[str, dict[str, Any]] = {}
    for one in listed:
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str):
            raise kubeyaml.NotKubernetes(f"one of its {key} has no name that is text")
        entry = one.get(_LISTS[key], {})
        if not isinstance(entry, dict):
            raise kubeyaml.NotKubernetes(
                f"the {_LISTS[key]} of {printable(name, 60)} is {kubeyaml.kind_of(entry)} and no mapping"
            )
        if name in found:
            raise kubeyaml.NotKubernetes(f"two of its {key} are called {printable(name, 60)}")
        found[name] = entry
    return found


def _absolute(entry: dict[str, Any], key: str, place: Path) -> dict[str, Any]:
    """Return an entry with its paths made absolute: they are relative to the file that they stand in."""
    folder = place.absolute().parent
    made = dict(entry)
    for name in _PATHS.get(key, ()):
        if isinstance(made.get(name), str) and made[name]:
            made[name] = str(folder / made[name])
    plugin = made.get("exec")
    if isinstance(plugin, dict) and "/" in str(plugin.get("command", "")):  # others are looked for on the path
        made["exec"] = {**plugin, "command": str(folder / str(plugin["command"]))}
    return made


def _target(merged: dict[str, dict[str, _Entry]], context: str, words: str) -> Target:
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
    if user is None and user_name:  # without a user's name kubectl goes on without credentials
        raise no_kubeconfig(f"{where} names the user {printable(user_name, 60)}, who is in no file")
    of_cluster = f"the cluster {printable(cluster_name, 60)} of {cluster.file}"
    _check_texts(cluster.content, ("server", *_CLUSTER_TEXTS), of_cluster)
    _check_insecure(cluster.content, of_cluster)
    own = user.content if user else {}
    if user:
        _check_texts(own, _USER_TEXTS, f"the user {printable(user_name, 60)} of {user.file}")
    _remember(own)
    return Target(
        server=_server(cluster, of_cluster),
        cluster=cluster.content,
        user=own,
        user_name=printable(user_name, 60),
        namespace=_namespace(chosen.content.get("namespace"), where),
        where=where,
    )


_LEFT_OUT = ("REDACTED", "DATA+OMITTED")
_CLUSTER_TEXTS = ("certificate-authority", "certificate-authority-data", "tls-server-name", "proxy-url")
_USER_TEXTS = (
    *("token", "tokenFile", "username", "password"),
    *("client-certificate", "client-certificate-data", "client-key", "client-key-data"),
    *("as", "as-uid"),
)


def _check_texts(entry: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in keys:
        if not isinstance(entry.get(key, ""), str):
            raise no_kubeconfig(f"the {key} of {where} is {kubeyaml.kind_of(entry[key])} and no text; quote it")
        if entry.get(key) in _LEFT_OUT:
            raise no_kubeconfig(
                f"the {key} of {where} is {entry[key]}: `kubectl config view` left it out. `kubectl config view --raw --flatten` does not"
            )


def _check_insecure(cluster: dict[str, Any], where: str) -> None:
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
    if "://" not in server:  # as client-go completes it
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


def _remember(user: dict[str, Any]) -> None:
    """Mask what a user's entry holds for a secret, wherever it would be written from now on."""
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
        _remember_named(part)


def _remember_named(value: Any) -> None:
    """Mask the texts that stand under the name of a secret in an entry of a plugin."""
    if isinstance(value, dict):
        for key, one in value.items():
            if isinstance(one, str) and (secrets.is_secret_name(key) or secrets.is_secret_name(str(value.get("name")))):
                secrets.remember(one)
            _remember_named(one)
    elif isinstance(value, list):
        for one in value:
            _remember_named(one)


def _of_this_pod() -> Target | None:
    """Return what leads from a pod to its own cluster, None where this is no pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port or not (MOUNTED / "token").exists():
        return None
    namespace = MOUNTED / "namespace"
    named = ""
    if namespace.exists():
        try:
            named = files.read_bytes(namespace, 1000, ClusterRefused, "").decode("utf-8", "replace").strip()
        except ClusterRefused as problem:
            raise no_kubeconfig(str(problem).rstrip(". ")) from None
    cluster = {"certificate-authority": str(MOUNTED / "ca.crt")}
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Target(
        server=server,
        cluster=cluster,
        user={"tokenFile": str(MOUNTED / "token")},
        user_name="of this pod",
        namespace=_namespace(named, f"{namespace}"),
        where=f"the pod's own credentials in {MOUNTED}",
    )
