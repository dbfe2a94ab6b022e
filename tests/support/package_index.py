"""A package index on loopback, with small files made here and this Python's own pip. For tests."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import io
import json
import os
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

from runner.contract.recipe import NAME, TOOLS, GitSource, LockedFile, Recipe

ROOT = Path(__file__).parents[2]
PYTHON = ".".join(map(str, sys.version_info[:2]))


class Package(NamedTuple):
    """A file of an index. ``uploaded`` is a moment such as 2026-11-20T12:00:00Z, ``withdrawn`` the reason why it was yanked."""

    project: str
    version: str
    name: str
    content: bytes
    uploaded: str | None = None
    requires_python: str | None = None
    withdrawn: str | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def requirement(self, marker: str = "") -> str:
        """Return the lines of a requirements file that lock the package."""
        return f"{self.project}=={self.version}{marker} \\\n    --hash=sha256:{self.sha256}\n"


def wheel(project: str, version: str, files: Mapping[str, bytes]) -> Package:
    """Return a wheel of any Python that holds ``files``."""
    info = f"{project}-{version}.dist-info"
    whole = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, content in whole.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}\n")
    whole[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in whole.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), content)
    return Package(project, version, f"{project}-{version}-py3-none-any.whl", packed.getvalue())


def source_distribution(project: str, version: str, setup: str) -> Package:
    """Return a source distribution with a setup.py of the text ``setup``."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content in {"setup.py": setup, "PKG-INFO": f"Name: {project}\nVersion: {version}\n"}.items():
            member = tarfile.TarInfo(f"{project}-{version}/{path}")
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return Package(project, version, f"{project}-{version}.tar.gz", packed.getvalue())


@functools.lru_cache(maxsize=1)
def own_pip() -> Package:
    """Return this Python's pip as a wheel."""
    # Not by an import: where setuptools finds pip imported, it leaves distutils to Python, and torch compiles nothing then.
    installed = distribution("pip")
    folder = Path(str(installed.locate_file("pip")))
    files = {
        f"pip/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return wheel("pip", installed.version, files)


@contextmanager
def serve(
    packages: list[Package], sabotage: Callable[[str, bytes], bytes] | None = None, as_json: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Serve packages. Yields the index's address and the log of paths that were asked for.

    The pages of packages are HTML, which says no day of an upload, or JSON, which does.
    ``sabotage(name, content)`` may return other bytes to send in the place of a file's; fewer bytes arrive as an answer that was cut off.
    """
    log: list[str] = []
    files = {package.name: package.content for package in packages}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            log.append(self.path)
            kind, name = self.path.strip("/").split("/", 1)
            if kind == "simple":
                listed = [one for one in packages if one.project == name]
                status, (kind_of_text, content) = (200 if listed else 404), (_json if as_json else _html)(listed)
            else:
                status, kind_of_text, content = 200, "application/octet-stream", files[name]
            sent = sabotage(name, content) if sabotage and kind == "files" else content
            self.send_response(status)
            self.send_header("Content-Type", kind_of_text)
            self.send_header("Content-Length", str(max(len(content), len(sent))))
            if len(sent) < len(content):
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(sent)
            if len(sent) < len(content):
                self.close_connection = True

        def do_HEAD(self) -> None:
            """Say that only whole files are sent: uv asks so before it asks for a part of a wheel."""
            self.send_response(405)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple", log
    finally:
        server.shutdown()
        server.server_close()


def _html(listed: list[Package]) -> tuple[str, bytes]:
    """Return the media type and the bytes of a page of PEP 503."""
    links = []
    for one in listed:
        said = {"data-requires-python": one.requires_python, "data-yanked": one.withdrawn}
        attributes = "".join(f' {name}="{html.escape(value)}"' for name, value in said.items() if value is not None)
        links.append(f'<a href="/files/{one.name}#sha256={one.sha256}"{attributes}>{one.name}</a>')
    return "text/html", "\n".join(links).encode()


def _json(listed: list[Package]) -> tuple[str, bytes]:
    """Return the media type and the bytes of a page of PEP 691 and 700."""
    entries = [
        {
            "filename": one.name,
            "url": f"/files/{one.name}",
            "hashes": {"sha256": one.sha256},
            "requires-python": one.requires_python,
            "yanked": False if one.withdrawn is None else one.withdrawn or True,
            **({"upload-time": one.uploaded} if one.uploaded is not None else {}),
        }
        for one in listed
    ]
    page = {"meta": {"api-version": "1.1"}, "name": listed[0].project if listed else "", "files": entries}
    return "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()


class Kit:
    """A folder as a pod has at /opt/kit: requirements, and the recipe of a stack of small packages."""

    def __init__(
        self,
        folder: Path,
        packages: list[Package],
        sources: Mapping[str, GitSource] | None = None,
        lines: str = "",
        torch: Package | None = None,
        torch_index: str | None = None,
        **more: object,
    ) -> None:
        self.folder, self.recipe_folder = folder, folder / "recipe"
        self.tools = [own_pip(), wheel("wheel", "0.45.1", {"wheel/__init__.py": b""})]
        (self.recipe_folder / "programs").mkdir(parents=True)
        requirements = self._write(
            folder / "images/cpu/requirements-cpu.txt", "".join(one.requirement() for one in packages) + lines
        )
        tools = self._write(self.recipe_folder / TOOLS, "".join(one.requirement() for one in self.tools))
        locked_torch = None
        if torch is not None:
            sha256 = self._write(folder / "images/cpu/torch-cpu.txt", torch.requirement())
            locked_torch = LockedFile("images/cpu/torch-cpu.txt", sha256, torch_index)
        values = {
            "stack": "small",
            "python": PYTHON,
            "exact_python": True,
            "tools_sha256": tools,
            "torch": locked_torch,
            "requirements": LockedFile("images/cpu/requirements-cpu.txt", requirements, None),
            "source_only": ["from-source"],
            "sources": dict(sources or {}),
            "programs": [],
            "install_arguments": [],
            "base_inventory": None,
            "unresolved": [],
            **more,
        }
        self.recipe = Recipe(**values)  # type: ignore[arg-type]
        (self.recipe_folder / NAME).write_text(self.recipe.text())
        (self.recipe_folder / "install.sh").write_bytes((ROOT / "images" / "install.sh").read_bytes())

    @staticmethod
    def _write(path: Path, text: str) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return hashlib.sha256(text.encode()).hexdigest()


def variables(address: str) -> dict[str, str]:
    """Return the variables of a process that asks the index at ``address`` alone."""
    # a slow machine is no reason to wait longer for an index that refuses
    settings = {"PIP_INDEX_URL": address, "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    return {**os.environ, **settings, "PYTHONDONTWRITEBYTECODE": "1"}
