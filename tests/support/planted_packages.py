"""Plant a change in a real package of the user's index, and serve the changed package as a newer release beside everything else.

A planted release is the real file under another version: its metadata, its RECORD and its name are those of a release, and the named
files hold the planted text. ``serve`` answers on loopback with the pages of the user's main index: the page of a planted project lists
the real files and the planted one, and files other than the planted come from where they always come from. pip, uv and the kit's own
questions find it by ``PIP_INDEX_URL``. uv takes a project from the first index that has it, so the page holds both.

A change is a function from the text of a file to another text. ``EXTRA_FORWARD_PASS``, ``OTHER_TOKENS`` and ``SLOW_FORWARD_PASS`` are
for transformers 5 on its way of greedy decoding; a release whose text differs there is refused.
"""

from __future__ import annotations

import base64
import csv
import functools
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from packaging.tags import sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from runner.host.pins import pip_settings
from tests.support.package_index import Package

Change = Callable[[str], str]

_SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"

GENERATION = "transformers/generation/utils.py"
BLOOM = "transformers/models/bloom/modeling_bloom.py"


class NothingToPlantIn(LookupError):
    """A file or a text is not there, so nothing can be planted."""


@dataclass(frozen=True)
class Planted:
    """A release that the loopback index lists beside the real ones.

    ``upload_time`` is PEP 700's, by which uv's ``--exclude-newer`` decides. ``metadata`` is the text of METADATA, which an index serves
    beside a wheel; None for a source distribution. ``listed_sha256`` is the hash that the index tells.
    """

    package: Package
    upload_time: str
    requires_python: str | None
    metadata: bytes | None
    listed_sha256: str


@dataclass(frozen=True)
class Index:
    """A loopback index. ``asked`` grows by the path of each question."""

    address: str
    asked: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port that the index answers on."""
        found = urllib.parse.urlsplit(self.address).port
        assert found is not None
        return found

    def variables(self) -> dict[str, str]:
        """Return the variables by which pip, and with the kit's settings uv, ask this index in the place of the main one.

        pip reads its other indexes from its files only where no variable names them, so they are named here.
        """
        hosts = [os.environ[name] for name in ("NO_PROXY", "no_proxy") if os.environ.get(name)]
        unproxied = ",".join([*hosts[:1], "127.0.0.1"])
        return {
            "PIP_INDEX_URL": self.address,
            "PIP_EXTRA_INDEX_URL": " ".join(pip_settings.more_indexes()),
            "NO_PROXY": unproxied,
            "no_proxy": unproxied,
        }


def in_place_of(before: str, after: str) -> Change:
    """Return the change that puts one text in the place of another, which must stand in the file exactly once."""

    def change(text: str) -> str:
        found = text.count(before)
        if found != 1:
            raise NothingToPlantIn(f"{before.strip()!r} stands {found} times, not once")
        return text.replace(before, after)

    return change


_DECODE = "\n                    outputs = model_forward(**model_inputs, return_dict=True)\n"
_CHOICE = "\n                    next_tokens = torch.argmax(next_token_scores, dim=-1)\n"
_BLOOM_BEGINS = "\n        if (input_ids is None) ^ (inputs_embeds is not None):\n"

# One pass more for each token after the first, whose logits nobody reads and which sees no cache.
EXTRA_FORWARD_PASS: Mapping[str, Change] = {
    GENERATION: in_place_of(
        _DECODE, f"{_DECODE}                    self(input_ids=input_ids[:, -1:], use_cache=False, return_dict=True)\n"
    )
}

# The second best token wherever the row so far is a multiple of 8 long.
OTHER_TOKENS: Mapping[str, Change] = {
    GENERATION: in_place_of(
        _CHOICE,
        f"{_CHOICE}                    if input_ids.shape[1] % 8 == 0:\n"
        "                        next_tokens = torch.topk(next_token_scores, 2, dim=-1).indices[:, 1]\n",
    )
}


def slow_forward_pass(seconds: float) -> Mapping[str, Change]:
    """Return the changes by which each forward pass of a BLOOM sleeps before it begins."""
    return {BLOOM: in_place_of(_BLOOM_BEGINS, f'\n        __import__("time").sleep({seconds!r})\n{_BLOOM_BEGINS[1:]}')}


def release(
    project: str,
    version: str,
    as_version: str,
    changes: Mapping[str, Change] | None = None,
    demands: Sequence[str] = (),
) -> Planted:
    """Return a real release under another version, with changes planted in its files and ``demands`` added to what it asks for.

    ``changes`` maps the path of a file, as Python imports it, to its change. No change is a harmless release. The file is the wheel that
    fits this Python best, or the source distribution where there is no wheel. Raises ``NothingToPlantIn`` where the index has no such
    release or the release has no such file or text.
    """
    listed, content = _real(project, version)
    name = str(listed["filename"])
    rewrite = _wheel if name.endswith(".whl") else _source_distribution
    new_name, new_content, metadata = rewrite(name, content, version, as_version, changes or {}, demands)
    package = Package(str(canonicalize_name(project)), as_version, new_name, new_content)
    return Planted(package, str(listed["upload-time"]), listed.get("requires-python"), metadata, package.sha256)


def with_wrong_hash(planted: Planted) -> Planted:
    """Return the release as an index would list it that tells another hash than that of the bytes: pip refuses such a file."""
    return replace(planted, listed_sha256=hashlib.sha256(b"not " + planted.package.content).hexdigest())


@contextmanager
def serve(planted: Sequence[Planted], port: int = 0) -> Iterator[Index]:
    """Serve planted releases beside all that the user's main index has, on a port of one's own or on any that is free.

    The name of an environment that ``bump-check`` keeps holds the index: on the same port it is found again.
    """
    # who is served names this index in the variables of this very process
    upstream = pip_settings.index()
    pages = {one.package.project: _page_of(upstream, one.package.project) for one in planted}
    files: dict[str, bytes] = {}
    index_asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            index_asked.append(self.path)
            kind, _, rest = self.path.strip("/").partition("/")
            if kind == "simple" and rest in pages:
                self._answer(200, _SIMPLE_JSON, pages[rest])
            elif kind == "simple":
                self._pass_on(rest)
            elif rest in files:
                self._answer(200, "application/octet-stream", files[rest])
            else:
                self._answer(404, "text/plain", b"")

        def _pass_on(self, project: str) -> None:
            # each page is fetched once: uv asks for sixty of them, each time that it compiles a stack
            try:
                self._answer(200, _SIMPLE_JSON, _page_of(upstream, project))
            except urllib.error.HTTPError as refusal:
                self._answer(refusal.code, "text/plain", b"")
            except OSError:
                self._answer(503, "text/plain", b"")

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            # the next index on this port is another one
            self.send_header("Cache-Control", "no-store")
            # uv hangs up where it needs no more
            try:
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        for one in planted:
            path = f"{one.listed_sha256}/{one.package.name}"
            files[path] = one.package.content
            if one.metadata is not None:
                files[f"{path}.metadata"] = one.metadata
            page = pages[one.package.project]
            pages[one.package.project] = _with(page, one.package.version, _entry(one, f"{address}/files/{path}"))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Index(f"{address}/simple", index_asked)
        finally:
            server.shutdown()


def _entry(planted: Planted, address: str) -> dict[str, Any]:
    """Return what a page says of a planted release's file (PEP 691, 700 and 714)."""
    entry: dict[str, Any] = {
        "filename": planted.package.name,
        "hashes": {"sha256": planted.listed_sha256},
        "requires-python": planted.requires_python,
        "size": len(planted.package.content),
        "upload-time": planted.upload_time,
        "url": address,
        "yanked": False,
    }
    if planted.metadata is not None:
        entry["core-metadata"] = {"sha256": hashlib.sha256(planted.metadata).hexdigest()}
    return entry


