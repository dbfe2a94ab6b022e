from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Callable

import pytest

from runner.bench.pods import reach
from runner.contract.errors import InputError, Unreachable


@pytest.fixture
def hostfile(tmp_path: Path) -> Callable[..., str]:
    path = tmp_path / "hostfile"

    def write(*addresses: str) -> str:
        path.write_text("# a run\n" + "".join(f"{address} slots=8\n" for address in addresses))
        return str(path)

    return write


def test_hosts_that_answer_are_reached_at_once(hostfile: Callable[..., str]) -> None:
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        assert reach.main([hostfile("127.0.0.2", "127.0.0.3"), "--port", str(port), "--within-s", "0"]) == 0


def test_a_host_that_comes_later_is_waited_for(
    hostfile: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reach, "ATTEMPT_S", 0.05)
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    opened = []

    def open_soon() -> None:
        time.sleep(0.2)
        opened.append(socket.create_server(("127.0.0.2", port)))

    thread = threading.Thread(target=open_soon)
    thread.start()
    assert reach.main([hostfile("127.0.0.2"), "--port", str(port), "--within-s", "20"]) == 0
    thread.join()
    opened[0].close()
    assert "waiting for 127.0.0.2" in capsys.readouterr().err


def test_hosts_that_never_answer_end_the_wait_and_are_named_with_the_reason(hostfile: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        path = hostfile("127.0.0.2", "127.0.0.3", "worker-0.no-such-name.invalid")
        message = r"2 host\(s\) did not answer on port \d+ within 0 s \(127\.0\.0\.3: .*refused; worker-0\.no-such-name\.invalid: "
        with pytest.raises(Unreachable, match=message) as caught:
            reach.main([path, "--port", str(port), "--within-s", "0"])
    assert "127.0.0.2:" not in str(caught.value)


@pytest.mark.parametrize(
    "content, problem", [(None, "cannot be read: No such file"), ("# nobody\n\n", "names no host")]
)
def test_a_hostfile_that_names_nobody_is_refused(tmp_path: Path, content: str | None, problem: str) -> None:
    path = tmp_path / "hostfile"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=problem):
        reach.main([str(path), "--port", "1"])


@pytest.mark.parametrize(
    "flag, value",
    [
        *(("--within-s", value) for value in ("nan", "inf", "-inf", "-1", "1e300", "soon", "")),
        *(("--port", value) for value in ("0", "-1", "65536", "1e3", "\u0662\u0662", "ssh", "9" * 5000)),
    ],
)
def test_numbers_that_are_none_to_wait_or_connect_by_are_refused(
    hostfile: Callable[..., str], capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        reach.main([hostfile("a"), "--port", "22", f"{flag}={value}"])
    assert caught.value.code == 2
    assert f"argument {flag}: " in capsys.readouterr().err


def test_a_name_that_no_resolver_takes_is_a_host_that_does_not_answer() -> None:
    assert "label" in reach.connection_problem("a" * 70 + ".b", 22)
