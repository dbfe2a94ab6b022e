from __future__ import annotations

import errno
import os
from pathlib import Path
from types import ModuleType

import pytest

from runner.contract import publish
from runner.contract.errors import PublishFailed
from runner.contract.words import PublishedBy


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "r.json"
    publish.publish(str(path), b"content")
    assert path.read_bytes() == b"content"
    assert os.listdir(path.parent) == ["r.json"]


def test_a_name_that_is_taken_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    publish.publish(str(path), b"first")
    with pytest.raises(PublishFailed, match="File exists"):
        publish.publish(str(path), b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["r.json"]


@pytest.mark.parametrize("call", ["fsync", "link"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.ESTALE])
def test_an_error_of_the_disk_is_said_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(PublishFailed, match=os.strerror(code)):
        publish.publish(str(tmp_path / "r.json"), b"content")
    assert os.listdir(tmp_path) == []


def test_a_lost_reply_of_a_link_that_worked_is_a_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS: the server linked, the answer was lost, and the repeated call says that the name is taken."""
    link = os.link

    def link_and_lose_the_reply(source: str, target: str) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", link_and_lose_the_reply)
    publish.publish(str(tmp_path / "r.json"), b"content")
    assert (tmp_path / "r.json").read_bytes() == b"content"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishFailed, match="could not be written"):
        publish.publish(str(tmp_path / "file" / "r.json"), b"content")


def test_a_bare_name_is_written_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    publish.publish("r.json", b"content")
    assert os.listdir(tmp_path) == ["r.json"]


def test_the_temporary_file_lies_beside_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link does not cross from one file system to another."""
    linked: list[str] = []
    link = os.link

    def noted(source: str, target: str) -> None:
        linked.append(source)
        link(source, target)

    monkeypatch.setattr(os, "link", noted)
    publish.publish(str(tmp_path / "r.json"), b"content")
    assert [os.path.dirname(source) for source in linked] == [str(tmp_path)]


def test_a_folder_that_cannot_be_synced_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(publish, "sync_folder", fail)
    with pytest.raises(PublishFailed, match=os.strerror(errno.EIO)):
        publish.publish(str(tmp_path / "r.json"), b"content")
    assert os.listdir(tmp_path) == []


def test_a_temporary_file_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(publish, "open", fail, raising=False)
    with pytest.raises(PublishFailed, match=os.strerror(errno.ENOSPC)):
        publish.publish(str(tmp_path / "r.json"), b"content")
    assert os.listdir(tmp_path) == []


def refuse(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, code: int) -> None:
    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(module, name, fail)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EXDEV])
@pytest.mark.parametrize("lacking, by", [(("link",), "rename"), (("link", "rename"), "create")])
def test_a_file_system_without_links_or_renames_is_written_to_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, lacking: tuple[str, ...], by: PublishedBy
) -> None:
    for name in lacking:
        refuse(monkeypatch, os, name, code)
    path = tmp_path / "deep" / "r.json"
    assert publish.publish(str(path), b"first") == publish.Manner(by)
    with pytest.raises(PublishFailed, match="File exists"):
        publish.publish(str(path), b"second")
    assert (path.read_bytes(), os.listdir(path.parent)) == (b"first", ["r.json"])


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF])
def test_a_folder_that_cannot_be_synced_at_all_is_said_and_keeps_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    fsync = os.fsync

    def only_files(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(code, os.strerror(code))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    assert publish.publish(str(tmp_path / "r.json"), b"content") == publish.Manner(folder_synced=False)
    assert (tmp_path / "r.json").read_bytes() == b"content"


def test_a_claim_that_is_held_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, os, "link", errno.EPERM)
    (tmp_path / ".r.json.claim").write_bytes(b"")
    with pytest.raises(PublishFailed, match=r"another writer holds .*\.r\.json\.claim, or was killed with it"):
        publish.publish(str(tmp_path / "r.json"), b"content")
    assert os.listdir(tmp_path) == [".r.json.claim"]


def test_a_file_that_breaks_while_it_is_written_under_its_name_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("link", "rename"):
        refuse(monkeypatch, os, name, errno.ENOSYS)
    refuse(monkeypatch, publish.shutil, "copyfileobj", errno.ENOSPC)
    with pytest.raises(PublishFailed, match="No space left"):
        publish.publish(str(tmp_path / "r.json"), b"content")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("lacking", [(), ("link",), ("link", "rename")])
def test_a_file_that_is_there_gets_its_name_without_a_second_copy_where_that_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...]
) -> None:
    for name in lacking:
        refuse(monkeypatch, os, name, errno.EPERM)
    (tmp_path / "rows.part").write_bytes(b"rows")
    publish.move(str(tmp_path / "rows.part"), str(tmp_path / "rows"))
    assert (os.listdir(tmp_path), (tmp_path / "rows").read_bytes()) == (["rows"], b"rows")
    (tmp_path / "rows.part").write_bytes(b"more")
    with pytest.raises(PublishFailed, match="could not be renamed"):
        publish.move(str(tmp_path / "rows.part"), str(tmp_path / "rows"))
    assert (tmp_path / "rows.part").read_bytes() == b"more"


def test_a_trial_leaves_nothing_and_tells_how_files_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert publish.probe(str(tmp_path / "new" / "deep"), 1000) == publish.USUAL
    refuse(monkeypatch, os, "link", errno.EPERM)
    assert publish.probe(str(tmp_path), 1000).by == "rename"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "link", "write"])
def test_a_trial_of_a_folder_that_takes_nothing_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Whatever ``os.access`` says of the folder."""
    if call == "write":
        monkeypatch.setattr(publish, "open", lambda *_: open("/dev/full", "wb"), raising=False)
    else:
        refuse(monkeypatch, os, call, errno.ENOSPC)
    with pytest.raises(
        PublishFailed, match=r"nothing was measured: No space left on device\. A file of 1,000,000 bytes"
    ):
        publish.probe(str(tmp_path / "new"), 1_000_000)
    assert os.listdir(tmp_path) == []
