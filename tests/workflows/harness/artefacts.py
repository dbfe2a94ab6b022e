"""Artefacts of a run: folders that one job uploads and another downloads, by the rules of actions/upload-artifact 4 and later.

Its README: a name is used once in a run, names and paths may not hold certain signs, hidden files are left out, an upload of nothing is
a warning, an error or nothing, and a link is followed: the artefact holds what the link leads to.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.workflows.harness.expressions import NotKnown

_NOT_IN_A_PATH = re.compile(r'[":<>|*?\r\n]')
_NOT_IN_A_NAME = re.compile(r'[":<>|*?\r\n\\/]')


class ActionFailed(Exception):
    """An action ends with an error, as the forge's own would."""


@dataclass(frozen=True)
class Artefacts:
    """The artefacts of one run below a folder."""

    folder: Path

    def upload(self, workspace: Path, name: str, path: str, if_none: str) -> str:
        """Keep a file or a folder of a job; return a line for the log. Raises ``ActionFailed`` for what the real action refuses."""
        if not name or _NOT_IN_A_NAME.search(name):
            raise ActionFailed(f"The artifact name is not valid: {name!r}")
        if re.search(r"[*?!\n]|\$\{", path) or if_none not in ("error", "warn", "ignore"):
            raise NotKnown(f"upload-artifact with the path {path!r} and if-no-files-found {if_none!r}")
        found = _files(workspace / path)
        if not found:
            said = f"No files were found with the provided path: {path}."
            if if_none == "error":
                raise ActionFailed(said)
            return f"{said} No artifacts will be uploaded."
        for inside in found:
            if _NOT_IN_A_PATH.search(inside.as_posix()):
                raise ActionFailed(f"The path for one of the files in artifact is not valid: {inside}")
        kept = self.folder / name
        if kept.exists():
            raise ActionFailed(f"Conflict: an artifact with this name already exists on the workflow run: {name}")
        begin = workspace / path if (workspace / path).is_dir() else (workspace / path).parent
        for inside in found:
            (kept / inside).parent.mkdir(parents=True, exist_ok=True)
            # by its content: a link is followed, and no mode is kept
            (kept / inside).write_bytes((begin / inside).read_bytes())
        return f"Artifact {name} has {len(found)} files"

    def download(self, workspace: Path, name: str, path: str) -> str:
        """Copy an artefact into a job; return a line for the log. Raises ``ActionFailed`` where the run has none of the name."""
        kept = self.folder / name
        if not kept.is_dir():
            raise ActionFailed(f"Unable to download artifact(s): Artifact not found for name: {name}")
        # with symbolic links, if somebody put one there: what takes the artefact must not trust that there is none
        shutil.copytree(kept, workspace / path, symlinks=True, dirs_exist_ok=True)
        return f"Artifact {name} is in {path}"


def _files(start: Path) -> list[Path]:
    """Return the files to keep, below ``start``, in their order: no hidden ones, and no link that leads nowhere."""
    if start.is_file():
        return [Path(start.name)]
    found = []
    for folder, folders, names in os.walk(start, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(folder, name).is_file():
                found.append(Path(folder, name).relative_to(start))
    return found
