"""Step parameters: typed, merged by precedence, refused where the name or value does not exist."""

from pathlib import Path
from typing import Any

import asdf
import pytest
import yaml
from pydantic import Field

from jwcal.core.errors import InvalidParameter, UnknownParameter, UnreadableFile
from jwcal.core.parameters import build, class_aliases, merge, read_file
from jwcal.core.step import StepDefinition, StepParameters

ALIASES = {"JumpStep": "jump", "RampFitStep": "ramp_fit"}


class JumpParameters(StepParameters):
    threshold: float = Field(4.0, ge=0)
    area: int | None = 5
    find_showers: bool = False
    extensions: tuple[int, ...] = ()


JUMP = StepDefinition(
    name="jump",
    function=print,
    params=JumpParameters,
    references=(),
    status="jump",
    official="jwst.jump.JumpStep",
    suffix="jump",
)


def built(values: dict[str, Any]) -> JumpParameters:
    params = build(JUMP, values)
    assert isinstance(params, JumpParameters)
    return params


def an_asdf_file(path: Path, tree: dict[str, Any]) -> Path:
    asdf.AsdfFile(tree).write_to(path)
    return path


def a_yaml_file(path: Path, tree: Any) -> Path:
    path.write_text(yaml.safe_dump(tree))
    return path


def test_later_sources_win_value_by_value() -> None:
    crds = {"jump": {"threshold": 5.0, "area": 7}}
    file = {"jump": {"threshold": 6.0, "find_showers": True}, "ramp_fit": {"algorithm": "LIKELY"}}
    override = {"jump": {"threshold": 7.0}}
    assert merge(crds, file, override) == {
        "jump": {"threshold": 7.0, "area": 7, "find_showers": True},
        "ramp_fit": {"algorithm": "LIKELY"},
    }


def test_merging_leaves_its_sources() -> None:
    crds, override = {"jump": {"threshold": 5.0}}, {"jump": {"threshold": 7.0}}
    merge(crds, override)
    assert crds == {"jump": {"threshold": 5.0}}


def test_what_nobody_sets_has_the_default_of_the_code() -> None:
    params = built({"area": 9})
    assert (params.threshold, params.area, params.skip) == (4.0, 9, False)


def test_text_becomes_the_type_of_the_parameter() -> None:
    params = built({"threshold": "5.5", "area": "7", "find_showers": "true"})
    assert (params.threshold, params.area, params.find_showers) == (5.5, 7, True)


@pytest.mark.parametrize("text", ["None", "none", "", " None "])
def test_the_word_none_is_no_value(text: str) -> None:
    assert built({"area": text}).area is None


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownParameter, match="step jump has no parameter 'treshold'") as caught:
        built({"treshold": 5})
    assert "threshold" in str(caught.value.remedy)


@pytest.mark.parametrize("value", ["high", -1, float("nan"), float("inf"), [1], None])
def test_a_value_that_cannot_be_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidParameter, match=r"^jump\.threshold = ") as caught:
        built({"threshold": value})
    assert caught.value.remedy


def test_a_wrong_member_of_a_list_is_named() -> None:
    with pytest.raises(InvalidParameter, match=r"jump\.extensions\.1 = 'two'"):
        built({"extensions": [1, "two"]})


def test_parameters_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        built({}).threshold = 3.0


def test_a_yaml_file_may_name_steps_plainly(tmp_path: Path) -> None:
    file = a_yaml_file(tmp_path / "p.yaml", {"jump": {"threshold": 5.0}, "pipeline": {"save_calibrated_ramp": True}})
    assert read_file(file, ALIASES) == {"jump": {"threshold": 5.0}, "pipeline": {"save_calibrated_ramp": True}}


STEP_FILE = {"class": "jwst.jump.JumpStep", "name": "jump", "parameters": {"threshold": 5.0, "area": None}}
PIPELINE_FILE = {
    "class": "jwst.pipeline.Detector1Pipeline",
    "name": "calwebb_detector1",
    "parameters": {"save_calibrated_ramp": True},
    "steps": [
        {"class": "jwst.jump.JumpStep", "name": "jump", "parameters": {"threshold": 5.0, "skip": False}},
        {"class": "mine.OtherStep", "name": "other", "parameters": {"x": [1, 2]}},
    ],
}


