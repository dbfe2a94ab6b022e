"""Ask where pins come from: package index, model hub, image registry (``gitsource`` asks git). The only door to the network.

Every function returns what it was asked for. Where the origin answers that there is none, it returns None or raises
``InputError``; where nobody answers, or a login is missing, it raises ``Unreachable``.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import html
import os
import re
import shutil
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.contract import files, patterns, strictjson
from runner.contract.errors import InputError, KitError, Unreachable
from runner.contract.files import sha256_of_file
from runner.host.pins import programs, silence, web
from runner.host.pins.programs import DOWNLOAD_S, LOGIN, TIMEOUT_S, Meaning

_PIP = (sys.executable, "-m", "pip")
_ONLY_WHEELS = ("--only-binary", ":all:")
_SIMPLE = "application/vnd.pypi.simple.v1+json"

# pip says that it found nothing where an index was silent too, so that its words of silence are looked for first.
_PIP_MEANS = (
    programs.NO_ANSWER,
    Meaning(re.compile(r"40[137] (?:Client )?Error|User for .*:|HTTP error 40[137]"), Unreachable, LOGIN),
    Meaning(
        re.compile(r"No matching distribution found|Could not find a version|HTTP error 404"),
        InputError,
        "there is none",
    ),
)
_REGISTRY_MEANS = (
    Meaning(
        re.compile(r"unauthorized|authentication required|access to the resource is denied|denied:|status 40[13]"),
        Unreachable,
        LOGIN,
    ),
    Meaning(
        re.compile(r"invalid character|unexpected end of JSON|cannot unmarshal"), Unreachable, "its answer is broken"
    ),
)
_MAX_COMMITS_PAGES = 50
_FOR_PEOPLE = "a page for people answers, such as a login's, where a program asked for data"


@dataclass(frozen=True)
class IndexFile:
    """A file that an index lists, and its address. ``withdrawn`` is the reason, None where the file is not withdrawn."""

    sha256: str
    place: str
    withdrawn: str | None


def package_sha256(name: str, version: str) -> tuple[str, bool]:
    """Return the sha256 of the file that pip takes for a pure Python package, and whether its release was yanked.

    pip itself asks, so that the user's index settings hold.
    """
    what = f"the index, for {name} {version}"
    command = [
        *_PIP,
        "install",
        "--dry-run",
        "--ignore-installed",
        "--no-deps",
        "--no-input",
        "--retries",
        "0",
        "--quiet",
    ]
    command += [*_ONLY_WHEELS, "--ignore-requires-python", "--report", "-", "--", f"{name}=={version}"]
    with silence.asking(_index()):
        said = programs.run(command, what, meanings=_PIP_MEANS)
    found = _json(said, what)
    try:
        first = found["install"][0]
        sha256, yanked = first["download_info"]["archive_info"]["hashes"]["sha256"], first["is_yanked"]
    except (KeyError, IndexError, TypeError):
        raise Unreachable(f"{what}: pip's report has no hash of a file") from None
    return _of_form(patterns.LOCKED_SHA256, sha256, what), bool(yanked)


def wheels(requirements, python, platforms, folder, index=None):
    """Fetch the wheels of a hash-locked requirements file into ``folder``; what lies there already is only checked.

    ``python`` is the target's, such as 3.12, ``platforms`` its wheel platforms, ``index`` another one than the user's. pip
    itself fetches, so that the user's settings hold, and refuses every file whose hash is not in the requirements.
    """
    command = [*_PIP, "download", "--quiet", "--no-input", "--require-hashes", "--no-deps", *_ONLY_WHEELS]
    command += [
        "--python-version",
        python,
        "--implementation",
        "cp",
        f"--dest={folder}",
        f"--requirement={requirements}",
    ]
    command += [part for platform in platforms for part in ("--platform", platform)]
    if index is not None:
        command += [f"--index-url={index}"]
    with silence.asking(index or _index()):
        programs.run(
            command,
            f"the index, for the wheels of {requirements.name}",
            timeout_s=DOWNLOAD_S,
            meanings=_PIP_MEANS,
        )


def source_distribution(name: str, hashes: set[str], folder: Path) -> Path:
    """Fetch the source distribution of a package whose sha256 is among ``hashes``, without running anything of it.

    pip would run its setup.py to learn what it needs, so the index is asked directly.
    """
    what = f"the index, for {name}"
    for index in (_index(), *_more_indexes()):
        try:
            listed = _listed(name, index)
        except InputError:
            continue
        for one in listed:
            sha256, file = one.sha256, urllib.parse.unquote(urllib.parse.urlsplit(one.place).path.rpartition("/")[2])
            if sha256 not in hashes or not file.endswith((".tar.gz", ".zip")):
                continue
            if not patterns.FILE_PATH.fullmatch(file):
                raise Unreachable(f"{what}: {file[:100]!r} is no name of a file")
            target = folder / file
            if not target.exists() or sha256_of_file(target) != sha256:
                content = _download(one.place, index, f"{what}, file {file}")
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise Unreachable(f"{what}, file {file}: its bytes are not those of its locked hash")
                target.write_bytes(content)
            return target
    raise Unreachable(f"{what}: it has no source distribution with a locked hash any more")


def index_files(name: str, index: str | None = None) -> dict[str, str | None]:
    """Return sha256 to the reason of a withdrawal, None for none, of every file that an index has of a package.

    ``index`` is another one than the user's. Raises ``InputError`` where no index has the package.
    """
    indexes = (index,) if index is not None else (_index(), *_more_indexes())
    found: dict[str, str | None] = {}
    absent: list[InputError] = []
    for one in indexes:
        try:
            found.update({file.sha256: file.withdrawn for file in _listed(name, one)})
        except InputError as problem:
            absent.append(problem)
    if len(absent) == len(indexes):
        raise absent[0]
    return found


def _page_address(index: str, name: str) -> str:
    return f"{index.rstrip('/')}/{name}/"


@functools.cache
def _listed(name: str, index: str) -> tuple[IndexFile, ...]:
    """Return every file that an index lists of a package. A folder of this machine is an index too, as pip reads it.

    Both forms of the simple repository API are read: JSON (PEP 691), and HTML, which torch's own index speaks alone.
    """
    what, address = f"the index, for {name}", _page_address(index, name)
    if address.startswith("file:"):
        place = Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path)) / "index.html"
        page, is_html = files.read_bytes(place, web.MAX_PAGE_BYTES, advice="The index has no such package."), True
    else:
        answer = web.get(address, what, accept=f"{_SIMPLE}, text/html;q=0.1")
        page, is_html = answer.body, answer.is_page
    if page.lstrip()[:1] == b"{":
        return tuple(_listed_as_json(_json(page, what), address, what))
    text = page.decode("utf-8", errors="replace")
    links = re.findall(r"<a\s[^>]*>", text, re.I)
    if not is_html and not links and not text.lstrip().startswith("<"):
        raise Unreachable(f"{what}: its answer is neither JSON nor HTML")
    found = list(_listed_as_html(links, address))
    # an index of a package without files has no form to sign in, and devpi's has a form beside its files
    if not found and re.search(r"<input\b|<form\b|http-equiv=.?refresh|<script\b", text, re.I):
        raise Unreachable(f"{what}: {_FOR_PEOPLE}")
    return tuple(found)


def _listed_as_html(links: list[str], address: str) -> Iterator[IndexFile]:
    for link in links:
        place = _attribute(link, "href")
        sha256 = re.search(r"#sha256=([0-9a-f]{64})\b", place or "")
        if place and sha256:
            yield IndexFile(sha256[1], urllib.parse.urljoin(address, place), _attribute(link, "data-yanked"))


def _attribute(link: str, name: str) -> str | None:
    """Return an attribute of a tag, empty where it has no value, None where it is not there."""
    found = re.search(rf"\s{name}(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'))?(?=[\s>/])", link, re.I)
    return html.unescape(found[1] or found[2] or "") if found else None


def _listed_as_json(page: Any, address: str, what: str) -> Iterator[IndexFile]:
    listed = page.get("files") if isinstance(page, dict) else None
    for file in listed if isinstance(listed, list) else [None]:
        hashes = file.get("hashes") if isinstance(file, dict) else None
        if not isinstance(file, dict) or not isinstance(hashes, dict):
            raise Unreachable(f"{what}: its JSON lists no files (PEP 691)")
        sha256, place, yanked = hashes.get("sha256"), file.get("url", ""), file.get("yanked", False)
        if isinstance(sha256, str) and isinstance(place, str):
            reason = (yanked if isinstance(yanked, str) else "") if yanked else None
            yield IndexFile(sha256, urllib.parse.urljoin(address, place), reason)


def _download(address: str, index: str, what: str) -> bytes:
    if address.startswith("file:"):
        place = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
        return files.read_bytes(place, web.MAX_FILE_BYTES, Unreachable)
    # a file on the index's own host is behind the index's login
    user_part = urllib.parse.urlsplit(index).netloc.rpartition("@")[0]
    parts = urllib.parse.urlsplit(address)
    if user_part and "@" not in parts.netloc and web.origin_of(address) == web.origin_of(index):
        address = urllib.parse.urlunsplit(parts._replace(netloc=f"{user_part}@{parts.netloc}"))
    return web.get(address, what, max_bytes=web.MAX_FILE_BYTES, limit_s=DOWNLOAD_S, moves=True).body


def _index() -> str:
    """Return the user's index, as pip knows it; it may hold user and password."""
    return os.environ.get("PIP_INDEX_URL") or _pip_settings().get("index-url") or "https://pypi.org/simple"


