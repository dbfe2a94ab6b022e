import errno
import os

import pytest

from runner.contract import publish
from runner.contract.errors import PublishFailed


def test_a_file_appears_whole_and_alone(tmp_path):
    path = tmp_path / "deep" / "r.json"
    publish.publish(str(path), b"content")
    assert path.read_bytes() == b"content"
    assert os.listdir(path.parent) == ["r.json"]


def test_a_name_that_is_taken_is_never_replaced(tmp_path):
    path = tmp_path / "r.json"
    publish.publish(str(path), b"first")
    with pytest.raises(PublishFailed, match="File exists"):
        publish.publish(str(path), b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["r.json"]


@pytest.mark.parametrize("call", ["fsync", "link"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.ESTALE])
def test_an_error_of_the_disk_is_said_and_leaves_no_file(tmp_path, monkeypatch, call, code):
    def fail(*arguments, **keywords):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(PublishFailed, match=os.strerror(code)):
        publish.publish(str(tmp_path / "r.json"), b"content")
    assert os.listdir(tmp_path) == []


def test_a_lost_reply_of_a_link_that_worked_is_a_success(tmp_path, monkeypatch):
    """NFS: the server linked, the answer was lost, and the repeated call says that the name is taken."""
    link = os.link

    def link_and_lose_the_reply(source, target):
        link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", link_and_lose_the_reply)
    publish.publish(str(tmp_path / "r.json"), b"content")
    assert (tmp_path / "r.json").read_bytes() == b"content"


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishFailed, match="could not be written"):
        publish.publish(str(tmp_path / "file" / "r.json"), b"content")


def test_a_bare_name_is_written_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    publish.publish("r.json", b"content")
    assert os.listdir(tmp_path) == ["r.json"]


def test_the_temporary_file_lies_beside_its_name(tmp_path, monkeypatch):
    """A link does not cross from one file system to another."""
    linked, link = [], os.link
    monkeypatch.setattr(os, "link", lambda source, target: (linked.append(source), link(source, target)))
    publish.publish(str(tmp_path / "r.json"), b"content")
    assert [os.path.dirname(source) for source in linked] == [str(tmp_path)]


def test_a_folder_that_cannot_be_synced_leaves_no_file(tmp_path, monkeypatch):
    def fail(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(publish, "_sync_folder", fail)
    with pytest.raises(PublishFailed, match=os.strerror(errno.EIO)):
        publish.publish(str(tmp_path / "r.json"), b"content")
    assert os.listdir(tmp_path) == []


def test_a_temporary_file_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(publish, "open", fail, raising=False)
    with pytest.raises(PublishFailed, match=os.strerror(errno.ENOSPC)):
        publish.publish(str(tmp_path / "r.json"), b"content")
    assert os.listdir(tmp_path) == []
