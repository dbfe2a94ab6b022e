"""Read the manifest files that `render` wrote, or that kustomize made of them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.contract import files
from runner.contract.errors import InputError, UsageError
from runner.contract.records import Json, JsonObject
from runner.host.objects import kinds, names
from runner.host.readers import kubeyaml


@dataclass(frozen=True)
class Manifest:
    """One object of a manifest file."""

    content: JsonObject
    file: Path

    @property
    def kind(self) -> str:
        """Return the kind of the object."""
        return str(self.content["kind"])

    @property
    def name(self) -> str:
        """Return the name of the object."""
        return names.name_of(self.content)

    @property
    def component(self) -> str | None:
        """Return what the object is there for, None where its labels do not say."""
        return names.component_of(self.content)


def read(paths: Iterable[str | Path]) -> list[Manifest]:
    """Return the objects of manifest files, or of the YAML and JSON files of folders, in the order in which kubectl takes them.

    Folders within a folder are not read, as with ``kubectl apply -f``. Raises ``InputError`` for a file that is no manifest.
    """
    return [
        Manifest(content, file) for path in map(Path, paths) for file in _files(path) for content in _documents(file)
    ]


def runs_of(manifests: Iterable[Manifest], component: str, only: Sequence[str] | None = None) -> list[Manifest]:
    """Return the runs of one component. ``only`` are names, or parts of names, of the runs to take.

    Raises ``UsageError`` where a part is in the name of no run.
    """
    runs = [manifest for manifest in manifests if manifest.kind in kinds.RUNS and manifest.component == component]
    for part in only or ():
        if not any(part in run.name for run in runs):
            raise UsageError(f"No Job of the manifests has {part} in its name: {', '.join(run.name for run in runs)}.")
    return [run for run in runs if not only or any(part in run.name for part in only)]


def _files(path: Path) -> list[Path]:
    if not os.path.lexists(path):
        render = shlex.join(["python", "-m", "runner", "render", "--out", str(path)])
        raise InputError(f"{path} does not exist. Render it: `{render}`.")
    if not path.is_dir():
        return [path]
    try:
        return sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml", ".json"))
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {files.reason(problem)}. Check the path.") from None


def _documents(file: Path) -> list[JsonObject]:
    raw = files.read_bytes(file, kubeyaml.MAX_BYTES, InputError, "Render it again.")
    try:
        documents: list[Json] = []
        for document in kubeyaml.documents(raw):
            is_list = isinstance(document, dict) and document.get("kind") == "List"
            items = document.get("items", []) if is_list else [document]
            if not isinstance(items, list):
                raise kinds.Malformed("its items are no list")
            documents += items
        return [kinds.check_manifest(document) for document in documents if not _is_skipped(document)]
    except (kubeyaml.NotKubernetes, kinds.Malformed) as problem:
        raise InputError(f"{file} is no manifest: {problem}. Render it again.") from None


def _is_skipped(document: Json) -> bool:
    """Return whether a document is empty, or is read by kustomize only."""
    return document is None or (isinstance(document, dict) and document.get("kind") == "Kustomization")
