from __future__ import annotations

import pytest

from runner.contract import secrets

TOKEN = "hf_" + "aBcD" * 8


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_remembered", set())


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("NVIDIA_API_KEY=x", "NVIDIA_API_KEY=***"),
        ("--token abc --model m", "--token *** --model m"),
        ("--hub-token=abc", "--hub-token=***"),
        ('{"password": "hunter2", "user": "me"}', '{"password": "***", "user": "me"}'),
        ("{'api_key': 'x1'}", "{'api_key': '***'}"),
        ("password: hunter2", "password: ***"),
        ("https://user:pass@host/simple", "https://***@host/simple"),
        ("https://user:p@ss@host/simple", "https://***@host/simple"),
        ("'me:hunter2@registry/team' was found", "'***@registry/team' was found"),
        ("https://token@host/simple?access_token=abc&x=1", "https://***@host/simple?access_token=***&x=1"),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ("authorization=abc", "authorization=***"),
        ("sent Bearer abcdefghijkl to", "sent Bearer *** to"),
        (f"401 for {TOKEN}.", "401 for ***."),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl", "***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "***"),
        ("AKIAABCDEFGHIJKLMNOP", "***"),
        ("export HUB_TOKEN=abc", "export HUB_TOKEN=***"),
        ("2026-11-26T10:00:00Z note: HUB_TOKEN=abc", "2026-11-26T10:00:00Z note: HUB_TOKEN=***"),
        ("run --x y --hub-token abc", "run --x y --hub-token ***"),
        ("a=b=API_KEY=abc", "a=b=API_KEY=***"),
        ("password='two, words' x='y z'", "password='***' x='y z'"),
        ('"password": "a\\"b c", "x": "y"', '"password": "***", "x": "y"'),
        ("password='cut off", "password='*** off"),
        ("token=b'abc'", "token=b'***'"),
        ("os.environ['HUB_TOKEN'] = 'abc'", "os.environ['HUB_TOKEN'] = '***'"),
        ("['git', '--token', 'abc', '-v']", "['git', '--token', '***', '-v']"),
        (r"{\"token\": \"abc\", \"x\": \"y\"}", r"{\"token\": \"***\", \"x\": \"y\"}"),
        ('{"name": "HUB_TOKEN", "value": "abc"}', '{"name": "HUB_TOKEN", "value": "***"}'),
        (r"[{\"name\":\"HUB_TOKEN\",\"value\":\"abc\"}]", r"[{\"name\":\"HUB_TOKEN\",\"value\":\"***\"}]"),
        ("V1EnvVar(name='HUB_TOKEN', value='abc')", "V1EnvVar(name='HUB_TOKEN', value='***')"),
        ("- name: HUB_TOKEN\n  value: abc\n", "- name: HUB_TOKEN\n  value: ***\n"),
        ("authorization: ApiKey abc", "authorization: ApiKey ***"),
        ('{"auths": {"r": {"auth": "abc="}}}', '{"auths": {"r": {"auth": "***"}}}'),
        ("MYSQL_PWD=abc PGPASSWORD=abc OPENAI_KEY=abc", "MYSQL_PWD=*** PGPASSWORD=*** OPENAI_KEY=***"),
        ("sha256~" + "aB3" * 14, "***"),
        (f"\x1b[2J{TOKEN} \x1b[1;33m{TOKEN}\x1b[0m", "\x1b[2J*** \x1b[1;33m***\x1b[0m"),
        (rf"\x1b[33m{TOKEN}, \u001b[33m{TOKEN}", r"\x1b[33m***, \u001b[33m***"),
        ("\x1b[31mtoken: abc123", "\x1b[31mtoken: ***"),
    ],
)
def test_a_secret_is_masked_where_it_stands(text: str, masked: str) -> None:
    assert secrets.mask(text) == masked
    assert secrets.mask(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "tokens sha256 76c7c018e5d1",
        "output_tokens: 100, input_tokens=7, token_count nominal",
        "the token: see below",
        "a token is 3.5 ms",
        "eos_token: 2",
        "secretName: hf-token",
        "HF_TOKEN_PATH=/run/secrets/token",
        "automountServiceAccountToken: false",
        "unresolved: stacks.gaudi-1.9.image.digest",
        "http://[::1]:8000/simple/",
        "docker.io/library/python:3.11@sha256:" + "1" * 64,
        "name: HUB_TOKEN, valueFrom: secretKeyRef",
        "sort_key: x, key=nvidia.com/gpu.product, PWD=/work, PUBLIC_KEY=x",
        '{"name": "USER", "value": "bench"}',
        "git@host:team/repository",
        "sha256 222b4b45f1b78e746cef0d4813bda120b27ed5b3cd7f983e4a0caebd5c55cfe4",
        "DeepSpeed is a machine learning framework",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert secrets.mask(text) == text


def test_values_of_secret_variables_are_masked_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "canary-one")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary%2Dtwo@proxy:80")
    monkeypatch.setenv("A_TOKEN", "cpu")
    monkeypatch.setenv("PWD", "/home/me/folder")
    monkeypatch.setenv("APPLICATION_CREDENTIALS", "/run/key.json")
    text = secrets.mask("a canary-one b canary-two c canary%2Dtwo d cpu e /home/me/folder f /run/key.json")
    assert text == "a *** b *** c *** d cpu e /home/me/folder f /run/key.json"


def test_what_was_remembered_is_masked() -> None:
    secrets.remember("  canary-three\n")
    secrets.remember("short")
    secrets.remember(None)
    assert secrets.mask("x/canary-three/y short") == "x/***/y short"


def test_a_json_value_is_masked_in_texts_keys_and_under_the_names_of_secrets() -> None:
    value = {
        "env": [{"name": "MY_TOKEN", "value": "z"}, {"name": "USER", "value": "bench"}],
        "client-key-data": "abc",
        f"key {TOKEN}": [TOKEN, 1, 2.5, None, True],
        "output_tokens": [[100]],
        "tokens": {"text": ["plain"]},
    }
    assert secrets.mask_json(value) == {
        "env": [{"name": "MY_TOKEN", "value": "***"}, {"name": "USER", "value": "bench"}],
        "client-key-data": "***",
        "key ***": ["***", 1, 2.5, None, True],
        "output_tokens": [[100]],
        "tokens": {"text": ["plain"]},
    }


@pytest.mark.parametrize("piece", ["a.", "eyJ-", "a+", "token ", "://"])
def test_a_secret_at_the_end_of_a_long_hostile_line_is_masked_at_once(piece: str) -> None:
    assert secrets.mask(f"{piece * 30_000} HUB_TOKEN=abc") == f"{piece * 30_000} HUB_TOKEN=***"
