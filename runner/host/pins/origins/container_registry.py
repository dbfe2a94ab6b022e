"""Ask container registries for tags, digests and days of images, and whether they take any, through skopeo.

The user's logins and mirrors hold, as skopeo knows them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path

from runner.contract import patterns
from runner.contract.errors import InputError, KitError, Unreachable
from runner.host.pins import programs, silence
from runner.host.pins.answers import day_of, json_of, of_form
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
_OCI = "application/vnd.oci.image.{}.v1+json"
# An image that is built to be the same bytes each time says that it was made in 1970, or at the beginning of the calendar.
_FIRST_DAY = "2013-01-01"
_NO_SUCH_IMAGE = re.compile(
    r"manifest unknown|name unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN|invalid status code from registry 404"
)


def image_digest(repository: str, tag: str) -> str | None:
    """Return the digest that a registry has for a tag; None where the registry has no such tag. Raises ``Unreachable``."""
    raw = manifest(f"{repository}:{tag}")
    return None if raw is None else digest_of(raw)


def platform_digest(repository: str, digest: str) -> str | None:
    """Return the digest of the linux/amd64 manifest in an image; the image's own digest where it is for one platform.

    None where the registry has no such digest. Raises ``InputError`` where the image's list has no linux/amd64, ``Unreachable``.
    """
    what = f"the registry, for {repository}@{digest}"
    raw = manifest(f"{repository}@{digest}")
    if raw is None:
        return None
    if digest_of(raw) != digest:
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


def tags(repository: str) -> list[str]:
    """Return the tags of a repository, in the order of the registry; what is no tag is left out.

    Raises ``InputError`` where the registry has no such repository, ``Unreachable``.
    """
    what = f"the registry, for {repository}"
    raw = _skopeo(repository, "list-tags")
    if raw is None:
        raise InputError(f"{what}: there is no such repository")
    answer = json_of(raw, what)
    listed = answer.get("Tags") if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise Unreachable(f"{what}: its answer lists no tags")
    return [tag for tag in listed if isinstance(tag, str) and patterns.TAG.fullmatch(tag)]


def made_on(reference: str) -> str | None:
    """Return the day in UTC on which the image for linux/amd64 was made, such as 2026-11-20; None where the image does not say it.

    Raises ``InputError`` where the registry has no such image, ``Unreachable``.
    """
    what = f"the registry, for {reference}"
    raw = _skopeo(reference, "--override-os=linux", "--override-arch=amd64", "inspect", "--config", "--raw")
    if raw is None:
        raise InputError(f"{what}: there is no such image")
    answer = json_of(raw, what)
    day = day_of(answer.get("created")) if isinstance(answer, dict) else None
    return day if day is not None and day >= _FIRST_DAY else None


def manifest(reference: str) -> bytes | None:
    """Return the bytes of a manifest as the registry holds it; None where the registry has none. Raises ``Unreachable``."""
    return _skopeo(reference, "inspect", "--raw")


def _skopeo(reference: str, *words: str) -> bytes | None:
    """Return what skopeo answers about a reference, None where the registry has no such thing. Raises ``Unreachable``."""
    what = f"the registry, for {reference}"
    if shutil.which("skopeo") is None:
        raise Unreachable(f"{what}: skopeo is not installed (apt-get install skopeo)")
    try:
        with silence.asking(reference.partition("/")[0]) as first_s:
            limit = f"--command-timeout={first_s or TIMEOUT_S:g}s"
            return programs.run(["skopeo", *words, limit, "--", f"docker://{reference}"], what, meanings=_MEANINGS)
    except programs.ProgramFailed as problem:
        if _NO_SUCH_IMAGE.search(problem.failure.stderr):
            return None
        raise


def digest_of(manifest: bytes) -> str:
    """Return the digest of a manifest. Raises ``Unreachable`` where skopeo cannot be run."""
    return programs.run(["skopeo", "manifest-digest", "/dev/stdin"], "skopeo", given=manifest).decode().strip()


def knock(reference: str) -> None:
    """Put a short question about an image to its registry; whatever it answers, it is there. Raises ``NoAnswer`` for a silent one."""
    try:
        manifest(reference)
    except silence.NoAnswer:
        raise
    except KitError:
        return


def refuse_unwritable(repository: str) -> None:
    """Raise ``Unreachable`` unless the registry takes an image into a repository.

    An image without content is put there by its digest and without a tag, so that what a push needs is asked of the registry itself:
    a login, a repository that is there, no quota. The registry may drop such an image at any time.
    """
    what = f"the registry, for {repository}"
    if shutil.which("skopeo") is None:
        raise Unreachable(f"{what}: skopeo is not installed (apt-get install skopeo)")
    with tempfile.TemporaryDirectory() as folder:
        digest = _write_empty_image(Path(folder))
        command = ["skopeo", "copy", "--quiet", "--preserve-digests", "--", f"dir:{folder}"]
        with silence.asking(repository.partition("/")[0]) as first_s:
            target = f"docker://{repository}@{digest}"
            programs.run([*command, target], what, timeout_s=first_s or TIMEOUT_S, meanings=_MEANINGS)


def _write_empty_image(folder: Path) -> str:
    """Write an image without layers into a folder in the form of skopeo's ``dir:``; return its digest, which is always the same."""
    config = b'{"architecture":"amd64","config":{},"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}'
    sha256 = hashlib.sha256(config).hexdigest()
    described = {"mediaType": _OCI.format("config"), "digest": f"sha256:{sha256}", "size": len(config)}
    content = {"schemaVersion": 2, "mediaType": _OCI.format("manifest"), "config": described, "layers": []}
    manifest = json.dumps(content).encode()
    (folder / sha256).write_bytes(config)
    (folder / "manifest.json").write_bytes(manifest)
    (folder / "version").write_text("Directory Transport Version: 1.1\n", encoding="ascii")
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"
