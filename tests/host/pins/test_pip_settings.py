"""What uv is told of pip's settings."""

from __future__ import annotations

import pytest

from runner.host.pins import pip_settings


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_CERT", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_uv_trusts_the_certificates_that_pip_s_settings_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_settings, "_settings", lambda: {"cert": "/of/a/file.pem"})
    assert pip_settings.certificate_variables() == {"SSL_CERT_FILE": "/of/a/file.pem"}
    monkeypatch.setenv("PIP_CERT", "/of/a/variable.pem")
    assert pip_settings.certificate_variables() == {"SSL_CERT_FILE": "/of/a/variable.pem"}


def test_certificates_that_the_user_named_to_uv_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_settings, "_settings", lambda: {"cert": "/of/a/file.pem"})
    monkeypatch.setenv("SSL_CERT_FILE", "/of/uv.pem")
    assert pip_settings.certificate_variables() == {}


def test_without_certificates_of_pip_uv_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_settings, "_settings", dict)
    assert pip_settings.certificate_variables() == {}


def test_uv_installs_from_where_pip_would(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name in (
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "UV_INDEX",
        "UV_FIND_LINKS",
        "UV_INSECURE_HOST",
        "UV_INDEX_STRATEGY",
    ):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "index-url": "https://index.invalid/simple",
        "extra-index-url": "https://a.invalid/simple\nhttps://b.invalid/simple",
        "find-links": "/wheels /more",
        "trusted-host": "a.invalid",
    }
    monkeypatch.setattr(pip_settings, "_settings", lambda: settings)
    assert pip_settings.install_variables() == {
        "UV_DEFAULT_INDEX": "https://index.invalid/simple",
        "UV_INDEX": "https://a.invalid/simple https://b.invalid/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INSECURE_HOST": "a.invalid",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    monkeypatch.setenv("PIP_FIND_LINKS", "/other")
    monkeypatch.setenv("UV_INDEX", "https://of-uv.invalid/simple")
    variables = pip_settings.install_variables()
    assert variables["UV_FIND_LINKS"] == "/other" and "UV_INDEX" not in variables