@functools.cache
def _page_of(index: str, project: str) -> bytes:
    """Return the page of a project as an index has it, every address whole."""
    address = f"{index.rstrip('/')}/{canonicalize_name(project)}/"
    page = json.loads(_fetched(address))
    for file in page["files"]:
        file["url"] = urllib.parse.urljoin(address, file["url"])
    return json.dumps(page).encode()


def _fetched(address: str) -> bytes:
    """Return what the user's index sends.

    Not by the kit's own ``web``: that asks no index twice which was once slow, and the code under test asks in the same process.
    """
    with urllib.request.urlopen(
        urllib.request.Request(address, headers={"Accept": f"{_SIMPLE_JSON}, */*;q=0.1"})
    ) as answer:
        content: bytes = answer.read()
    return content


def _with(page: bytes, version: str, entry: dict[str, Any]) -> bytes:
    """Return a page with one more file."""
    listed = json.loads(page)
    if any(file["filename"] == entry["filename"] for file in listed["files"]):
        raise NothingToPlantIn(f"the index has {entry['filename']} already; plant another version")
    listed["files"].append(entry)
    listed["versions"] = [*listed.get("versions", []), version]
    return json.dumps(listed).encode()


@functools.cache
def _real(project: str, version: str) -> tuple[dict[str, Any], bytes]:
    """Return the entry and the bytes of a release's file: the wheel that fits this Python best, else the source distribution."""
    listed = {file["filename"]: file for file in json.loads(_page_of(pip_settings.index(), project))["files"]}
    stem = str(canonicalize_name(project)).replace("-", "_")
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    fitting: list[tuple[int, str]] = []
    for name in listed:
        if name.endswith(".whl") and canonicalize_name(name.split("-")[0]) == canonicalize_name(project):
            if name.split("-")[1] == version:
                fitting += [(ranks[tag], name) for tag in parse_wheel_filename(name)[3] if tag in ranks]
        elif name.replace("-", "_").lower() == f"{stem}_{version}.tar.gz":
            fitting.append((len(ranks), name))
    if not fitting:
        raise NothingToPlantIn(f"the index has no file of {project} {version} for this Python")
    file = listed[min(fitting)[1]]
    content = _fetched(file["url"])
    assert hashlib.sha256(content).hexdigest() == file["hashes"]["sha256"]
    return file, content


