"""``jwcal refs bestrefs``: the reference of each type that an exposure gets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jwcal.client import exit_codes
from jwcal.client.refs_command import best_references
from jwcal.core.errors import InvalidKeyword, InvalidParameter, MissingReference, UnreadableFile
from jwcal.detector1.plans import NEAR_INFRARED, NEAR_INFRARED_DARK
from jwcal.detector1.settings import definitions
from tests.builders import CONTEXT, use_crds, write_crds_cache
from tests.tiny_exposure import write_uncal

GAIN = "jwst_nircam_gain_0001.fits"


def types_of(plan: tuple[str, ...]) -> set[str]:
    return {reference.reftype for name in plan for reference in definitions()[name].references}


@pytest.fixture
def a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes one where nothing applies to a tiny exposure but its gain and the `rules` given."""

    def write(**rules: Any) -> None:
        needed = dict.fromkeys(types_of(NEAR_INFRARED), "N/A")
        gain = {"gain": {("NRCA1", "SUB160"): GAIN}}
        use_crds(write_crds_cache(tmp_path / "crds", needed | gain | rules), monkeypatch)

    return write


def answered(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_every_type_of_the_plan_is_answered(
    tmp_path: Path, a_cache: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    a_cache()
    file = write_uncal(tmp_path)
    assert best_references(file, context=CONTEXT, plan=None, as_json=True) == exit_codes.DONE
    expected = dict.fromkeys(types_of(NEAR_INFRARED), "N/A") | {"gain": GAIN}
    assert answered(capsys) == {
        "file": str(file),
        "context": CONTEXT,
        "plan": "NEAR_INFRARED",
        "references": expected,
        "missing": [],
    }


def test_a_missing_reference_is_a_failure_and_hides_no_other(
    tmp_path: Path, a_cache: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    a_cache(mask={("NRCB1", "FULL"): "jwst_nircam_mask_0001.fits"})
    assert best_references(write_uncal(tmp_path), context=CONTEXT, plan=None, as_json=True) == exit_codes.FAILED
    document = answered(capsys)
    assert document["missing"] == ["mask"]
    assert document["references"]["mask"].startswith("NOT FOUND")
    assert document["references"]["gain"] == GAIN


def test_the_table_says_which_steps_ask(
    tmp_path: Path, a_cache: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    a_cache()
    best_references(write_uncal(tmp_path), context=CONTEXT, plan=None, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f": NEAR_INFRARED, {CONTEXT}")
    gain = next(line.split() for line in lines if line.split()[:1] == ["gain"])
    assert gain[1] == GAIN
    assert gain[-2:] == ["ramp_fit,", "gain_scale"]


def test_another_plan_asks_for_its_own_types(
    tmp_path: Path, a_cache: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    a_cache()
    best_references(write_uncal(tmp_path), context=CONTEXT, plan="dark", as_json=True)
    document = answered(capsys)
    assert document["plan"] == "NEAR_INFRARED_DARK"
    assert set(document["references"]) == types_of(NEAR_INFRARED_DARK)


def test_without_a_context_that_of_the_cache_is_asked(
    tmp_path: Path, a_cache: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    a_cache()
    best_references(write_uncal(tmp_path), context=None, plan=None, as_json=True)
    assert answered(capsys)["context"] == CONTEXT


def test_a_plan_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="'nope'"):
        best_references(write_uncal(tmp_path), context=CONTEXT, plan="nope", as_json=True)


def test_the_guider_plan_is_not_for_an_image(tmp_path: Path) -> None:
    with pytest.raises(InvalidKeyword, match="NRC_IMAGE"):
        best_references(write_uncal(tmp_path), context=CONTEXT, plan="guider", as_json=True)


def test_a_context_that_is_not_there_is_refused(tmp_path: Path, a_cache: Callable[..., None]) -> None:
    a_cache()
    with pytest.raises(MissingReference, match=r"jwst_9999\.pmap"):
        best_references(write_uncal(tmp_path), context="jwst_9999.pmap", plan=None, as_json=True)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"absent\.fits"):
        best_references(tmp_path / "absent.fits", context=CONTEXT, plan=None, as_json=True)
