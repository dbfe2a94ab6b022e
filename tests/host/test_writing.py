"""Files are written whole, into regular files alone."""

import errno
import os
import stat
from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.host import writing


def test_a_new_file_gets_its_folders_and_the_user_s_mask(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    before = os.umask(0o027)
    try:
        writing.write_text(path, "é")
    finally:
        os.umask(before)
    assert path.read_text(encoding="utf-8") == "é"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [found.name for found in path.parent.iterdir()] == ["b"]


@pytest.mark.parametrize("kind", ["fifo", "folder", "link to a fifo", "loop", "below a file", "surrogate"])
def test_what_is_no_regular_file_is_refused_and_left(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "target"
    text = "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to a fifo":
        os.mkfifo(tmp_path / "fifo")
        path.symlink_to(tmp_path / "fifo")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "below a file":
        path.write_text("a file")
        path = path / "x"
    else:
        text = "\udcff"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        writing.write_text(path, text, "Name another one.")
    assert str(caught.value).startswith(f"{path} cannot be written: ") and str(caught.value).endswith(
        ". Name another one."
    )
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_cannot_be_made_whole_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "target"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match="No space left on device"):
        writing.write_text(path, "new")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


def test_a_file_system_that_cannot_sync_takes_the_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FUSE, SMB and mounts of object stores answer."""
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.EINVAL, "Invalid argument")))
    writing.write_text(tmp_path / "target", "new")
    assert (tmp_path / "target").read_text() == "new"
