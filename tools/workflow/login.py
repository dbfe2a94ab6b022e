"""Write the file of a registry's login that buildah, podman and cosign read (containers-auth.json(5)), for its owner alone."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

from runner.contract import secrets
from runner.contract.errors import UsageError


def write(path: Path, registry: str, user: str, environment: Mapping[str, str]) -> None:
    """Write the login of ``user`` at a registry, with GITHUB_TOKEN as password. Raises ``UsageError`` without a token."""
    token = environment.get("GITHUB_TOKEN", "")
    if not token:
        raise UsageError(
            "GITHUB_TOKEN is empty. Give the step the job's token: env: GITHUB_TOKEN: ${{ github.token }}."
        )
    secrets.remember(token)
    auth = base64.b64encode(f"{user}:{token}".encode()).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"auths": {registry: {"auth": auth}}}, file)