def _more_indexes() -> tuple[str, ...]:
    told = os.environ.get("PIP_EXTRA_INDEX_URL")
    if told is None:
        told = "" if "PIP_INDEX_URL" in os.environ else _pip_settings().get("extra-index-url", "")
    return tuple(told.split())


@functools.cache
def _pip_settings() -> dict[str, str]:
    """Return pip's own settings, from its files and variables; the variables are listed last, and count."""
    found = {}
    for line in programs.run([*_PIP, "config", "list"], "pip").decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        try:
            found[name.rpartition(".")[2]] = str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            continue
    return found


def uv_index() -> dict[str, str]:
    """Return the variables by which uv asks the index that pip asks; none where the user told uv another one, or pip none."""
    told = os.environ.get("PIP_INDEX_URL") or _pip_settings().get("index-url")
    own = any(os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"))
    return {"UV_DEFAULT_INDEX": told} if told and not own else {}


def hub_revision(kind: str, repository: str, short: str) -> str | None:
    """Return the full revision of a hub repository (``kind`` model or dataset) that begins with ``short``, else None."""
    what = f"the hub, for {repository}"
    address: str | None = f"{_hub_address(kind, repository)}/commits/main"
    for _ in range(_MAX_COMMITS_PAGES):
        assert address is not None
        commits, address = _hub_json(address, what)
        if not isinstance(commits, list) or not all(
            isinstance(one, dict) and isinstance(one.get("id"), str) for one in commits
        ):
            raise Unreachable(f"{what}: its answer lists no commits")
        for commit in commits:
            if commit["id"].startswith(short):
                return _of_form(patterns.COMMIT, commit["id"], what)
        if address is None:
            return None
    raise Unreachable(f"{what}: it lists more commits than are read. Write the whole revision into versions.lock")


def hub_files(kind: str, repository: str, revision: str) -> dict[str, str]:
    """Return name to sha256 of the large files of a repository at a revision, as the hub's storage knows them."""
    what = f"the hub, for {repository}"
    told, _ = _hub_json(f"{_hub_address(kind, repository)}/revision/{revision}?blobs=true", what)
    listed = told.get("siblings") if isinstance(told, dict) else None
    if not isinstance(listed, list) or not all(isinstance(file, dict) for file in listed):
        raise Unreachable(f"{what}: its answer lists no files")
    found = {}
    for file in listed:
        stored = file.get("lfs")
        if isinstance(stored, dict):
            name = _of_form(patterns.FILE_PATH, file.get("rfilename"), what)
            found[name] = _of_form(patterns.SHA256, stored.get("sha256"), what)
    return found


def hub_has(kind: str, repository: str, revision: str) -> bool:
    """Return whether the hub has a repository at a revision."""
    try:
        _hub_json(f"{_hub_address(kind, repository)}/revision/{revision}", f"the hub, for {repository}")
    except InputError:
        return False
    return True


def _hub_address(kind: str, repository: str) -> str:
    import huggingface_hub.constants

    return f"{huggingface_hub.constants.ENDPOINT}/api/{kind}s/{repository}"


def _hub_json(address: str, what: str) -> tuple[Any, str | None]:
    """Return the JSON at an address of the hub, asked with the user's token, and the address of the next page."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers

    if constants.HF_HUB_OFFLINE:
        raise Unreachable(f"{what}: HF_HUB_OFFLINE is set")
    try:
        answer = web.get(address, what, accept="application/json", headers=build_hf_headers())
    except web.LoginAsked as problem:
        # the hub says 401 of what is not there, so that nobody learns what is private
        if problem.code == 401 and problem.error_code in ("", "RepoNotFound") and "credentials" not in problem.told:
            raise InputError(
                f"{what}: there is none, or it is private and HF_TOKEN is not set ({problem.told})"
            ) from None
        raise
    if answer.is_page:
        raise Unreachable(f"{what}: {_FOR_PEOPLE}")
    return _json(answer.body, what), answer.following


def image_digest(repository: str, tag: str) -> str | None:
    """Return the digest that a registry has for a tag, through skopeo; None where it has no such tag."""
    manifest = _manifest(f"{repository}:{tag}")
    return None if manifest is None else _digest(manifest)


def platform_digest(repository: str, digest: str) -> str | None:
    """Return the digest of the linux/amd64 manifest in an image; the image's own where it is for one platform.

    None where the registry has no such digest. Raises ``InputError`` where its list has no linux/amd64.
    """
    what = f"the registry, for {repository}@{digest}"
    manifest = _manifest(f"{repository}@{digest}")
    if manifest is None:
        return None
    if _digest(manifest) != digest:
        raise Unreachable(f"{what}: it sent another manifest")
    told = _json(manifest, what)
    if not isinstance(told, dict):
        raise Unreachable(f"{what}: its answer is no manifest")
    listed = told.get("manifests")
    if listed is None:
        return digest
    for entry in listed if isinstance(listed, list) else ():
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            return _of_form(patterns.LOCKED_DIGEST, entry.get("digest"), what)
    raise InputError(f"{repository}@{digest} has no image for linux/amd64. Pin another one in versions.lock.")


def _manifest(reference: str) -> bytes | None:
    """Return the bytes of a manifest as the registry holds it, None where it says that there is none."""
    what = f"the registry, for {reference}"
    if shutil.which("skopeo") is None:
        raise Unreachable(f"{what}: skopeo is not installed (apt-get install skopeo)")
    command = ["skopeo", "inspect", "--raw", "--command-timeout", f"{TIMEOUT_S}s", "--", f"docker://{reference}"]
    try:
        with silence.asking(reference.partition("/")[0]):
            return programs.run(command, what, meanings=_REGISTRY_MEANS)
    except programs.ProgramFailed as problem:
        if re.search(r"manifest unknown|name unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN", problem.failure.stderr):
            return None
        raise


def _digest(manifest: bytes) -> str:
    return programs.run(["skopeo", "manifest-digest", "/dev/stdin"], "skopeo", given=manifest).decode().strip()


def _json(raw: bytes, what: str) -> Any:
    """Return foreign JSON. Raises ``Unreachable`` for anything else, such as a page of HTML."""
    if raw.lstrip()[:1] == b"<":
        raise Unreachable(f"{what}: {_FOR_PEOPLE}")
    return strictjson.loads(raw, what, Unreachable)


def _of_form(form: patterns.Form, value: object, what: str, error: type[KitError] = Unreachable) -> str:
    """Return a text of an answer that has a form; an answer is written into the lock, so it is not trusted either."""
    problem = patterns.problem(form, value) if isinstance(value, str) else f"must be {form.words}, none was found"
    if problem is not None:
        raise error(f"{what}: its answer {problem}")
    assert isinstance(value, str)
    return value
