from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.bench.pods import sshd
from runner.contract.errors import InputError, LaunchFailed

ROOT = Path(__file__).parents[3]
UID = 10001


def test_the_configuration_hands_on_what_the_device_plugin_set_and_not_what_is_another_process_s() -> None:
    variables = {
        "HABANA_VISIBLE_DEVICES": "0,1",
        "WITH": "a space",
        "HOME": "/tmp",
        "PWD": "/",
        "BAD": 'a"b',
        "WORSE": "a\nb",
    }
    text = sshd.configuration(2222, "/keys/authorized_keys", "/tmp/key", variables)
    assert text.splitlines()[0] == "Port 2222"
    assert text.splitlines()[-1] == 'SetEnv "HABANA_VISIBLE_DEVICES=0,1" "WITH=a space"'
    assert "PasswordAuthentication no" in text.splitlines()


def test_without_keys_or_without_openssh_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="authorized_keys is not there: nobody could start ranks here"):
        sshd.main(["--keys", str(tmp_path)])
    (tmp_path / "authorized_keys").write_text("")
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(LaunchFailed, match="sshd is not in this image"):
        sshd.main(["--keys", str(tmp_path)])


def test_a_key_that_cannot_be_made_and_a_server_that_cannot_be_started_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authorized_keys").write_text("")
    monkeypatch.setattr(shutil, "which", lambda name, path=None: shutil.os.path.join(str(tmp_path), name))
    (tmp_path / "ssh-keygen").write_text("#!/bin/sh\necho no entropy >&2\nexit 3\n")
    (tmp_path / "ssh-keygen").chmod(0o755)
    with pytest.raises(LaunchFailed, match="ssh-keygen made no key for this host: no entropy"):
        sshd.main(["--keys", str(tmp_path)])
    (tmp_path / "ssh-keygen").write_text("#!/bin/sh\n")
    with pytest.raises(LaunchFailed, match="sshd could not be started: No such file or directory"):
        sshd.main(["--keys", str(tmp_path)])


@pytest.mark.parametrize("port", ["0", "-1", "70000", "nan"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(SystemExit):
        sshd.main(["--keys", "/keys", f"--port={port}"])
