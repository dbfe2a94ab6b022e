"""Ask package indexes for releases, files and their hashes: pip fetches what pip can, ``web`` and pypi-simple read the rest.

The simple repository API has two forms, JSON (PEP 691) and HTML (PEP 503); torch's own index speaks HTML alone. A folder of this
machine is an index too, as pip reads it. pypi-simple reads the entries of both. Its transport is not used: ``web`` bounds time, bytes and
redirections, keeps passwords to their host, and asks no silent index twice.
"""

from __future__ import annotations

import datetime
import email
import functools
import hashlib
import io
import re
import urllib.parse
import zipfile
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version
from pypi_simple import DistributionPackage, Link

from runner.contract import files, patterns
from runner.contract.errors import InputError, Unreachable
from runner.contract.files import sha256_of_file
from runner.contract.records import Json
from runner.host.pins import pip_settings, programs, silence, web
from runner.host.pins.answers import FOR_PEOPLE, json_of, of_form
from runner.host.pins.pip_settings import PIP
from runner.host.pins.programs import DOWNLOAD_S, LOGIN, TIMEOUT_S, Meaning

_ONLY_WHEELS = ("--only-binary", ":all:")
# Of a wheel that is fetched for its description alone, and of the metadata in it.
MAX_WHEEL_BYTES = 64 * 1024 * 1024
MAX_METADATA_BYTES = 4 * 1024 * 1024
_SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
# A page of a login has one of these, and the page of a package without files has none.
_LOGIN_PAGE = re.compile(r"<input\b|<form\b|http-equiv=.?refresh|<script\b", re.IGNORECASE)

# pip says that it found nothing where an index was silent too, so its words of silence are looked for first.
_PIP_MEANINGS = (
    programs.NO_ANSWER,
    Meaning(re.compile(r"40[137] (?:Client )?Error|User for .*:|HTTP error 40[137]"), Unreachable, LOGIN),
    Meaning(
        re.compile(r"No matching distribution found|Could not find a version|HTTP error 404"),
        InputError,
        "there is none",
    ),
)


@dataclass(frozen=True)
class IndexFile:
    """A file that an index lists. ``withdrawn`` is the reason why it was yanked (PEP 592), None for a file that was not.

    ``version`` is that of the file's name without a local label, None where the name holds none. ``day`` is the day of the upload in
    UTC, such as 2026-11-20 (PEP 700), None where the index does not say it. ``requires_python`` is the index's own text.
    """

    sha256: str
    address: str
    withdrawn: str | None
    version: str | None = None
    day: str | None = None
    requires_python: str | None = None


@dataclass(frozen=True)
class Release:
    """A version of a package on an index.

    ``version`` has the normal form of PEP 440 and no local label. ``day`` is the first day of an upload, None where the index does not
    say it. ``withdrawn`` is a reason why all its files were yanked, None for a release with a file that was not. ``requires_python``
    holds what the files that count ask of Python; None stands for a file that asks nothing. ``index`` is the address without a login.
    """

    version: str
    day: str | None
    withdrawn: str | None
    requires_python: frozenset[str | None]
    index: str


