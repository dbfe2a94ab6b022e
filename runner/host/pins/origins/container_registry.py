"""Ask container registries for the digests of images, through skopeo: the user's logins and mirrors hold."""

from __future__ import annotations

import re
import shutil

from runner.contract import patterns
from runner.contract.errors import InputError, Unreachable
from runner.host.pins import programs, silence
from runner.host.pins.answers import json_of, of_form
from runner.host.pins.programs import LOGIN, TIMEOUT_S, Meaning

_MEANINGS = (
    Meaning(
        re.compile(r"unauthorized|authentication required|access to the resource is denied|denied:|status 40[13]"),
        Unreachable,
        LOGIN,
    ),
    Meaning(
        re.compile(r"invalid character|unexpected end of JSON|cannot unmarshal"), Unreachable, "its answer is broken"
    ),
)
_NO_SUCH_IMAGE = re.compile(r"manifest unknown|name unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN")


def image_digest(repository: str, tag: str) -> str | None:
    """Return the digest that a registry has for a tag; None where the registry has no such tag. Raises ``Unreachable``."""
    raw = manifest(f"{repository}:{tag}")
    return None if raw is None else _digest(raw)


def platform_digest(repository: str, digest: str) -> str | None:
    """Return the digest of the linux/amd64 manifest in an image; the image's own digest where it is for one platform.

    None where the registry has no such digest. Raises ``InputError`` where the image's list has no linux/amd64, ``Unreachable``.
    """
    what = f"the registry, for {repository}@{digest}"
    raw = manifest(f"{repository}@{digest}")
    if raw is None:
        return None
    if _digest(raw) != digest:
        raise Unreachable(f"{what}: it sent another manifest")
    answer = json_of(raw, what)
    if not isinstance(answer, dict):
        raise Unreachable(f"{what}: its answer is no manifest")
    manifests = answer.get("manifests")
    if manifests is None:
        return digest
    for entry in manifests if isinstance(manifests, list) else ():
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            return of_form(patterns.LOCKED_DIGEST, entry.get("digest"), what)
    raise InputError(f"{repository}@{digest} has no image for linux/amd64. Pin another one in versions.lock.")


def manifest(reference: str) -> bytes | None:
    """Return the bytes of a manifest as the registry holds it; None where the registry has none. Raises ``Unreachable``."""
    what = f"the registry, for {reference}"
    if shutil.which("skopeo") is None:
        raise Unreachable(f"{what}: skopeo is not installed (apt-get install skopeo)")
    try:
        with silence.asking(reference.partition("/")[0]) as first_s:
            limit = f"--command-timeout={first_s or TIMEOUT_S:g}s"
            command = ["skopeo", "inspect", "--raw", limit, "--", f"docker://{reference}"]
            return programs.run(command, what, meanings=_MEANINGS)
    except programs.ProgramFailed as problem:
        if _NO_SUCH_IMAGE.search(problem.failure.stderr):
            return None
        raise


def _digest(raw: bytes) -> str:
    return programs.run(["skopeo", "manifest-digest", "/dev/stdin"], "skopeo", given=raw).decode().strip()
