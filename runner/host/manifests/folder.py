"""The folder of rendered files: write the files, or compare them with what would be written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from runner.contract.errors import InputError
from runner.contract.files import NotRegular, open_regular, reason
from runner.host import paths, writing
from runner.host.manifests.text import is_rendered

MAX_BYTES = 64 * 1024 * 1024


class Link(NamedTuple):
    """A symbolic link in the place of a file."""

    target: str


# What a folder holds in the place of a file: its text, or a link.
Content = str | Link


def write(folder: Path, files: Mapping[Path, Content], beside: Mapping[Path, str]) -> None:
    """Write all files, and remove the files that an earlier version of a set left: kubectl would apply them too.

    ``files`` are by their paths below ``folder``, ``beside`` by their own paths. Raises ``InputError`` for what cannot be written or
    removed, and for a link that leads out of the folder.
    """
    for path in files:
        if paths.leads_outside(path, folder):
            raise InputError(f"{folder / path} is a link that leads out of {folder}. Remove it, or name another --out.")
    for path, content in files.items():
        if isinstance(content, Link):
            writing.write_link(folder / path, content.target, "Name another folder with --out.")
        else:
            writing.write_text(folder / path, content, "Name another folder with --out.")
    for path, text in beside.items():
        writing.write_text(path, text)
    try:
        for path in _stale(folder, files):
            path.unlink()
    except OSError as problem:
        raise InputError(
            f"{problem.filename} cannot be removed: {problem.strerror}. Name another folder with --out."
        ) from None


def compare(folder: Path, files: Mapping[Path, Content], beside: Mapping[Path, str]) -> None:
    """Raise ``InputError`` with the files whose content is not what ``write`` would write."""
    different = [folder / path for path, content in files.items() if _there(folder / path) != content]
    different += _stale(folder, files)
    different += [path for path, text in beside.items() if _read(path) != text]
    if different:
        listed = ", ".join(paths.shown(path) for path in sorted(different))
        raise InputError(
            f"{listed}: not what catalog and lock make. Run `python -m runner render` and commit what it writes."
        )


def _stale(folder: Path, files: Collection[Path]) -> list[Path]:
    """Return the files in the folders of ``files`` that this verb wrote and would not write now."""
    beside = {neighbour for path in files for neighbour in (folder / path.parent).glob("*.yaml")}
    return sorted(path for path in beside if path.relative_to(folder) not in files and is_rendered(_read(path)))


def _there(path: Path) -> Content | None:
    """Return the content of a file, or where a link leads to."""
    return Link(str(path.readlink())) if path.is_symlink() else _read(path)


def _read(path: Path) -> str | None:
    """Return the text of a file, None where there is no file, or no regular file of UTF-8."""
    try:
        with open_regular(path) as file:
            return file.read(MAX_BYTES).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError, NotRegular, UnicodeDecodeError):
        return None
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {reason(problem)}. Name another folder with --out.") from None
