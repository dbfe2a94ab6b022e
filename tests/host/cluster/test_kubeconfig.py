"""Kubeconfigs as kubectl reads them, credential plugins, proxies: which cluster is spoken to, as whom, and what is said of what
cannot be used."""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from runner.contract import first_answer, secrets
from runner.contract.errors import ClusterRefused, Unreachable
from runner.contract.records import JsonObject
from runner.host.cluster import credentials, kubeconfig, plugins, transport
from runner.host.cluster.credentials import Credentials
from runner.host.cluster.kubeconfig import Target
from tests.support import apiserver, clusterplay
from tests.support.apiserver import Server
from tests.support.client import Client
from tests.support.clusterplay import FIRST, Play
from tests.support.scriptedcluster import Cluster


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig, proxy or pod of the machine that the tests run on."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(secrets, "_remembered", set())


def config(
    name: str,
    user: JsonObject | None = None,
    cluster: JsonObject | None = None,
    current: str | None = None,
    **context: object,
) -> JsonObject:
    """Return a kubeconfig in which cluster, user and context are called ``name``."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}.test:1", **(cluster or {})}}],
        "users": [{"name": name, "user": user if user is not None else {"token": f"token-of-{name}"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **context}}],
        "current-context": name if current is None else current,
    }


def written(path: Path, content: str | JsonObject) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def refusal(content: str | bytes | JsonObject | None, folder: Path, context: str | None = None) -> str:
    """Return what is said of a kubeconfig that cannot be used, from its place to its credentials."""
    path = written(folder / "config", content) if isinstance(content, str | dict) else folder / "config"
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ClusterRefused) as refused:
        target = kubeconfig.find(path, context)
        transport.connections(target, credentials.of(target, 5))
    assert str(refused.value).startswith("No kubeconfig can be used: ")
    return str(refused.value)


# --- which files, and which of their entries ---


def target_of(context: str | None = None) -> Target:
    return kubeconfig.find(None, context)


def test_the_files_of_the_variable_are_merged_and_the_first_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = config("one", current="", namespace="ns-of-one")
    second = config("two", current="two")
    second["clusters"].append({"name": "one", "cluster": {"server": "http://other.test"}})
    paths = [
        written(tmp_path / "a", first),
        tmp_path / "missing",
        written(tmp_path / "b", second),
        written(tmp_path / "c", config("three")),
    ]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, ["", *paths, ""])))
    assert (target_of().server, target_of().user) == ("http://two.test:1", {"token": "token-of-two"})
    of_one = target_of("one")
    assert (of_one.server, of_one.namespace) == ("http://one.test:1", "ns-of-one")
    assert target_of("three").server == "http://three.test:1"


def test_a_single_file_may_have_a_separator_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{written(tmp_path / 'a', config('one'))}{os.pathsep}")
    assert target_of().server == "http://one.test:1"


def test_paths_are_relative_to_the_file_that_they_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = {"exec": {"command": "./plugin", "apiVersion": plugins.API_VERSIONS[0]}, "client-key": "keys/k.pem"}
    first = config("one", user=user, cluster={"certificate-authority": "ca.pem"})
    written(tmp_path / "deep" / "a", first)
    written(tmp_path / "b", config("two"))
    monkeypatch.setenv("KUBECONFIG", f"deep/a{os.pathsep}b")
    monkeypatch.chdir(tmp_path)
    target = target_of()
    assert target.cluster["certificate-authority"] == str(tmp_path / "deep" / "ca.pem")
    assert target.user["exec"]["command"] == str(tmp_path / "deep" / "plugin")
    assert target.user["client-key"] == str(tmp_path / "deep" / "keys" / "k.pem")


def test_without_the_variable_it_is_the_file_at_home(tmp_path: Path) -> None:
    written(tmp_path / ".kube" / "config", config("home"))
    assert target_of().server == "http://home.test:1"


@pytest.mark.parametrize("variable", ["", ":", "nowhere", "nowhere:"])
def test_where_there_is_none_that_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", variable)
    with pytest.raises(kubeconfig.NoCluster, match="there is none in .*, and this is no pod of a cluster"):
        target_of()
    with pytest.raises(kubeconfig.NoCluster, match="and so no context x"):
        target_of("x")


def test_null_is_nothing_as_to_kubectl(tmp_path: Path) -> None:
    plugin = {"apiVersion": plugins.API_VERSIONS[0], "command": "/bin/cat", "env": None, "args": None}
    path = written(tmp_path / "c", {**config("one", user={"exec": plugin}), "preferences": None, "extensions": None})
    assert kubeconfig.find(path, None).user["exec"] == {
        "apiVersion": plugins.API_VERSIONS[0],
        "command": "/bin/cat",
    }
    anonymous = {**config("one"), "users": None, "contexts": [{"name": "one", "context": {"cluster": "one"}}]}
    assert kubeconfig.find(written(tmp_path / "d", anonymous), None).user == {}


BOMB = "a: &a [" + ", ".join("x" * 9) + "]\n" + "".join(
    f"{chr(98 + index)}: &{chr(98 + index)} [{', '.join([f'*{chr(97 + index)}'] * 9)}]\n" for index in range(14)
)  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", "is no kubeconfig: it is an HTML page"),
        ("export KUBECONFIG=/somewhere\n", "is no kubeconfig: it is the text 'export KUBECONFIG=/somewhere'"),
        ("", "names no cluster"),
        ("- a\n", "is no kubeconfig: it is a list"),
        ("kind: Secret\napiVersion: v1\n", "its kind is the text 'Secret' and not Config"),
        (b"\xff\xfe\x00\x00\x00", "is no kubeconfig: character"),
        (BOMB, "is beyond the 200,000 values that are read of a file"),
        ("a: &a {b: 1}\nc: {<<: *a}\n", "merges a mapping (<<)"),
        ("[" * 100_000, "lies deeper than 50 levels"),
        ("a: 1\na: 2\n", "has the key a a second time"),
        ({**config("one"), "users": None}, "names the user one, who is in no file"),
        ({**config("one"), "users": 3}, "its users are the number 3 and no list"),
        ({**config("one"), "clusters": [{"name": "one"}]}, "is no kubeconfig: the cluster one of"),
        ({**config("one"), "clusters": []}, "names the cluster 'one', which is in no file"),
        ({**config("one"), "contexts": [{"name": "one", "context": "x"}]}, "is the text 'x' and no mapping"),
        ({**config("one"), "current-context": ""}, "sets no current context; name one with --context: one"),
        ({**config("one"), "current-context": "two"}, "has no context two; there are: one"),
        (config("one", namespace="Mine"), "is 'Mine', no name of a namespace"),
        (config("one", cluster={"server": "ftp://x"}), "is 'ftp://x', no address with http or https"),
        (config("one", cluster={"server": "https://x:y"}), "no address with http or https"),
        (config("one", cluster={"server": ["x"]}), "is a list and no text"),
        (config("one", user={"token": 12}), "is the number 12 and no text; quote it"),
        (config("one", user={"tokenFile": "none"}), "No such file or directory"),
        (config("one", user={"tokenFile": "."}), "Is a directory"),
        (config("one", user={"client-certificate-data": "eA=="}), "a client certificate or its key, and not both"),
        (config("one", user={"client-certificate-data": "eA==", "client-key-data": "eA=="}), "are no pair in PEM"),
        (config("one", cluster={"certificate-authority-data": "eA=="}), "is no certificate in PEM"),
        (config("one", cluster={"certificate-authority-data": "é"}), "is no base64"),
        (config("one", cluster={"certificate-authority": "none.pem"}), "No such file or directory"),
        (config("one", cluster={"certificate-authority-data": "DATA+OMITTED"}), "`kubectl config view` left it out"),
        (config("one", user={"token": "REDACTED"}), "`kubectl config view` left it out"),
        (config("one", cluster={"insecure-skip-tls-verify": "true"}), "write true or false, without quotes"),
        (config("one", cluster={"insecure-skip-tls-verify": True, "certificate-authority": "ca.pem"}), "remove one of them"),
        (config("one", user={"as-groups": ["ops"]}), "and no user: as is missing"),
        (config("one", user={"as": "jane", "as-groups": "ops"}), "the as-groups of the user one are no list of texts"),
        (config("one", user={"as": "jane", "as-user-extra": ["x"]}), "the as-user-extra of the user one is no mapping"),
        (config("one", user={"as": "jane\nX: y"}), "no header can hold"),
        (config("one", user={"auth-provider": {"name": "gcp"}}), "by the auth-provider 'gcp', which Kubernetes has not had since 1.26"),
        (config("one", user={"auth-provider": {"name": "oidc", "config": None}}), "by OIDC and has no id-token yet"),
        (config("one", user={"exec": {}}), "names no command"),
        (config("one", user={"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1alpha1"}}), "v1alpha1"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_with_its_place(tmp_path: Path, content: str, words: str) -> None:
    assert words in refusal(content, tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: a token should stand there"),
        (b"\n", "is empty"),
        (b"two words\n", "holds no token"),
        (b"a\nb", "holds no token"),
        ("é".encode(), "holds no token"),
        (b"\x00", "holds no token"),
    ],
)
def test_a_token_file_without_a_token(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "token").write_bytes(content)
    assert words in refusal(config("one", user={"tokenFile": "token"}), tmp_path)


@pytest.mark.parametrize("content", [b"a-token\n", b"\xef\xbb\xbfa-token\r\n", "a-token\n".encode("utf-16")])
def test_a_token_file_as_editors_write_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    target = kubeconfig.find(written(tmp_path / "c", config("one", user={"tokenFile": "token", "token": "old"})), None)
    assert credentials.of(target, 5).authorization == "Bearer a-token"


@pytest.mark.parametrize("place", ["config", "token"])
def test_a_fifo_is_not_waited_for(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / place)
    content = config("one", user={"tokenFile": "token"}) if place == "token" else None
    assert "it is a FIFO" in refusal(content, tmp_path)


def test_an_id_token_holds_until_its_end(tmp_path: Path) -> None:
    def id_token(ends_s: float) -> JsonObject:
        claims = base64.urlsafe_b64encode(json.dumps({"exp": ends_s}).encode()).decode().rstrip("=")
        provider = {"name": "oidc", "config": {"id-token": f"eyJhbGciOiJub25lIn0.{claims}.c2ln"}}
        return config("one", user={"auth-provider": provider})

    assert "`kubectl auth whoami` fetches a new one" in refusal(id_token(1_000_000), tmp_path)
    target = kubeconfig.find(written(tmp_path / "c", id_token(time.time() + 3600)), None)
    authorization = credentials.of(target, 5).authorization
    assert authorization is not None and authorization.startswith("Bearer eyJ")


# --- plugins ---


def plugin(folder: Path, script: str, **more: object) -> JsonObject:
    """Return the entry of a user whose credential plugin is a shell script."""
    path = written(folder / "plugin.sh", f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": plugins.API_VERSIONS[1], "command": "./plugin.sh", **more}}


def printing(status: JsonObject, version: str = plugins.API_VERSIONS[1]) -> str:
    return f"echo '{json.dumps({'apiVersion': version, 'kind': 'ExecCredential', 'status': status})}'"


def given(folder: Path, user: JsonObject, timeout_s: float = 5.0) -> Credentials:
    target = kubeconfig.find(
        written(folder / "config", config("one", user=user, cluster={"proxy-url": "http://p:1"})), None
    )
    return credentials.of(target, timeout_s)


def test_a_plugin_gives_a_token_and_its_end(tmp_path: Path) -> None:
    credential = given(
        tmp_path, plugin(tmp_path, printing({"token": "a-long-token", "expirationTimestamp": "2026-11-26T10:00:00.5Z"}))
    )
    assert credential.authorization == "Bearer a-long-token"
    assert credential.renew_at_s == 1_795_687_200.0 - plugins.EARLY_S
    assert secrets.mask("a-long-token") == secrets.MASK


def test_a_plugin_is_told_what_it_is_asked_for(tmp_path: Path) -> None:
    script = 'printf %s "$KUBERNETES_EXEC_INFO" > asked; printf %s "$1:$REGION" > said; ' + printing({"token": "t"})
    env = [{"name": "REGION", "value": "north"}]
    (tmp_path / "here").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "here")
        given(tmp_path, plugin(tmp_path, script, args=["login"], env=env, provideClusterInfo=True))
    asked = json.loads((tmp_path / "here" / "asked").read_text())
    assert asked == {
        "apiVersion": plugins.API_VERSIONS[1],
        "kind": "ExecCredential",
        "spec": {"interactive": False, "cluster": {"server": "http://one.test:1", "proxy-url": "http://p:1"}},
    }
    assert (tmp_path / "here" / "said").read_text() == "login:north"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('echo "Error: the session has ended. Run: cloud login" >&2; exit 255', "ended with exit code 255; it said: Error: the session"),
        ("exit 3", "ended with exit code 3; it said nothing"),
        ("kill -9 $$", "ended with signal 9"),
        ("echo hello", "printed no JSON"),
        ("echo please log in first; exit 1", "ended with exit code 1; it said: please log in first"),
        ("echo the token: abcdefghijklmnopqrstuvwxyz0123456789abcdefghi; exit 1", "ended with exit code 1; it said nothing"),
        ("echo Run cloud login >&2", "and so no credentials; it said: Run cloud login"),
        ("echo []", "printed no ExecCredential"),
        (printing({}), "gave neither a token nor a certificate with its key"),
        (printing({"token": 5}), "is no text"),
        (printing({"token": "a b"}), "holds no token"),
        (printing({"clientCertificateData": "x"}), "gave neither a token nor a certificate with its key"),
        (printing({"clientCertificateData": "x", "clientKeyData": "y"}), "are no pair in PEM"),
        (printing({"token": "t", "expirationTimestamp": "soon"}), "gave 'soon' for the end of its credentials"),
        (printing({"token": "t"}, plugins.API_VERSIONS[0]), "answered in client.authentication.k8s.io/v1 and was asked"),
        ("yes | head -c 3000000; sleep 30", "printed more than 1,048,576 bytes and was stopped"),
    ],
)  # fmt: skip
def test_a_plugin_that_gives_nothing_is_named_with_its_words(tmp_path: Path, script: str, words: str) -> None:
    sentence = refusal(config("one", user=plugin(tmp_path, script)), tmp_path)
    assert words in sentence and "the user one" in sentence


def test_a_plugin_that_is_not_there_is_named_with_how_to_install_it(tmp_path: Path) -> None:
    user = {
        "exec": {"apiVersion": plugins.API_VERSIONS[1], "command": "no-such-plugin", "installHint": "Install it.\n"}
    }
    assert "the credential plugin no-such-plugin of the user one cannot be run: No such file" in refusal(
        config("one", user=user), tmp_path
    )
    assert "its kubeconfig says: Install it." in refusal(config("one", user=user), tmp_path)
    (tmp_path / "plugin.sh").write_text("#!/bin/sh\n")
    user["exec"]["command"] = "./plugin.sh"
    assert "cannot be run: Permission denied" in refusal(config("one", user=user), tmp_path)


def test_a_plugin_that_waits_for_a_person_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    script = f'echo "To sign in, open the page https://login.example" >&2; sh -c "echo \\$\\$ > {tmp_path}/child; exec sleep 600"'
    path = written(tmp_path / "config", config("one", user=plugin(tmp_path, script)))
    with pytest.raises(
        ClusterRefused,
        match="did not end within 0.5 s and was stopped; it said: To sign in, open the page https://login",
    ):
        credentials.of(kubeconfig.find(path, None), 0.5)
    child = int((tmp_path / "child").read_text())
    until_s = time.monotonic() + 10
    while _runs(child) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(number: int) -> bool:
    """Return whether a process runs; one that ended and that nobody waits for does not."""
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_plugin_that_leaves_a_process_behind_is_not_waited_for(tmp_path: Path) -> None:
    credential = given(tmp_path, plugin(tmp_path, f"sleep 5 & {printing({'token': 'a-long-token'})}"), timeout_s=3.0)
    assert credential.authorization == "Bearer a-long-token"


def test_a_plugin_that_wants_a_terminal_is_not_run_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "at_a_terminal", lambda: False)
    user = plugin(tmp_path, "touch ran", interactiveMode="Always")
    assert "asks for a terminal (interactiveMode Always)" in refusal(config("one", user=user), tmp_path)


def test_at_a_terminal_a_plugin_has_longer_and_speaks_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plugins, "at_a_terminal", lambda: True)
    user = plugin(tmp_path, f"echo 'open the page' >&2; sleep 0.3; {printing({'token': 'a-long-token'})}")
    assert given(tmp_path, user, timeout_s=0.1).authorization == "Bearer a-long-token"
    assert capfd.readouterr().err == "open the page\n"
    monkeypatch.setattr(plugins, "AT_A_TERMINAL_S", 0.2)
    sentence = refusal(config("one", user=plugin(tmp_path, "exec sleep 60")), tmp_path)
    assert "did not end within 0.2 s and was stopped; its words stand above" in sentence


def with_plugin(client: Client, script: str) -> None:
    """Let the client's user log in by a plugin."""
    content = yaml.safe_load((client.tmp_path / "kubeconfig").read_text())
    content["users"][0]["user"] = plugin(client.tmp_path, script)
    client.kubeconfig = str(written(client.tmp_path / "with-plugin", content))


