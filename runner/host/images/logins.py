"""Find the login for a container registry, in the files and helpers that buildah, skopeo and docker read (containers-auth.json(5))."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import secrets
from runner.contract.records import JsonObject

MAX_BYTES = 1024 * 1024
# How long a helper that keeps logins may take.
HELPER_S = 4.0
# The registry of names without a registry has an older name in docker's file of logins.
DOCKER_HUB, _DOCKER_HUB_KEY = "docker.io", "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Login:
    """A login: the user's name, the header that says the same, and the file that it stands in."""

    user: str
    authorization: str = field(repr=False)
    file: Path


def login_of(repository: str) -> Login | None:
    """Return the login for a repository (``registry/team/name``), None where no file has one. The longest name that fits wins."""
    for file in _login_files():
        content = _json_of(file)
        names = [repository.rsplit("/", parts)[0] for parts in range(repository.count("/") + 1)]
        if repository.startswith(f"{DOCKER_HUB}/"):
            names.append(_DOCKER_HUB_KEY)
        registry = repository.partition("/")[0]
        for name in names:
            entry = _mapping(content, "auths").get(name)
            if isinstance(entry, dict) and (login := _decoded(entry.get("auth"), file)) is not None:
                return login
        helper = _mapping(content, "credHelpers").get(registry) or content.get("credsStore")
        if isinstance(helper, str) and (login := _of_helper(helper, names[-1], file)) is not None:
            return login
    return None


def json_object(raw: bytes) -> JsonObject:
    """Return the JSON object in some bytes, an empty one for other bytes."""
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _login_files() -> Iterator[Path]:
    named = os.environ.get("REGISTRY_AUTH_FILE")
    if named:
        yield Path(named)
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    yield Path(runtime, "containers", "auth.json") if runtime else Path(f"/run/containers/{os.getuid()}/auth.json")
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    yield Path(configuration, "containers", "auth.json")
    yield Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker", "config.json")


def _json_of(file: Path) -> JsonObject:
    try:
        return json_object(file.read_bytes()[:MAX_BYTES])
    except OSError:
        return {}


def _mapping(content: JsonObject, key: str) -> JsonObject:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _decoded(auth: object, file: Path) -> Login | None:
    if not isinstance(auth, str) or not auth:
        return None
    try:
        user, colon, password = base64.b64decode(auth).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return _login(user, password, file) if colon else None


def _of_helper(helper: str, name: str, file: Path) -> Login | None:
    """Return the login that a credential helper keeps (docker/docker-credential-helpers), None where the helper has none or fails."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", helper):
        return None
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"], input=name.encode(), capture_output=True, timeout=HELPER_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    kept = json_object(done.stdout) if done.returncode == 0 else {}
    user, password = kept.get("Username"), kept.get("Secret")
    return _login(user, password, file) if isinstance(user, str) and isinstance(password, str) else None


def _login(user: str, password: str, file: Path) -> Login:
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    for secret in (password, encoded):
        secrets.remember(secret)
    return Login(user, f"Basic {encoded}", file)