@pytest.mark.parametrize("write", [an_asdf_file, a_yaml_file])
def test_a_step_file_of_the_official_package_is_read(tmp_path: Path, write: Any) -> None:
    file = write(tmp_path / f"p.{'asdf' if write is an_asdf_file else 'yaml'}", STEP_FILE)
    assert read_file(file, ALIASES) == {"jump": {"threshold": 5.0, "area": None}}


@pytest.mark.parametrize("write", [an_asdf_file, a_yaml_file])
def test_a_pipeline_file_of_the_official_package_is_read(tmp_path: Path, write: Any) -> None:
    file = write(tmp_path / f"p.{'asdf' if write is an_asdf_file else 'yaml'}", PIPELINE_FILE)
    assert read_file(file, ALIASES) == {
        "pipeline": {"save_calibrated_ramp": True},
        "jump": {"threshold": 5.0, "skip": False},
        "other": {"x": [1, 2]},
    }


def test_the_older_layout_of_pipeline_files_is_read(tmp_path: Path) -> None:
    tree = {
        "class": "jwst.pipeline.Detector1Pipeline",
        "parameters": {"save_calibrated_ramp": True, "steps": {"jump": {"threshold": 5.0, "output_dir": "x"}}},
    }
    assert read_file(an_asdf_file(tmp_path / "p.asdf", tree), ALIASES) == {
        "pipeline": {"save_calibrated_ramp": True},
        "jump": {"threshold": 5.0},
    }


def test_naming_and_places_of_an_official_file_are_left_to_the_caller(tmp_path: Path) -> None:
    parameters = {"threshold": 5.0, "output_dir": "/x", "output_ext": ".fits", "save_results": True, "suffix": "y"}
    file = a_yaml_file(tmp_path / "p.yaml", {"class": "jwst.jump.JumpStep", "parameters": parameters})
    assert read_file(file, ALIASES) == {"jump": {"threshold": 5.0}}


@pytest.mark.parametrize("parameters", [None, {}])
def test_an_official_file_may_set_nothing(tmp_path: Path, parameters: Any) -> None:
    tree = {"class": "jwst.jump.JumpStep", "parameters": parameters, "steps": None}
    assert read_file(a_yaml_file(tmp_path / "p.yaml", tree), ALIASES) == {"jump": {}}


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"absent\.asdf"):
        read_file(tmp_path / "absent.asdf", ALIASES)


@pytest.mark.parametrize(
    ("name", "text"), [("p.asdf", "no asdf"), ("p.yaml", "a: [1,\nb: }"), ("p.yaml", "- 1\n- 2\n")]
)
def test_what_is_no_parameter_file_is_refused_in_one_line(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UnreadableFile, match="not a parameter file") as caught:
        read_file(tmp_path / name, ALIASES)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    "tree",
    [
        {"jump": 5},
        {"class": "jwst.jump.JumpStep", "parameters": 5},
        {"class": "jwst.pipeline.Detector1Pipeline", "steps": {"jump": {"threshold": 5}}},
        {"class": "jwst.pipeline.Detector1Pipeline", "steps": ["jump"]},
        {"class": "jwst.pipeline.Detector1Pipeline", "parameters": {"steps": {"jump": 5}}},
    ],
)
def test_a_file_without_a_mapping_where_parameters_belong_is_refused(tmp_path: Path, tree: Any) -> None:
    file = a_yaml_file(tmp_path / "p.yaml", tree)
    with pytest.raises(InvalidParameter) as caught:
        read_file(file, ALIASES)
    assert caught.value.file == str(file)


def test_official_class_names_lead_to_steps() -> None:
    assert class_aliases([JUMP]) == {"JumpStep": "jump"}
    assert JUMP.pars_type == "pars-jumpstep"
