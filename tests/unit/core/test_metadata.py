"""The metadata tree by dotted paths."""

import pytest

from jwcal.core.errors import InvalidKeyword, MissingKeyword
from jwcal.core.metadata import Metadata


def test_a_path_leads_into_the_tree() -> None:
    assert Metadata({"exposure": {"ngroups": 5}}).get("exposure.ngroups") == 5


@pytest.mark.parametrize("path", ["exposure.nints", "exposure.nothing", "nothing", "exposure.ngroups.deeper"])
def test_what_is_absent_or_none_gives_the_default(path: str) -> None:
    assert Metadata({"exposure": {"ngroups": 5, "nints": None}}).get(path, "default") == "default"


def test_false_and_zero_are_values() -> None:
    metadata = Metadata({"exposure": {"zero_frame": False, "groupgap": 0}})
    assert metadata.require("exposure.zero_frame") is False
    assert metadata.get("exposure.groupgap", 7) == 0


def test_a_missing_keyword_is_named_as_in_the_header() -> None:
    with pytest.raises(MissingKeyword) as caught:
        Metadata(source="a_uncal.fits").require("exposure.group_time")
    assert caught.value.keyword == "TGROUP"
    assert caught.value.file == "a_uncal.fits"


def test_a_missing_path_without_a_keyword_is_named_as_it_is() -> None:
    with pytest.raises(MissingKeyword, match=r"wcsinfo\.v3yangle"):
        Metadata().require("wcsinfo.v3yangle")


@pytest.mark.parametrize("value", [2.5, "2.5", 3, 0, -1])
def test_numbers_and_their_text_are_numbers(value: object) -> None:
    assert Metadata({"x": value}).require_number("x") == float(str(value))


@pytest.mark.parametrize("value", ["ten", [1, 2], "nan", float("nan"), float("inf"), "-inf"])
def test_what_is_no_finite_number_is_refused_with_its_value(value: object) -> None:
    with pytest.raises(InvalidKeyword) as caught:
        Metadata({"exposure": {"group_time": value}}).require_number("exposure.group_time")
    assert repr(value) in str(caught.value)
    assert caught.value.keyword == "TGROUP"


@pytest.mark.parametrize("value", [0, -10.0])
def test_a_positive_number_is_above_zero(value: float) -> None:
    with pytest.raises(InvalidKeyword, match="positive number"):
        Metadata({"x": value}).require_number("x", positive=True)


def test_setting_makes_the_nodes_on_the_way() -> None:
    metadata = Metadata()
    metadata.set("cal_step.jump", "COMPLETE")
    metadata.set("cal_step.refpix", "SKIPPED")
    assert metadata.tree == {"cal_step": {"jump": "COMPLETE", "refpix": "SKIPPED"}}


def test_discarding_leaves_the_neighbours() -> None:
    metadata = Metadata({"exposure": {"ngroups": 5, "nints": 1}})
    metadata.discard("exposure.ngroups")
    assert metadata.tree == {"exposure": {"nints": 1}}


@pytest.mark.parametrize("path", ["nothing", "nothing.deeper", "exposure.nothing", "exposure.ngroups.deeper"])
def test_discarding_what_is_not_there_changes_nothing(path: str) -> None:
    metadata = Metadata({"exposure": {"ngroups": 5}})
    metadata.discard(path)
    assert metadata.tree == {"exposure": {"ngroups": 5}}


def test_leaves_are_every_value_with_its_path() -> None:
    metadata = Metadata({"telescope": "JWST", "a": {"b": {"c": 1, "d": [1, {"e": 2}]}}, "empty": {}})
    assert dict(metadata.leaves()) == {"telescope": "JWST", "a.b.c": 1, "a.b.d": [1, {"e": 2}]}


def test_a_copy_is_independent_and_remembers_where_it_comes_from() -> None:
    original = Metadata({"a": {"b": [1]}}, source="a.fits", history=["made"])
    copy = original.copy()
    copy.set("a.b", 2)
    assert original.get("a.b") == [1]
    assert (copy.source, copy.history) == ("a.fits", ("made",))


def test_names_come_in_upper_case() -> None:
    metadata = Metadata({"instrument": {"name": "nircam", "detector": "nrca1"}, "exposure": {"type": "nrc_image"}})
    assert (metadata.instrument, metadata.detector, metadata.exposure_type) == ("NIRCAM", "NRCA1", "NRC_IMAGE")


@pytest.mark.parametrize(
    ("pattern", "expected"), [("NRSIRS2RAPID", True), ("NRSIRS2", True), ("NRSRAPID", False), (None, False)]
)
def test_irs2_is_told_from_the_readout_pattern(pattern: str | None, expected: bool) -> None:
    assert Metadata({"exposure": {"readpatt": pattern}}).is_irs2 is expected
