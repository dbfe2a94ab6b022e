from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.bench.processes import hostfile as hosts
from runner.contract.errors import InputError


def hostfile(folder: Path, text: str) -> str:
    path = folder / "hostfile"
    path.write_bytes(text.encode())
    return str(path)


def test_hosts_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = hostfile(tmp_path, "# the first is the master\n\n10.0.0.7 slots=8\nnode-2.example slots=4  \n")
    assert hosts.read(path, 12) == [("10.0.0.7", 8), ("node-2.example", 4)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a slots=8\n", r"has 8 slot\(s\) on 1 host\(s\); the request is for 16 device\(s\)\. Change the hostfile"),
        ("", r"has 0 slot\(s\) on 0 host\(s\)"),
        ("a slots=8\nb slots=eight\n", r"line 2 is 'b slots=eight'; a host is written as: ADDRESS slots=8\."),
        ("a slots=16 b\n", "line 1 is 'a slots=16 b'"),
        ("a slots=0\n", "line 1 is 'a slots=0'"),
        ("-oProxyCommand=x slots=16\n", "line 1 is"),  # it would be an option of ssh
        ("a;b slots=16\n", "line 1 is"),
        ("a slots=8\na slots=8\n", r"line 2 names a again\. Give each host one line\."),
        ("[::1] slots=8\n::1 slots=8\n", "line 2 names ::1 again"),
        ("bench@10.0.0.7 slots=16\n", r"line 1 is .*, which names a user: put the user into ~/\.ssh/config; a host is"),
        ("node[01-02] slots=8\n", "line 1 is .*, a list of hosts as Slurm and pdsh write it: give each host a line"),
        ("a,b slots=8\n", "a list of hosts as Slurm and pdsh write it"),
        ("a:8\n", "with a number behind the address, as MPICH and ssh write it"),
        ("[::1]:22 slots=16\n", "with a number behind the address"),
        ("a\n", "line 1 is 'a', which says no slots; a host is written as"),
        ("a slots=16 max_slots=8\n", "line 1 is"),
        ("fe80::1%eth0 slots=16\n", "line 1 is"),
        ("a-.b- slots=16\n", "line 1 is"),
        ("\u0430bc slots=16\n", "line 1 is"),  # a Cyrillic letter
        ("a slots=\u0661\u0666\n", "line 1 is"),  # 16 in Arabic digits
        ("a\0 \0s\0l\0", "it is not text in UTF-8, but in UTF-16"),
        ("a" * 300 + " slots=16\n", "line 1 is .*…'; a host"),
    ],
)
def test_a_hostfile_that_does_not_fit_is_told_line_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        hosts.read(hostfile(tmp_path, text), 16)


def test_a_hostfile_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none cannot be read: No such file or directory\. Check the hostfile\."):
        hosts.read(str(tmp_path / "none"), 2)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(
        InputError, match="bytes cannot be read: it is not text in UTF-8, but in UTF-16. Save the hostfile as UTF-8"
    ):
        hosts.read(str(tmp_path / "bytes"), 2)
    (tmp_path / "bytes").write_bytes(b"caf\xe9 slots=2\n")
    with pytest.raises(InputError, match=r"bytes cannot be read: it is not text in UTF-8\. Save"):
        hosts.read(str(tmp_path / "bytes"), 2)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match=r"fifo cannot be read: it is a FIFO"):
        hosts.read(str(tmp_path / "fifo"), 2)


@pytest.mark.parametrize(
    "text, host",
    [
        ("10.0.0.7 slots=2 max_slots=2\n", ("10.0.0.7", 2)),  # OpenMPI
        ("a slots=2 max-slots=4  # the master\n", ("a", 2)),
        ("[::1] slots=2\n", ("::1", 2)),
        ("2001:db8::7 slots=2\n", ("2001:db8::7", 2)),
        ("\ufeffnode-1 slots=2\r\n", ("node-1", 2)),  # as Windows saves UTF-8
        ("worker_0.run.svc.cluster.local. slots=2", ("worker_0.run.svc.cluster.local.", 2)),
    ],
)
def test_forms_that_say_the_same_are_read_and_handed_on_as_deepspeed_reads_them(
    tmp_path: Path, text: str, host: tuple[str, int]
) -> None:
    read = hosts.read(hostfile(tmp_path, text), 2)
    assert read == [host]
    (tmp_path / "scratch").mkdir()
    written = hosts.write(read, str(tmp_path / "scratch"))
    assert Path(written.path).read_text() == f"{host[0]} slots={host[1]}\n"
    assert written.first_address == host[0]
