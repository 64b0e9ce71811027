import pytest

from jwcal.client import arguments
from jwcal.core.errors import InvalidParameter, UnknownParameter
from jwcal.detector1.settings import definitions


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GiB", 8 << 30), ("1.5 GB", 1_500_000_000), ("700M", 700_000_000), ("4096", 4096), ("2kib", 2048)],
)
def test_a_memory_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert arguments.memory_size(text) == size


@pytest.mark.parametrize("text", ["lots", "-1GiB", "0", "8 XB", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="memory"):
        arguments.memory_size(text)


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("detector1", None),
        ("Detector1Pipeline", None),
        ("jwst.pipeline.Detector1Pipeline", None),
        ("calwebb_dark", "DARK"),
        ("GuiderPipeline", "GUIDER"),
    ],
)
def test_official_pipeline_names_are_known(name: str, plan: str | None) -> None:
    assert arguments.pipeline_plan(name) == plan


def test_another_pipeline_is_refused() -> None:
    with pytest.raises(UnknownParameter, match="calwebb_image2"):
        arguments.pipeline_plan("calwebb_image2")


def test_settings_are_sorted_by_step() -> None:
    found = arguments.parameters(["jump.rejection_threshold=5", "steps.jump.skip=true", "refpix.side_gain=2"], {})
    assert found == {"jump": {"rejection_threshold": "5", "skip": "true"}, "refpix": {"side_gain": "2"}}


def test_a_setting_without_a_step_is_the_pipelines_own() -> None:
    assert arguments.parameters(["save_calibrated_ramp=false"], {}) == {"pipeline": {"save_calibrated_ramp": False}}


def test_lists_may_be_written_with_commas_or_brackets() -> None:
    known = definitions()
    plain = arguments.parameters(["jump.post_hooks=a:f,b:g"], known)
    bracketed = arguments.parameters(["jump.post_hooks=['a:f', 'b:g']"], known)
    assert plain == bracketed == {"jump": {"post_hooks": ["a:f", "b:g"]}}


def test_a_setting_keeps_what_follows_the_first_equals_sign() -> None:
    assert arguments.parameters(["dark_current.dark_output=a=b.fits"], {}) == {
        "dark_current": {"dark_output": "a=b.fits"}
    }


@pytest.mark.parametrize("pair", ["jump", "=5"])
def test_a_setting_without_name_or_value_is_refused(pair: str) -> None:
    with pytest.raises(InvalidParameter, match=r"step\.parameter=value"):
        arguments.parameters([pair], {})


def test_overrides_are_paths_by_type() -> None:
    assert arguments.overrides(["dark=/a/b.fits", "flat=N/A"]) == {"dark": "/a/b.fits", "flat": "N/A"}
