"""The looks at a registry, against one on loopback."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from runner.host.doctor.findings import Finding
from runner.host.doctor.looking import Group, look_at
from runner.host.doctor.registry import Registry as RegistryLooks
from runner.host.images import registry as registries
from tests.support.registry import BASIC, Registry


@pytest.fixture
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    return tmp_path / "auth.json"


def looked(address: str) -> list[Finding]:
    return look_at([Group(RegistryLooks(f"{address}/team", ["cpu"]).looks(), 60)])


def test_a_registry_that_takes_images(logins: Path) -> None:
    with Registry("basic") as registry:
        logins.write_text(registry.login())
        reachable, login, push = looked(registry.address)
    # loopback has no TLS
    assert (reachable.state, login.state, push.state) == ("warning", "ready", "ready")
    assert "insecure = true" in str(reachable.remedy)
    assert login.finding == f"bench, of {logins}."
    assert push.finding == "It lets this login write to team/bloomz-bench-cpu."


def test_a_registry_without_a_login_here(logins: Path) -> None:
    with Registry("jwt") as registry:
        _, login, push = looked(registry.address)
    assert (login.state, push.state) == ("not ready", "not ready")
    assert login.remedy == f"`buildah login {registry.address}`."


def test_a_registry_that_asks_for_no_login(logins: Path) -> None:
    with Registry("nothing") as registry:
        _, login, push = looked(registry.address)
    assert (login.finding, push.state) == ("None is there, and it asks for none.", "ready")


@pytest.mark.parametrize("status, state", [(403, "not ready"), (405, "cannot be told")])
def test_a_registry_that_takes_no_image(logins: Path, status: int, state: str) -> None:
    with Registry("basic", status=status, code="DENIED") as registry:
        logins.write_text(registry.login())
        *_, push = looked(registry.address)
    assert push.state == state and push.remedy is not None


def test_a_login_that_would_go_in_clear_text_is_not_sent(logins: Path) -> None:
    logins.write_text(json.dumps({"auths": {"registry.example": {"auth": BASIC.partition(" ")[2]}}}))
    looks = RegistryLooks("registry.example/team", ["cpu"])
    looks._service = registries.Service("http://registry.example", 'Basic realm="there"')
    looks.login()
    push = looks.writable()
    assert push.state == "cannot be told" and "no login is sent to it in clear text" in push.finding
    assert push.remedy == "Have the registry speak TLS: a push would send the login in clear text too."


def test_a_registry_that_is_not_there_or_says_nothing(logins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "TIMEOUT_S", 0.3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        findings = looked(f"127.0.0.1:{listener.getsockname()[1]}")
        assert [finding.state for finding in findings] == ["not ready", "not looked at", "not looked at"]
        assert "Connection refused" in findings[0].finding
        listener.listen()
        findings = looked(f"127.0.0.1:{listener.getsockname()[1]}")
        assert [finding.state for finding in findings] == ["not ready", "not looked at", "not looked at"]
        assert "nothing came within 0.3 s" in findings[0].finding


def test_a_registry_that_falls_silent_in_between(logins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "TIMEOUT_S", 0.3)
    with Registry("nothing") as registry:
        looks = RegistryLooks(f"{registry.address}/team", ["cpu"])
        looks.reachable()
        registry.silent = True
        (push,) = look_at([Group([looks.looks()[2]], 60)])
    assert push.state == "cannot be told" and "nothing came within 0.3 s" in push.finding
