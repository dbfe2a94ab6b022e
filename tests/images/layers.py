"""Read the layers of an image in an OCI layout file by file, so that what differs between two builds can be named."""

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    kind: bytes
    mode: int
    owner: tuple
    mtime: int
    content: str


def read(layout):
    """Return (digest of the manifest, list of layers); a layer maps path to ``Entry``."""
    layout = Path(layout)
    (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
    layers = [
        _layer(_blob(layout, layer["digest"]))
        for layer in json.loads(_blob(layout, manifest["digest"]).read_text())["layers"]
    ]
    return manifest["digest"], layers


def differences(one, other):
    """Return a line per path whose entry differs between two lists of layers."""
    told = []
    for number, (here, there) in enumerate(zip(one, other, strict=True)):
        for path in sorted({*here, *there}):
            if here.get(path) != there.get(path):
                told.append(f"layer {number}: {path}: {here.get(path)} and {there.get(path)}")
    return told


def unclean(layer, epoch):
    """Return a line for whatever in a layer could not be the same bytes in every build, or should not be there at all."""
    told = []
    for path, entry in layer.items():
        if entry.mtime != epoch:
            told.append(f"{path}: its time is {entry.mtime}, not that of the commit, {epoch}")
        if entry.owner != (0, 0) or (entry.kind != tarfile.SYMTYPE and entry.mode & 0o7022):
            told.append(f"{path}: owner {entry.owner}, mode {entry.mode:o}")
        if path.endswith((".pyc", ".log")) or path.startswith(("var/", "root/", "tmp/", "run/")):
            told.append(f"{path}: is a trace of building")
    return told


def _blob(layout, digest):
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _layer(path):
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = member.linkname
            if member.isfile():
                content = hashlib.sha256(archive.extractfile(member).read()).hexdigest()
            found[member.name] = Entry(
                member.type, member.mode & 0o7777, (member.uid, member.gid), int(member.mtime), content
            )
    return found
