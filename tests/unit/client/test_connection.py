"""Where commands find the services."""

import secrets
from pathlib import Path

import pytest

from jwcal.client.connection import Connection
from jwcal.client.local.planning import planned, with_ports
from jwcal.client.local.state import StartedProcess, State, default_directory, read_state, write_state
from jwcal.core.errors import ConfigurationError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("JWCAL_SERVER", "JWCAL_CLIENT__PLAINTEXT", "JWCAL_STORE_KIND", "JWCAL_STORE_ROOT", "JWCAL_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JWCAL_DIR", str(tmp_path))
    return monkeypatch


def a_state(place: Path) -> State:
    state = with_ports(planned(None, {}, (), place), ())
    started = StartedProcess(pid=1, started=0.0, command=("x",))
    return state.model_copy(update={"processes": {"orchestrator": started}})


def test_what_up_started_is_found(tmp_path: Path) -> None:
    state = a_state(tmp_path)
    write_state(tmp_path, state)
    found = Connection.find()
    assert (found.server, found.client.plaintext, found.bucket) == (state.server, True, "jwcal")
    assert found.store is not None
    assert found.store.root == tmp_path / "objects"
    assert Connection.find(directory=tmp_path) == found


def test_services_that_are_down_are_not_called(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="jwcal up"):
        Connection.find()
    write_state(tmp_path, a_state(tmp_path).model_copy(update={"processes": {}}))
    with pytest.raises(ConfigurationError, match="jwcal up"):
        Connection.find()


def test_an_address_of_the_environment_goes_before_what_runs_here(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    write_state(tmp_path, a_state(tmp_path))
    environment.setenv("JWCAL_SERVER", "pipeline.example.org:443")
    environment.setenv("JWCAL_CLIENT__TLS__AUTHORITY", "/etc/authority.pem")
    environment.setenv("JWCAL_STORE_KIND", "directory")
    environment.setenv("JWCAL_STORE_ROOT", "/data")
    environment.setenv("JWCAL_BUCKET", "archive")
    found = Connection.find()
    assert (found.server, found.bucket) == ("pipeline.example.org:443", "archive")
    assert found.client.tls is not None
    assert found.store is not None
    assert Connection.find("other:1").server == "other:1"
    assert Connection.find(directory=tmp_path).server != "pipeline.example.org:443"


def test_encryption_is_not_left_out_silently(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="JWCAL_CLIENT__PLAINTEXT"):
        Connection.find("127.0.0.1:7700")
    environment.setenv("JWCAL_CLIENT__PLAINTEXT", "true")
    assert Connection.find("127.0.0.1:7700").store is None


def test_a_wrong_environment_is_named_without_its_values(environment: pytest.MonkeyPatch) -> None:
    secret = secrets.token_hex(8)
    environment.setenv("JWCAL_CLIENT__PLAINTEXT", secret)
    with pytest.raises(ConfigurationError, match="plaintext") as wrong:
        Connection.find("127.0.0.1:7700")
    assert secret not in str(wrong.value)


def test_a_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for text in ("{", '{"version": 1}', "[]"):
        (tmp_path / "state.json").write_text(text)
        with pytest.raises(ConfigurationError, match=r"state\.json"):
            read_state(tmp_path)


def test_the_usual_directory() -> None:
    assert default_directory({"JWCAL_DIR": "/a"}) == Path("/a")
    assert default_directory({"XDG_DATA_HOME": "/b"}) == Path("/b/jwcal")
    assert default_directory({}) == Path.home() / ".local" / "share" / "jwcal"
