"""Settings of the reference service."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from jwcal.crds_cache.settings import Settings

PREFIX = "JWCAL_CRDS_CACHE_"


@pytest.fixture(autouse=True)
def a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """What every service needs."""
    monkeypatch.setenv("JWCAL_STORE_KIND", "memory")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}CRDS_PATH", "/cache")
    monkeypatch.setenv(f"{PREFIX}DEFAULT_BUILD", "12.0")
    monkeypatch.setenv(
        f"{PREFIX}BUILDS", json.dumps([{"name": "12.0", "package_version": "2.0", "context": "jwst_2000.pmap"}])
    )
    settings = Settings()
    assert settings.pinned_context() == "jwst_2000.pmap"
    assert settings.build_table().named("11.2").context == "jwst_1321.pmap"


@pytest.mark.parametrize(
    "wrong",
    [
        {"SERVER_URL": "file:///etc/passwd"},
        {"SERVER_URL": "crds.example"},
        {"DEFAULT_BUILD": "11.2", "DEFAULT_CONTEXT": "jwst_1321.pmap"},
        {"PARALLEL": "0"},
        {"ATTEMPTS": "0"},
        {"BUILDS": "[{}]"},
        {"SERVER__PLAINTEXT": "perhaps"},
    ],
)
def test_settings_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]) -> None:
    monkeypatch.setenv(f"{PREFIX}CRDS_PATH", "/cache")
    Settings()
    for name, value in wrong.items():
        monkeypatch.setenv(f"{PREFIX}{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_certificates_and_tokens_are_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}SERVER__LISTEN", '["0.0.0.0:7710"]')
    monkeypatch.setenv(f"{PREFIX}SERVER__TLS__CERTIFICATE", "/tls/tls.crt")
    monkeypatch.setenv(f"{PREFIX}SERVER__TLS__PRIVATE_KEY", "/tls/tls.key")
    monkeypatch.setenv(f"{PREFIX}SERVER__TLS__CLIENT_AUTHORITY", "/tls/ca.crt")
    monkeypatch.setenv(f"{PREFIX}TOKENS__FILE", "/tokens.yaml")
    settings = Settings()
    assert settings.server.listen == ("0.0.0.0:7710",)
    assert settings.server.tls is not None
    assert settings.server.tls.client_authority == Path("/tls/ca.crt")
    assert settings.tokens.file == Path("/tokens.yaml")