def package_sha256(name: str, version: str) -> tuple[str, bool]:
    """Return the sha256 of the file that pip takes for a pure Python package, and whether its release was yanked.

    pip itself asks, so the user's index settings hold. Raises ``InputError`` where there is no such release, ``Unreachable``.
    """
    what = f"the index, for {name} {version}"
    command = [
        *PIP,
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
    with silence.asking(pip_settings.index()) as first_s:
        _knock(what, first_s)
        output = programs.run(command, what, meanings=_PIP_MEANINGS)
    # an object of the form that pip.pypa.io/en/stable/reference/installation-report describes, or of any other
    report: Any = json_of(output, what)
    try:
        first = report["install"][0]
        sha256, yanked = first["download_info"]["archive_info"]["hashes"]["sha256"], first["is_yanked"]
    except (KeyError, IndexError, TypeError):
        raise Unreachable(f"{what}: pip's report has no hash of a file") from None
    return of_form(patterns.LOCKED_SHA256, sha256, what), bool(yanked)


def _knock(what: str, first_s: float | None, index: str | None = None) -> None:
    """Ask an index for a package that every index of packages has, or has not. Raises ``NoAnswer`` as ``programs.knock`` does."""
    if first_s is None:
        return
    ask = [
        "install",
        "--dry-run",
        "--ignore-installed",
        "--no-deps",
        "--no-input",
        "--retries=0",
        "--quiet",
        *_ONLY_WHEELS,
    ]
    chosen = [] if index is None else [f"--index-url={index}"]
    # pip's own limit is one of silence
    command = [*PIP, *ask, f"--timeout={first_s:g}", *chosen, "--", "pip"]
    programs.knock(command, what, TIMEOUT_S)


def fetch_wheels(
    requirements: Path, python: str, platforms: Sequence[str], folder: Path, index: str | None = None
) -> None:
    """Fetch the wheels of a hash-locked requirements file into ``folder``; a file that lies there already is only checked.

    ``python`` is the target's, such as 3.12, ``platforms`` its wheel platforms, ``index`` another index than the user's. pip
    itself fetches, so the user's settings hold, and refuses every file whose hash is not in the requirements. Raises
    ``InputError`` where there is no such file, ``Unreachable``.
    """
    command = [*PIP, "download", "--quiet", "--no-input", "--require-hashes", "--no-deps", *_ONLY_WHEELS]
    command += ["--python-version", python, "--implementation", "cp"]
    command += [f"--dest={folder}", f"--requirement={requirements}"]
    command += [word for platform in platforms for word in ("--platform", platform)]
    if index is not None:
        command += [f"--index-url={index}"]
    what = f"the index, for the wheels of {requirements.name}"
    with silence.asking(index or pip_settings.index()) as first_s:
        _knock(what, first_s, index)
        programs.run(command, what, timeout_s=DOWNLOAD_S, meanings=_PIP_MEANINGS)


def fetch_source_distribution(name: str, hashes: Collection[str], folder: Path) -> Path:
    """Fetch the source distribution of a package whose sha256 is among ``hashes``, without running anything of it.

    pip would run the package's setup.py to learn what the package needs, so the index is asked directly. Raises ``Unreachable``
    where no index has such a file.
    """
    what = f"the index, for {name}"
    for index in (pip_settings.index(), *pip_settings.more_indexes()):
        try:
            listed = _listed(name, index)
        except InputError:
            continue
        for file in listed:
            file_name = urllib.parse.unquote(urllib.parse.urlsplit(file.address).path.rpartition("/")[2])
            if file.sha256 not in hashes or not file_name.endswith((".tar.gz", ".zip")):
                continue
            if not patterns.FILE_PATH.fullmatch(file_name):
                raise Unreachable(f"{what}: {file_name[:100]!r} is no name of a file")
            target = folder / file_name
            if not target.exists() or sha256_of_file(target) != file.sha256:
                content = _download(file.address, index, f"{what}, file {file_name}")
                if hashlib.sha256(content).hexdigest() != file.sha256:
                    raise Unreachable(f"{what}, file {file_name}: its bytes are not those of its locked hash")
                target.write_bytes(content)
            return target
    raise Unreachable(f"{what}: it has no source distribution with a locked hash any more")


def index_files(name: str, index: str | None = None) -> dict[str, str | None]:
    """Return sha256 to the reason of a withdrawal, None for none, of every file that an index has of a package.

    ``index`` is another index than the user's. Raises ``InputError`` where no index has the package, ``Unreachable``.
    """
    return {file.sha256: file.withdrawn for _, listed in _of_all_indexes(name, index) for file in listed}


def releases(name: str, index: str | None = None) -> list[Release]:
    """Return every version of a package that an index has a file of with a sha256, in the order of PEP 440.

    ``index`` is another index than the user's. A file whose name holds no version is left out. Raises ``InputError`` where no index
    has the package, ``Unreachable``.
    """
    found: dict[str, Release] = {}
    for address, listed in _of_all_indexes(name, index):
        by_version: dict[str, list[IndexFile]] = {}
        for file in listed:
            if file.version is not None:
                by_version.setdefault(file.version, []).append(file)
        for version, files_of_version in by_version.items():
            found.setdefault(version, _release(version, files_of_version, _shown_index(address)))
    return sorted(found.values(), key=lambda release: Version(release.version))


def summary(name: str, version: str, index: str | None = None) -> str:
    """Return what a release's own page says: the description in the metadata of its first wheel, empty where there is none.

    The wheel is fetched, compared with the index's hash, and none of it is run. Raises ``InputError`` where no index has a wheel of
    that version, ``Unreachable``.
    """
    what = f"the index, for {name} {version}"
    for address, listed in _of_all_indexes(name, index):
        for file in listed:
            if file.version == version and urllib.parse.urlsplit(file.address).path.endswith(".whl"):
                content = _download(file.address, address, what, MAX_WHEEL_BYTES)
                if hashlib.sha256(content).hexdigest() != file.sha256:
                    raise Unreachable(f"{what}: the bytes of its wheel are not those of its hash")
                return _description(content, what)
    raise InputError(f"{what}: no index has a wheel of it")


def _of_all_indexes(name: str, index: str | None) -> list[tuple[str, tuple[IndexFile, ...]]]:
    """Return each index that has a package, with its files; ``index`` alone where it is given, else the user's.

    Raises ``InputError`` where no index has the package, ``Unreachable``.
    """
    indexes = (index,) if index is not None else (pip_settings.index(), *pip_settings.more_indexes())
    found = []
    absent: list[InputError] = []
    for address in indexes:
        try:
            found.append((address, _listed(name, address)))
        except InputError as problem:
            absent.append(problem)
    if not found:
        raise absent[0]
    return found


def _release(version: str, listed: Sequence[IndexFile], index: str) -> Release:
    counted = [file for file in listed if file.withdrawn is None]
    days = [file.day for file in listed if file.day is not None]
    return Release(
        version=version,
        day=min(days, default=None),
        withdrawn=None if counted else next((file.withdrawn for file in listed if file.withdrawn), ""),
        requires_python=frozenset(file.requires_python for file in counted or listed),
        index=index,
    )


def _shown_index(address: str) -> str:
    """Return an index's address without user and password."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _description(wheel: bytes, what: str) -> str:
    """Return the description in a wheel's metadata. Raises ``Unreachable`` for bytes that are no wheel."""
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            entry = next(one for one in archive.infolist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", one.filename))
            # a wheel is stored or deflated; a Python may lack the rest, each with errors of its own
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile
            if entry.file_size > MAX_METADATA_BYTES:
                raise Unreachable(
                    f"{what}: its metadata has more than {MAX_METADATA_BYTES} bytes, the most that are read"
                )
            text = archive.read(entry).decode("utf-8", errors="replace")
    except (
        zipfile.BadZipFile,
        zlib.error,
        StopIteration,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        OSError,
    ):
        raise Unreachable(f"{what}: its wheel cannot be read") from None
    message = email.message_from_string(text)
    body = message.get_payload()
    return body if isinstance(body, str) and body.strip() else message.get("Description", "")


@functools.cache
def _listed(name: str, index: str) -> tuple[IndexFile, ...]:
    """Return every file with a sha256 that an index lists of a package."""
    what, address = f"the index, for {name}", f"{index.rstrip('/')}/{name}/"
    if address.startswith("file:"):
        page = Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path)) / "index.html"
        body, is_html = files.read_bytes(page, web.MAX_PAGE_BYTES, advice="The index has no such package."), True
    else:
        answer = web.get(address, what, accept=f"{_SIMPLE_JSON}, text/html;q=0.1")
        body, is_html = answer.body, answer.is_page
    if body.lstrip()[:1] == b"{":
        packages = _packages_of_json(json_of(body, what), name, address, what)
    else:
        packages = _packages_of_html(body.decode("utf-8", errors="replace"), is_html, name, address, what)
    listed = []
    for package in packages:
        # behind the hash, the fragment of an address may name more: "#sha256=...&egg=six"
        sha256 = package.digests.get("sha256", "").partition("&")[0]
        if patterns.SHA256.fullmatch(sha256):
            withdrawn = (package.yanked_reason or "") if package.is_yanked else None
            listed.append(
                IndexFile(
                    sha256,
                    package.url,
                    withdrawn,
                    _version_of(package.version),
                    _day_of(package.upload_time),
                    package.requires_python,
                )
            )
    return tuple(listed)