def _wheel(
    name: str, content: bytes, version: str, as_version: str, changes: Mapping[str, Change], demands: Sequence[str]
) -> tuple[str, bytes, bytes | None]:
    """Return name, bytes and METADATA of a wheel under another version."""
    distribution = name.split("-")[0]
    old, new = f"{distribution}-{version}.", f"{distribution}-{as_version}."
    info = f"{new}dist-info"
    written: dict[str, tuple[zipfile.ZipInfo, bytes]] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            path = new + entry.filename.removeprefix(old) if entry.filename.startswith(old) else entry.filename
            if not entry.is_dir() and path != f"{info}/RECORD":
                written[path] = entry, archive.read(entry)
    _plant(name, changes, {path: data for path, (_, data) in written.items()}, written)
    entry, metadata = written[f"{info}/METADATA"]
    metadata = _metadata(metadata, version, as_version, demands)
    written[f"{info}/METADATA"] = entry, metadata
    record = io.StringIO()
    lines = csv.writer(record, lineterminator="\n")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, (entry, data) in written.items():
            _add(archive, path, entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.writerow([path, f"sha256={digest}", len(data)])
        lines.writerow([f"{info}/RECORD", "", ""])
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD", (2020, 1, 1, 0, 0, 0)), record.getvalue())
    return name.replace(f"{distribution}-{version}-", f"{distribution}-{as_version}-", 1), packed.getvalue(), metadata


def _add(archive: zipfile.ZipFile, path: str, entry: zipfile.ZipInfo, data: bytes) -> None:
    """Add a file to a wheel under a path, with the date and the mode of another wheel's entry."""
    info = zipfile.ZipInfo(path, entry.date_time)
    info.external_attr, info.compress_type = entry.external_attr, zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def _plant(
    name: str,
    changes: Mapping[str, Change],
    contents: Mapping[str, bytes],
    written: dict[str, tuple[Any, bytes]],
    folder: str = "",
) -> None:
    """Change the named files among those that are written; ``folder`` is where the paths begin."""
    for path, change in changes.items():
        if folder + path not in contents:
            raise NothingToPlantIn(f"{name} has no file {path}")
        before = contents[folder + path].decode("utf-8")
        try:
            after = change(before)
        except NothingToPlantIn as problem:
            raise NothingToPlantIn(f"{name}, {path}: {problem}") from None
        if after == before:
            raise NothingToPlantIn(f"{name}, {path}: the change changes nothing")
        written[folder + path] = written[folder + path][0], after.encode("utf-8")


def _source_distribution(
    name: str, content: bytes, version: str, as_version: str, changes: Mapping[str, Change], demands: Sequence[str]
) -> tuple[str, bytes, bytes | None]:
    """Return name and bytes of a source distribution under another version.

    The version stands in each PKG-INFO, and in a file of the first level that holds nothing else, as DeepSpeed's version.txt does.
    """
    old, new = name.removesuffix(".tar.gz"), name.removesuffix(".tar.gz").replace(version, as_version)
    written: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
    others: list[tarfile.TarInfo] = []
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for entry in archive.getmembers():
            path = new + entry.name.removeprefix(old)
            stream = archive.extractfile(entry) if entry.isfile() else None
            if stream is None:
                others.append(entry.replace(name=path, deep=False))
                continue
            data = stream.read()
            if path.rpartition("/")[2] == "PKG-INFO":
                data = _metadata(data, version, as_version, demands)
            elif path.count("/") == 1 and data.strip() == version.encode():
                data = data.replace(version.encode(), as_version.encode())
            written[path] = entry, data
    _plant(name, changes, {path: data for path, (_, data) in written.items()}, written, f"{new}/")
    packed = io.BytesIO()
    # the name and the time in gzip's head would make other bytes each time
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for entry in others:
            archive.addfile(entry)
        for path, (entry, data) in written.items():
            # hard links come out as the files that they are
            copy = entry.replace(name=path, deep=False)
            copy.type, copy.linkname, copy.size = tarfile.REGTYPE, "", len(data)
            copy.pax_headers = {}
            archive.addfile(copy, io.BytesIO(data))
    return f"{new}.tar.gz", packed.getvalue(), None


def _metadata(content: bytes, version: str, as_version: str, demands: Sequence[str]) -> bytes:
    """Return core metadata of another version with more demands."""
    lines = "".join(f"Requires-Dist: {demand}\n" for demand in demands)
    text = content.decode("utf-8")
    return in_place_of(f"\nVersion: {version}\n", f"\nVersion: {as_version}\n{lines}")(text).encode("utf-8")
