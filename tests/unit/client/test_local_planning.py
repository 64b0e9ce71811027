"""What ``jwcal up`` decides before it starts anything."""

import socket
from pathlib import Path
from typing import Any

import pytest

from jwcal.client.local.planning import planned, usual_crds, with_ports
from jwcal.client.local.services import process_specs
from jwcal.client.local.state import State
from jwcal.core.errors import ConfigurationError, InvalidParameter


def a_plan(place: Path, earlier: State | None = None, alive: tuple[str, ...] = (), **chosen: Any) -> State:
    return with_ports(planned(earlier, chosen, alive, place), alive)


def environments(state: State, place: Path) -> dict[str, dict[str, str]]:
    return {spec.name: dict(spec.environment) for spec in process_specs(state, place, lambda: "new")}


def test_workers_come_last_and_know_the_orchestrator(tmp_path: Path) -> None:
    state = a_plan(tmp_path, workers=2, stages=("detector1", "stage2"))
    told = environments(state, tmp_path)
    assert list(told)[-4:] == ["detector1-1", "detector1-2", "stage2-1", "stage2-2"]
    assert list(told)[-5] == "orchestrator"
    workers = [told[name] for name in list(told)[-4:]]
    assert {one["JWCAL_ORCHESTRATOR"] for one in workers} == {state.server}
    assert [one["JWCAL_WORKER_NAME"] for one in workers] == [f"{name}-new" for name in list(told)[-4:]]
    assert len({one["JWCAL_SERVER__LISTEN"] for one in workers} | {f'["{state.server}"]'}) == 5
    assert len({one["JWCAL_SCRATCH"] for one in workers}) == 4
    assert {one["JWCAL_STORE_ROOT"] for one in told.values()} == {str(tmp_path / "objects")}


def test_one_worker_may_use_every_core_and_several_share_them(tmp_path: Path) -> None:
    assert "NUMBA_NUM_THREADS" not in environments(a_plan(tmp_path), tmp_path)["detector1-1"]
    assert int(environments(a_plan(tmp_path, workers=64), tmp_path)["detector1-1"]["NUMBA_NUM_THREADS"]) == 1


def test_an_s3_server_comes_first_and_its_keys_are_in_files(tmp_path: Path) -> None:
    state = a_plan(tmp_path, s3=True)
    told = environments(state, tmp_path)
    assert next(iter(told)) == "s3"
    assert told["orchestrator"]["JWCAL_STORE_ENDPOINT"] == f"127.0.0.1:{state.ports['s3'][-1]}"
    assert told["orchestrator"]["JWCAL_STORE_SECRET_KEY_FILE"] == str(tmp_path / "s3" / "secret_key")
    assert "JWCAL_STORE_SECRET_KEY" not in told["orchestrator"]


def test_choices_stay_until_others_are_made(tmp_path: Path) -> None:
    first = a_plan(tmp_path, workers=3, context="jwst_1303.pmap")
    again = a_plan(tmp_path, first)
    assert again.choices == first.choices
    assert again.ports == first.ports
    assert a_plan(tmp_path, first, ("orchestrator",), workers=1).choices.workers == 1


def test_what_runs_is_not_set_up_otherwise(tmp_path: Path) -> None:
    first = a_plan(tmp_path)
    with pytest.raises(ConfigurationError, match="jwcal down"):
        a_plan(tmp_path, first, ("orchestrator",), context="jwst_1303.pmap")
    assert a_plan(tmp_path, first, context="jwst_1303.pmap").choices.context == "jwst_1303.pmap"
    with pytest.raises(ConfigurationError, match="another --dir"):
        a_plan(tmp_path, first, s3=True)


@pytest.mark.parametrize("chosen", [{"workers": -1}, {"workers": 65}, {"workers": "many"}, {"stages": ("stage9",)}])
def test_choices_that_cannot_be_are_refused(tmp_path: Path, chosen: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        a_plan(tmp_path, **chosen)


def test_a_port_that_another_took_meanwhile_is_given_up(tmp_path: Path) -> None:
    first = a_plan(tmp_path)
    (port,) = first.ports["detector1-1"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert a_plan(tmp_path, first).ports["detector1-1"] != (port,)
        assert a_plan(tmp_path, first, ("detector1-1",)).ports["detector1-1"] == (port,)


def test_references_come_from_an_offline_cache_or_as_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crds").mkdir()
    offline = usual_crds(Path("crds"), {"CRDS_CONTEXT": "other"})
    assert offline["CRDS_PATH"] == str(tmp_path / "crds")
    assert offline["CRDS_MODE"] == "local"
    assert "CRDS_CONTEXT" not in offline
    assert usual_crds(None, {"CRDS_PATH": "crds", "HOME": "/"}) == {"CRDS_PATH": str(tmp_path / "crds")}
    with pytest.raises(ConfigurationError, match="absent"):
        usual_crds(Path("absent"), {})
