"""The command line of ``jwcal submit``."""

import pytest

from jwcal.client.model import Stage, State
from jwcal.client.run_commands import states_of
from jwcal.client.submit_command import outcome, pair, processings
from jwcal.client.uploading import kind_of
from jwcal.core.errors import InvalidParameter

from .services import a_run


def test_settings_are_read_as_json_where_they_can_be() -> None:
    found = processings(
        [
            "jump.rejection_threshold=5",
            "steps.jump.find_showers=True",
            "ramp_fit.algorithm=LIKELY",
            "emicorr.frequencies_to_correct=[1, 2]",
            "dark_current.dark_output=none",
            "jump.time_masked_after_shower=1e3",
            "ramp_fit.suffix=a=b",
            "save_calibrated_ramp=true",
        ],
        [],
    )
    assert found[Stage.DETECTOR1].parameters == {
        "jump": {"rejection_threshold": 5, "find_showers": True, "time_masked_after_shower": 1000.0},
        "ramp_fit": {"algorithm": "LIKELY", "suffix": "a=b"},
        "emicorr": {"frequencies_to_correct": [1, 2]},
        "dark_current": {"dark_output": None},
        "pipeline": {"save_calibrated_ramp": True},
    }


def test_a_stage_may_be_named() -> None:
    found = processings(["stage2:photom.inverse=true"], ["ipc", "stage3:resample"])
    assert found[Stage.STAGE2].parameters == {"photom": {"inverse": True}}
    assert found[Stage.DETECTOR1].skip == ("ipc",)
    assert found[Stage.STAGE3].skip == ("resample",)
    assert processings([], []) == {}


@pytest.mark.parametrize("text", ["jump", "=3", "stage9:jump.x=3"])
def test_what_has_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        processings([text], [])


def test_labels_have_two_sides() -> None:
    assert pair("a = b=c", "--label", "name=value") == ("a", "b=c")


def test_states_are_known_by_name() -> None:
    assert states_of(["failed", "CANCELLED"]) == [State.FAILED, State.CANCELLED]
    with pytest.raises(InvalidParameter, match="lost"):
        states_of(["lost"])


def test_only_success_is_success() -> None:
    assert [outcome(a_run(state)) for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED)] == [0, 1, 1]


@pytest.mark.parametrize(
    ("name", "kind"), [("jw1_nrcb1_uncal.fits", "uncal"), ("s3://b/a/jw1_rate.fits", "rate"), ("x", "")]
)
def test_names_tell_what_files_are(name: str, kind: str) -> None:
    assert kind_of(name) == kind
