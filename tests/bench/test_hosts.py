import base64

import pytest

from runner.bench import hosts
from runner.contract.errors import InputError, LaunchFailed
from tests import samples


def hostfile(folder, text):
    path = folder / "hostfile"
    path.write_text(text)
    return str(path)


def test_hosts_come_in_the_order_of_the_file(tmp_path):
    path = hostfile(tmp_path, "# the first is the master\n\n10.0.0.7 slots=8\nnode-2.example slots=4  \n")
    assert hosts.read(path, 12) == [("10.0.0.7", 8), ("node-2.example", 4)]


@pytest.mark.parametrize(
    "text, told",
    [
        ("a slots=8\n", r"has 8 slot\(s\) on 1 host\(s\); the request is for 16 device\(s\)\. Change the hostfile"),
        ("", r"has 0 slot\(s\) on 0 host\(s\)"),
        ("a slots=8\nb slots=eight\n", r"line 2 is 'b slots=eight'; a host is written as: ADDRESS slots=8\."),
        ("a slots=16 b\n", "line 1 is 'a slots=16 b'"),
        ("a slots=0\n", "line 1 is 'a slots=0'"),
        ("-oProxyCommand=x slots=16\n", "line 1 is"),  # it would be an option of ssh
        ("a;b slots=16\n", "line 1 is"),
        ("a slots=8\na slots=8\n", r"line 2 names a again\. Give each host one line\."),
    ],
)
def test_a_hostfile_that_does_not_fit_is_told_line_by_line(tmp_path, text, told):
    with pytest.raises(InputError, match=told):
        hosts.read(hostfile(tmp_path, text), 16)


def test_a_hostfile_that_is_not_there_or_no_text_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none cannot be read: No such file or directory\. Check the hostfile\."):
        hosts.read(str(tmp_path / "none"), 2)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="bytes cannot be read: it is not text"):
        hosts.read(str(tmp_path / "bytes"), 2)


def test_what_is_packed_is_one_plain_word_and_comes_back():
    value = {"request": samples.request().to_json(), "variables": {"A": "with 'quotes', $signs and\nlines"}}
    word = hosts.pack(value)
    assert set(word) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert not word.startswith("-")
    assert hosts.unpack(word) == value


@pytest.mark.parametrize("word", ["", "x", "!", base64.b64encode(b"{}").decode(), hosts.pack({"a": 1})[:-6]])
def test_a_word_that_was_changed_is_refused(word):
    with pytest.raises(LaunchFailed, match="not what the parent packed"):
        hosts.unpack(word)
