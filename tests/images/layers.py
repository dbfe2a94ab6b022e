"""Read the layers of an image in an OCI layout file by file, so that what differs between two builds can be named."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """A file, folder or link of a layer; ``content`` is the sha256 of a file, and where a link leads."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    mtime: int
    content: str


# The entries of a layer by path.
Layer = dict[str, Entry]


def read(layout: Path) -> tuple[str, list[Layer]]:
    """Return (digest of the manifest, list of layers); a layer maps path to ``Entry``."""
    layout = Path(layout)
    (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
    layers = [
        _layer(_blob(layout, layer["digest"]))
        for layer in json.loads(_blob(layout, manifest["digest"]).read_text())["layers"]
    ]
    return manifest["digest"], layers


def differences(layers: Sequence[Layer], other_layers: Sequence[Layer]) -> list[str]:
    """Return a line per path whose entry differs between two lists of layers."""
    lines = []
    for number, (layer, other_layer) in enumerate(zip(layers, other_layers, strict=True)):
        for path in sorted({*layer, *other_layer}):
            if layer.get(path) != other_layer.get(path):
                lines.append(f"layer {number}: {path}: {layer.get(path)} and {other_layer.get(path)}")
    return lines


def unclean(layer: Layer, epoch: int) -> list[str]:
    """Return a line for whatever in a layer could not be the same bytes in every build, or should not be there at all."""
    lines = []
    for path, entry in layer.items():
        if entry.mtime != epoch:
            lines.append(f"{path}: its time is {entry.mtime}, not that of the commit, {epoch}")
        if entry.owner != (0, 0) or (entry.kind != tarfile.SYMTYPE and entry.mode & 0o7022):
            lines.append(f"{path}: owner {entry.owner}, mode {entry.mode:o}")
        if path.endswith((".pyc", ".log")) or path.startswith(("var/", "root/", "tmp/", "run/")):
            lines.append(f"{path}: is a trace of building")
    return lines


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _layer(path: Path) -> Layer:
    entries = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = member.linkname
            if member.isfile():
                file = archive.extractfile(member)
                assert file is not None, "a regular file"
                content = hashlib.sha256(file.read()).hexdigest()
            entries[member.name] = Entry(
                member.type, member.mode & 0o7777, (member.uid, member.gid), int(member.mtime), content
            )
    return entries
