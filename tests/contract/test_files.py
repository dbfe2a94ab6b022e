import os
import socket
import stat
from pathlib import Path

import pytest

from runner.contract import files
from runner.contract.errors import DamagedResult, InputError


def test_a_regular_file_is_read_and_hashed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert files.read_bytes(path, 3) == b"abc"
    assert files.sha256_of_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with files.open_regular(path) as file:
        assert os.get_blocking(file.fileno())


def test_more_than_the_bound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcd")
    with pytest.raises(InputError, match="file has more than 3 bytes, the most that are read of such a file. Check"):
        files.read_bytes(path, 3)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    """Each of these would be waited for, or never end; a test that hangs here has failed."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for path, words in {
        "fifo": "it is a FIFO \\(a named pipe\\), not a regular file",
        "link": "it is a FIFO",
        "socket": "it is a socket, not",
        "/dev/zero": "it is a character device, not",
        ".": "Is a directory",
    }.items():
        with pytest.raises(InputError, match=f"cannot be read: {words}"):
            files.read_bytes(tmp_path / path, 10)
        with pytest.raises(OSError):
            files.sha256_of_file(tmp_path / path)


def test_a_file_that_becomes_a_fifo_before_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    real = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(files.os, "stat", lambda path: real)
    with pytest.raises(files.NotRegular, match="FIFO"):
        files.open_regular(path)


def test_the_reason_says_what_the_path_shows(tmp_path: Path) -> None:
    with pytest.raises(DamagedResult, match=r"none cannot be read: No such file or directory\. Look\."):
        files.read_bytes(tmp_path / "none", 1, DamagedResult, "Look.")
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(InputError, match="No such file or directory; it is a link to gone, which is not there"):
        files.read_bytes(tmp_path / "link", 1)
    path = tmp_path / "closed"
    path.write_bytes(b"")
    path.chmod(0o600)
    told = files.reason(PermissionError(13, "Permission denied", str(path)))
    assert told == (
        f"Permission denied; its mode is 0600, its owner is user {os.geteuid()}, and this process is user {os.geteuid()}"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files.reason(OSError("no words but these")) == "no words but these"
