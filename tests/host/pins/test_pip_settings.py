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