def _version_of(text: str | None) -> str | None:
    """Return a version in its normal form without a local label, None for a text that is none."""
    try:
        # the longest version that the lock takes
        public = Version(text).public if text is not None and len(text) <= 200 else ""
    except InvalidVersion:
        return None
    return public if patterns.VERSION.fullmatch(public) else None


def _day_of(upload: datetime.datetime | None) -> str | None:
    """Return the day of an upload in UTC; a time without a zone is in UTC, as PEP 700 asks."""
    if upload is None:
        return None
    try:
        return (upload.astimezone(datetime.timezone.utc) if upload.tzinfo else upload).date().isoformat()
    # a zone can move the first and last days of the calendar out of it
    except (OverflowError, ValueError):
        return None


def _packages_of_json(page: Json, name: str, address: str, what: str) -> list[DistributionPackage]:
    """Return the files of a JSON page. Only the entries of ``files`` are read: what a page says beside them may be of any form."""
    listed = page.get("files") if isinstance(page, dict) else None
    try:
        if isinstance(listed, list):
            return [DistributionPackage.from_json_data(file, name, address) for file in listed]
    # pydantic's ValidationError is a ValueError
    except ValueError:
        pass
    raise Unreachable(f"{what}: its JSON lists no files (PEP 691)")


class _LinkReader(HTMLParser):
    """Collects the links of an HTML page, each with its address against the page's own or that of its ``<base>``.

    pypi-simple's own reader of links also collects their texts: 8,000 links without an end, 88 kB, took it 71 s (pypi-simple
    1.8.0 on Python 3.11).
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self._base: str | None = None
        self._address = address
        self.links: list[Link] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes: dict[str, str | list[str]] = {name: value or "" for name, value in attrs}
        href = attributes.get("href")
        if tag == "base" and isinstance(href, str) and self._base is None:
            self._base = urllib.parse.urljoin(self._address, href)
        elif tag == "a" and isinstance(href, str):
            url = urllib.parse.urljoin(self._base or self._address, href)
            self.links.append(Link(text=urllib.parse.urlsplit(url).path.rpartition("/")[2], url=url, attrs=attributes))


def _packages_of_html(text: str, is_html: bool, name: str, address: str, what: str) -> list[DistributionPackage]:
    """Return the files of an HTML page; ``is_html`` says that the index calls the page HTML."""
    reader = _LinkReader(address)
    try:
        reader.feed(text)
        reader.close()
        packages = [DistributionPackage.from_link(link, name) for link in reader.links]
    # AssertionError: html.parser of Python 3.11 raises it for a marked section that it does not know, such as <![x
    except (ValueError, AssertionError) as problem:
        raise Unreachable(f"{what}: its HTML cannot be read: {problem or type(problem).__name__}") from None
    if not is_html and not packages and not text.lstrip().startswith("<"):
        raise Unreachable(f"{what}: its answer is neither JSON nor HTML")
    # the page of a package without files has no form to sign in, and devpi's has a form beside its files
    if not any("sha256" in package.digests for package in packages) and _LOGIN_PAGE.search(text):
        raise Unreachable(f"{what}: {FOR_PEOPLE}")
    return packages


def _download(address: str, index: str, what: str, max_bytes: int = web.MAX_FILE_BYTES) -> bytes:
    if address.startswith("file:"):
        path = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
        return files.read_bytes(path, max_bytes, Unreachable)
    # a file on the index's own host is behind the index's login
    user_part = urllib.parse.urlsplit(index).netloc.rpartition("@")[0]
    parts = urllib.parse.urlsplit(address)
    if user_part and "@" not in parts.netloc and web.origin_of(address) == web.origin_of(index):
        address = urllib.parse.urlunsplit(parts._replace(netloc=f"{user_part}@{parts.netloc}"))
    return web.get(address, what, max_bytes=max_bytes, limit_s=DOWNLOAD_S, moves=True).body