def test_a_token_of_a_plugin_that_ended_is_asked_for_again(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    ends = json.dumps({"token": "old", "expirationTimestamp": "2020-01-01T00:00:00Z"})
    (tmp_path / "answers").write_text(f"{ends}\n" + f"{json.dumps({'token': apiserver.TOKEN})}\n" * 3)
    head = f'{{"apiVersion": "{plugins.API_VERSIONS[1]}", "kind": "ExecCredential", "status": '
    with_plugin(client, f"cd {tmp_path}; echo '{head}'; head -n 1 answers; echo '}}'; sed -i 1d answers")
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0, client.err
    assert client.collected() == [FIRST]
    assert set(cluster.headers_seen) == {f"Bearer {apiserver.TOKEN}"}  # none with what had ended


def test_a_plugin_that_fails_when_it_is_asked_again_says_so(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(first_answer.VARIABLE, "0.2")
    with_plugin(
        client,
        f"if [ -e ran ]; then echo 'session over' >&2; exit 1; fi; touch ran; {printing({'token': 'refused-token'})}",
    )
    monkeypatch.chdir(client.tmp_path)
    assert client.submit() == ClusterRefused.exit_code
    assert "does not accept the credentials of this kubeconfig (401): " in client.err
    assert "ended with exit code 1; it said: session over" in client.err


# --- where the connections go ---


@pytest.mark.parametrize(
    ("server", "environment", "expected"),
    [
        ("https://api.test", {}, None),
        ("https://api.test", {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://api.test", {"https_proxy": "p:3128"}, "http://p:3128"),
        ("https://api.test", {"HTTP_PROXY": "http://p:3128", "ALL_PROXY": "socks5://p"}, None),
        ("http://api.test", {"http_proxy": "http://p:3128"}, "http://p:3128"),
        ("https://localhost:6443", {"HTTPS_PROXY": "http://p:3128"}, None),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": "http://p:3128"}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": "http://p:3128"}, None),
        *(
            ("https://api.test:6443", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": listed}, expected)
            for listed, expected in [
                ("*", None),
                ("test", None),
                (".test", None),
                ("*.test", None),
                ("API.TEST", None),
                ("api.test:6443", None),
                ("api.test:443", "http://p:3128"),
                ("pi.test", "http://p:3128"),
                (".api.test", "http://p:3128"),
                (" , other , api.test", None),
            ]
        ),
        *(
            ("https://10.1.2.3", {"HTTPS_PROXY": "http://p:3128", "no_proxy": listed}, expected)
            for listed, expected in [
                ("10.0.0.0/8", None),
                ("10.1.2.3", None),
                ("10.1.2.3:443", None),
                ("10.1.2.3:6443", "http://p:3128"),
                ("10.1.2", "http://p:3128"),
                ("192.168.0.0/16", "http://p:3128"),
            ]
        ),
        ("https://[fd00::1]:6443", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "fd00::/8"}, None),
        ("https://[fd00::1]:6443", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "[fd00::1]"}, None),
        ("https://[fd00::1]:6443", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "[fd00::1]:6443"}, None),
    ],
)
def test_proxies_are_those_that_kubectl_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, environment: dict[str, str], expected: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    target = kubeconfig.find(written(tmp_path / "c", config("one", cluster={"server": server})), None)
    assert transport.proxy_for(target) == expected


def test_the_kubeconfig_s_own_proxy_comes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://other:1")
    monkeypatch.setenv("NO_PROXY", "*")
    target = kubeconfig.find(
        written(tmp_path / "c", config("one", cluster={"proxy-url": "http://u:a%20password@p:3128"})), None
    )
    assert transport.proxy_for(target) == "http://u:a%20password@p:3128"
    assert secrets.mask("a password") == secrets.MASK


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://127.0.0.1:9", "names a SOCKS proxy, and the package PySocks is not installed"),
        ("socks5h://u:a-password@127.0.0.1:9", "names a SOCKS proxy"),
        ("ftp://p:1", "is 'ftp://p:1', no address of an HTTP or SOCKS proxy"),
        ("http://", "no address of an HTTP or SOCKS proxy"),
        ("http://p:port", "no address of an HTTP or SOCKS proxy"),
        ("p p", "no address of an HTTP or SOCKS proxy"),
        ("http://[::1", "no address of an HTTP or SOCKS proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_said_before_anything_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, words: str
) -> None:
    monkeypatch.setattr(transport.importlib.util, "find_spec", lambda name: None)
    sentence = refusal(config("one", cluster={"proxy-url": proxy}), tmp_path)
    assert words in sentence and "a-password" not in sentence


def test_a_run_goes_through_a_proxy_without_a_scheme(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scripted server takes what a proxy is asked, too."""
    monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{client.server.port}")
    client.kubeconfig = client.server.kubeconfig(client.tmp_path / "other", server="http://cluster.invalid:8080")
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0, client.err
    assert client.collected() == [FIRST]
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert client.submit("--passing-timeout-s", "0.1") == Unreachable.exit_code
    assert "The proxy to http://cluster.invalid:8080 does not let through" in client.err


def test_a_user_who_acts_as_another_says_so_in_every_request(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without these headers the server takes the user for itself, who may do more."""
    asked: list[list[tuple[str, str]]] = []
    kept = urllib3.PoolManager.request

    def request(self: urllib3.PoolManager, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        asked.append(sorted((name, value) for name, value in options["headers"].items() if name.startswith("Imperson")))
        return kept(self, method, url, **options)

    monkeypatch.setattr(urllib3.PoolManager, "request", request)
    content = yaml.safe_load((client.tmp_path / "kubeconfig").read_text())
    content["users"][0]["user"] |= {"as": "jane", "as-groups": ["dev", "ops"], "as-user-extra": {"A/b": ["c"]}}
    client.kubeconfig = str(written(client.tmp_path / "other", content))
    assert client.submit("--dry-run") == 0, client.err
    expected = [
        ("Impersonate-Extra-a%2Fb", "c"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-User", "jane"),
    ]
    assert len(asked) > 3 and all(headers == expected for headers in asked)


# --- TLS, and the pod's own credentials ---


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Return a folder with a certificate for 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    folder = tmp_path / "tls"
    folder.mkdir()
    command: list[str | Path] = [
        *(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ),
        *("-subj", "/CN=scripted", "-addext", "subjectAltName=IP:127.0.0.1,DNS:api.test"),
        *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(cluster: Cluster, certificates: Path) -> Iterator[tuple[Server, ssl.SSLContext]]:
    """A scripted server that takes those clients alone that show the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "cert.pem")
    with apiserver.Server(cluster, context) as server:
        yield server, context


def test_certificates_are_taken_from_data_and_from_files_and_leave_none(
    client: Client,
    cluster: Cluster,
    secure: tuple[Server, ssl.SSLContext],
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, context = secure
    context.verify_mode = ssl.CERT_REQUIRED
    scratch = client.tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # none to this machine itself
    bundle = "# Főtanúsítvány\n" + (certificates / "cert.pem").read_text()
    (certificates / "bundle.pem").write_text(bundle, encoding="utf-8")
    names = {"client-certificate": "cert.pem", "client-key": "key.pem"}
    files = {key: f"tls/{name}" for key, name in names.items()}
    data = {f"{key}-data": encoded(certificates / name) for key, name in names.items()}
    users: list[tuple[dict[str, str], JsonObject]] = [
        (files, {"certificate-authority": "tls/cert.pem"}),
        (data, {"certificate-authority-data": encoded(certificates / "cert.pem")}),
        (data, {"certificate-authority": "tls/bundle.pem"}),
        (data, {"insecure-skip-tls-verify": True}),
        (files, {"certificate-authority": "tls/cert.pem", "tls-server-name": "api.test"}),
    ]
    for user, authority in users:
        user = {**user, "token": apiserver.TOKEN}
        content = config("one", user=user, cluster={"server": server.url, **authority}, namespace="bench")
        client.kubeconfig = str(written(client.tmp_path / "other", content))
        assert client.submit("--dry-run") == 0, client.err
        assert "warning" not in client.err.lower()
    content["clusters"][0]["cluster"]["tls-server-name"] = "other.test"
    written(client.tmp_path / "other", content)
    assert client.submit("--dry-run", "--passing-timeout-s", "0.1") == Unreachable.exit_code
    assert "The TLS connection to " in client.err
    assert not list(scratch.iterdir())
    key = [line for line in (certificates / "key.pem").read_text().splitlines() if "-" not in line]
    assert all(secrets.mask(line) == secrets.MASK for line in key)


def test_a_server_s_own_certificate_may_stand_for_its_authority(
    client: Client, cluster: Cluster, certificates: Path
) -> None:
    """Go trusts each certificate that it is given, and so does kubectl; no authority above it is there to ask for."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=certificates)

    openssl(*["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=leaf", "-keyout", "leaf.key", "-out", "leaf.csr"])
    (certificates / "names").write_text("subjectAltName=IP:127.0.0.1")
    signed = "x509 -req -in leaf.csr -CA cert.pem -CAkey key.pem -CAcreateserial -days 2 -extfile names -out leaf.pem"
    openssl(*signed.split())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "leaf.pem", certificates / "leaf.key")
    with apiserver.Server(cluster, context) as server:
        authority = {"certificate-authority": str(certificates / "leaf.pem")}
        content = config("one", {"token": apiserver.TOKEN}, {"server": server.url, **authority}, namespace="bench")
        client.kubeconfig = str(written(client.tmp_path / "other", content))
        assert client.submit("--dry-run") == 0, client.err


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.fixture
def pod(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secure: tuple[Server, ssl.SSLContext], certificates: Path
) -> Path:
    """This process is in a pod of the scripted cluster; return the folder of its credentials."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text(apiserver.TOKEN)
    (folder / "namespace").write_text("bench")
    shutil.copy(certificates / "cert.pem", folder / "ca.crt")
    monkeypatch.setattr(kubeconfig, "MOUNTED", folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(secure[0].port))
    return folder


def test_a_pod_s_own_credentials_are_used_where_there_is_no_kubeconfig(
    client: Client, cluster: Cluster, pod: Path
) -> None:
    client.kubeconfig = None
    Play(cluster, clusterplay.runs_well)
    assert client.submit() == 0, client.err
    assert client.collected() == [FIRST]


def test_a_pod_s_own_credentials_that_are_half_there(client: Client, pod: Path) -> None:
    client.kubeconfig = None
    assert client.submit("--context", "x") == ClusterRefused.exit_code
    assert "and so no context x" in client.err
    (pod / "ca.crt").unlink()
    assert client.submit() == ClusterRefused.exit_code
    assert "ca.crt cannot be read: No such file or directory" in client.err
