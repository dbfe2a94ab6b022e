"""A registry is asked whether it would take a push, and keeps nothing of the question."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import Unreachable
from runner.host.images import logins
from runner.host.images import registry as registries
from tests.support.registry import BASIC, USER, Registry

WRITES = "it lets this login write to team/bloomz-bench-cpu"


def write_login(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "auth.json").write_text(text)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(folder / "auth.json"))


def asked(registry: Registry) -> registries.PushAnswer:
    service = registries.reach(registry.address)
    repository = f"{registry.address}/team/bloomz-bench-cpu"
    return registries.may_push(service, repository, logins.login_of(repository))


@pytest.mark.parametrize(
    "asks, verdict, words",
    [
        ("nothing", "granted", WRITES),
        ("basic", "granted", WRITES),
        ("jwt", "granted", "its token service grants pull, push on team/bloomz-bench-cpu"),
        ("opaque", "granted", WRITES),
    ],
)
def test_a_login_that_may_push(asks, verdict, words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Registry(asks) as registry:
        write_login(tmp_path, registry.login(), monkeypatch)
        assert asked(registry) == registries.PushAnswer(verdict, words)
        asked_to_write = any(request.startswith("PATCH") for request in registry.requests)
        assert asked_to_write is (asks != "jwt"), "a token that says what it grants needs no other question"


@pytest.mark.parametrize(
    "asks, verdict, words",
    [
        ("basic", "no login", "it asks for a login, and there is none"),
        ("jwt", "no login", "its token service grants pull on team/bloomz-bench-cpu"),
    ],
)
def test_no_login(asks, verdict, words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_login(tmp_path, "{}", monkeypatch)
    with Registry(asks) as registry:
        assert asked(registry) == registries.PushAnswer(verdict, words)


@pytest.mark.parametrize(
    "asks, made, password, verdict, words",
    [
        ("jwt", {"grants": ("pull",)}, None, "refused", "its token service grants pull on"),
        ("jwt", {}, "wrong", "refused", "its token service answers HTTP 401"),
        ("basic", {}, "wrong", "refused", "it answers HTTP 401 to an upload"),
        ("basic", {"status": 403}, None, "refused", "it answers HTTP 403 to an upload"),
        (
            "basic",
            {"code": "NAME_UNKNOWN"},
            None,
            "refused",
            "it has no repository or project for team/bloomz-bench-cpu",
        ),
        ("basic", {"status": 405, "code": "UNSUPPORTED"}, None, "unknown", "it answers HTTP 405 to an upload"),
    ],
    ids=["token-of-pulls", "token-refused", "wrong-password", "forbidden", "no-project", "another-answer"],
)
def test_a_login_that_may_not(
    asks, made, password, verdict, words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry(asks, **made) as registry:
        write_login(tmp_path, registry.login(password) if password else registry.login(), monkeypatch)
        answer = asked(registry)
        assert answer.verdict == verdict and answer.words.startswith(words)


def test_a_registry_that_anybody_may_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_login(tmp_path, "{}", monkeypatch)
    with Registry() as registry:
        assert asked(registry).words == "it lets anybody write to team/bloomz-bench-cpu"


def test_a_registry_without_tls_is_told_apart() -> None:
    with Registry() as registry:
        assert not registries.reach(registry.address).is_encrypted


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns the name of another host, whose requests end at this one."""
    name, resolve = "registry.example", socket.getaddrinfo

    def resolved(host: object, *rest: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host == name else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return name


@pytest.mark.parametrize("asks", ["nothing", "basic", "jwt", "opaque"])
def test_no_login_crosses_a_network_in_clear_text(
    asks, elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry(asks) as registry:
        registry.address = registry.address.replace("127.0.0.1", elsewhere)
        write_login(tmp_path, registry.login(), monkeypatch)
        answer = asked(registry)
        assert answer.verdict == "in clear text" and "no login is sent to it in clear text" in answer.words
        assert registry.requests == ["GET /v2/"] and registry.logins == []
        write_login(tmp_path, "{}", monkeypatch)
        assert asked(registry).verdict != "in clear text", "without a login there is nothing to keep"


def test_no_login_goes_to_a_token_service_in_clear_text(
    elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry("jwt") as registry:
        registry.token_service = registry.token_service.replace("127.0.0.1", elsewhere)
        write_login(tmp_path, registry.login(), monkeypatch)
        answer = asked(registry)
        assert answer.verdict == "refused" and "address cannot be used" in answer.words
        assert registry.requests == ["GET /v2/"] and registry.logins == []


def test_a_login_for_this_host_goes_to_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with Registry("basic") as registry, Registry("basic") as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        write_login(tmp_path, registry.login(), monkeypatch)
        assert asked(registry).verdict == "granted"
        assert proxy.requests == []


def test_nobody_there_and_no_registry_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} did not answer: Connection refused."):
        registries.reach(f"127.0.0.1:{port}")


def test_a_silent_registry_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert registries.TIMEOUT_S < 5
    monkeypatch.setattr(registries, "TIMEOUT_S", 0.2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(Unreachable, match="nothing came within 0.2 s"):
            registries.reach(f"127.0.0.1:{listener.getsockname()[1]}")


AUTH = BASIC.partition(" ")[2]


@pytest.mark.parametrize(
    "content, found",
    [
        ({"auths": {"registry.example": {"auth": AUTH}}}, True),
        ({"auths": {"registry.example/team": {"auth": AUTH}, "registry.example": {"auth": "x"}}}, True),
        ({"auths": {"registry.example/other": {"auth": AUTH}}}, False),
        ({"auths": {"registry.example": {"auth": "no base64"}}}, False),
        ({"auths": {"registry.example": {}}}, False),
        ({"auths": ["registry.example"]}, False),
        (["auths"], False),
    ],
    ids=["registry", "longest", "another", "damaged", "empty", "list", "no-object"],
)
def test_logins_are_found_by_the_longest_name(content, found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_login(tmp_path, json.dumps(content), monkeypatch)
    login = logins.login_of("registry.example/team/name")
    assert (login is not None) is found
    assert login is None or (login.user, login.authorization) == (USER, BASIC)


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_helper_that_keeps_logins_is_asked(key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-sample"
    helper.write_text('#!/bin/sh\nread name; echo "{\\"Username\\": \\"$name\\", \\"Secret\\": \\"kept\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    value = {"registry.example": "sample"} if key == "credHelpers" else "sample"
    write_login(tmp_path, json.dumps({key: value}), monkeypatch)
    login = logins.login_of("registry.example/team/name")
    assert login is not None and login.user == "registry.example"
    helper.write_text("#!/bin/sh\nexit 1\n")
    assert logins.login_of("registry.example/team/name") is None


def test_docker_s_own_file_and_name_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": AUTH}}}))
    assert logins.login_of("docker.io/team/name") is not None
    assert logins.login_of("registry.example/team/name") is None


def test_a_password_is_masked_wherever_it_would_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.contract import secrets

    with Registry("basic") as registry:
        write_login(tmp_path, registry.login("a-long-password-of-theirs"), monkeypatch)
        login = logins.login_of(f"{registry.address}/team/name")
    assert login is not None and "a-long-password-of-theirs" not in repr(login)
    assert "a-long-password-of-theirs" not in secrets.mask("it is a-long-password-of-theirs")
