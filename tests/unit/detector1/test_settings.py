"""Which source of a parameter wins: code default < CRDS pars-* < parameter file < override."""

from pathlib import Path
from typing import Any

import asdf
import pytest
import yaml

from jwcal.core.errors import UnknownParameter
from jwcal.core.executor import PlannedStep
from jwcal.detector1.settings import plan_run
from tests.builders import CONTEXT, in_cache, some_metadata, use_crds, write_crds_cache

HERE = ("NRCA1", "SUB160")
PIPELINE = "jwst_nircam_pars-detector1pipeline_0001.asdf"
OF_STEPS = {
    "jwst.jump.JumpStep": {"rejection_threshold": 5.0, "min_jump_to_flag_neighbors": 11.0},
    "jwst.charge_migration.ChargeMigrationStep": {"signal_threshold": 20000.0},
    "jwst.ramp_fitting.RampFitStep": {"algorithm": "LIKELY"},
}
"""What the context's references of steps say; their types stand before and after the pipeline's in the alphabet."""
OF_PIPELINE = {"charge_migration": {"signal_threshold": 30000.0}, "ramp_fit": {"algorithm": "OLS_C"}}


def a_parameter_file(path: Path, official: str, parameters: dict[str, Any], **more: Any) -> Path:
    """As CRDS and the official package write them; ASDF or YAML by the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = {"class": official, "name": official.rsplit(".", 1)[-1], "parameters": parameters, **more}
    if path.suffix == ".asdf":
        asdf.AsdfFile(tree).write_to(path)
    else:
        path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture(autouse=True)
def crds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The references above in a cache."""
    types = {f"pars-{official.rsplit('.', 1)[-1].lower()}": official for official in OF_STEPS}
    files = {kind: f"jwst_nircam_{kind}_0001.asdf" for kind in types}
    rules = {kind: {HERE: name} for kind, name in files.items()} | {"pars-detector1pipeline": {HERE: PIPELINE}}
    path = write_crds_cache(tmp_path / "crds", rules)
    for kind, official in types.items():
        a_parameter_file(in_cache(path, files[kind]), official, OF_STEPS[official])
    a_parameter_file(
        in_cache(path, PIPELINE),
        "jwst.pipeline.Detector1Pipeline",
        {"save_calibrated_ramp": True},
        steps=[{"class": "", "name": step, "parameters": values} for step, values in OF_PIPELINE.items()],
    )
    use_crds(path, monkeypatch)


def planned(*, use_crds_parameters: bool = True, **given: Any) -> tuple[dict[str, PlannedStep], dict[str, Any]]:
    """Steps by name, and the pipeline's own parameters."""
    options: dict[str, Any] = {"parameters": {}, "parameter_files": [], "skip": (), "save_steps": False}
    steps, own = plan_run(
        "NEAR_INFRARED",
        "calwebb_detector1",
        some_metadata(),
        CONTEXT,
        use_crds_parameters=use_crds_parameters,
        **(options | given),
    )
    return {step.definition.name: step for step in steps}, own


def jump(**given: Any) -> Any:
    return planned(**given)[0]["jump"].params


def test_the_code_has_a_default_for_everything() -> None:
    params = jump(use_crds_parameters=False)
    assert (params.rejection_threshold, params.min_jump_to_flag_neighbors) == (4.0, 10.0)


def test_crds_wins_over_the_code() -> None:
    params = jump()
    assert (params.rejection_threshold, params.min_jump_to_flag_neighbors) == (5.0, 11.0)
    assert planned()[1] == {"save_calibrated_ramp": True}


def test_the_reference_of_the_pipeline_wins_over_those_of_its_steps() -> None:
    steps, _ = planned()
    assert steps["charge_migration"].params.model_dump()["signal_threshold"] == 30000.0
    assert steps["ramp_fit"].params.model_dump()["algorithm"] == "OLS_C"


@pytest.mark.parametrize("suffix", ["asdf", "yaml"])
def test_a_parameter_file_wins_over_crds(tmp_path: Path, suffix: str) -> None:
    file = a_parameter_file(tmp_path / f"mine.{suffix}", "jwst.jump.JumpStep", {"rejection_threshold": 6.0})
    params = jump(parameter_files=[file])
    assert (params.rejection_threshold, params.min_jump_to_flag_neighbors) == (6.0, 11.0)


def test_a_later_parameter_file_wins_over_an_earlier_one(tmp_path: Path) -> None:
    files = [
        a_parameter_file(tmp_path / f"{value}.yaml", "jwst.jump.JumpStep", {"rejection_threshold": value})
        for value in (6.0, 7.0)
    ]
    assert jump(parameter_files=files).rejection_threshold == 7.0


def test_an_override_wins_over_everything(tmp_path: Path) -> None:
    file = a_parameter_file(
        tmp_path / "mine.yaml", "jwst.jump.JumpStep", {"rejection_threshold": 6.0, "min_jump_to_flag_neighbors": 12.0}
    )
    params = jump(parameter_files=[file], parameters={"jump": {"rejection_threshold": "8"}})
    assert (params.rejection_threshold, params.min_jump_to_flag_neighbors) == (8.0, 12.0)


def test_the_pipelines_own_parameters_can_be_overridden() -> None:
    assert planned(parameters={"pipeline": {"save_calibrated_ramp": False}})[1] == {"save_calibrated_ramp": False}


def test_skipping_wins_over_a_file_that_does_not_skip(tmp_path: Path) -> None:
    file = a_parameter_file(tmp_path / "mine.yaml", "jwst.jump.JumpStep", {"skip": False})
    assert jump(parameter_files=[file], skip=["jump"]).skip


@pytest.mark.parametrize(
    ("tree", "named"),
    [
        ({"jump": {"nope": 1}}, "nope"),
        ({"nope": {"skip": True}}, "nope"),
        ({"pipeline": {"nope": 1}}, "nope"),
        ({"class": "jwst.jump.JumpStep", "parameters": {"nope": 1}}, "nope"),
    ],
)
def test_an_unknown_name_in_a_parameter_file_is_refused(tmp_path: Path, tree: dict[str, Any], named: str) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(UnknownParameter, match=named):
        planned(parameter_files=[tmp_path / "mine.yaml"])


@pytest.mark.parametrize("parameters", [{"jump": {"nope": 1}}, {"nope": {}}, {"pipeline": {"nope": 1}}])
def test_an_unknown_name_in_an_override_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(UnknownParameter, match="nope"):
        planned(parameters=parameters)
