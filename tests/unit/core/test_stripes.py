"""Which detector lines a multistripe frame is made of, and references cut to them."""

from typing import Any

import numpy as np
import pytest

from jwcal.core.errors import InvalidKeyword, InvalidReference, MissingKeyword
from jwcal.core.metadata import Metadata
from jwcal.core.references.geometry import Subarray, cut
from jwcal.core.stripes import StripeReadout, stripe_readout

FULL = Subarray(xstart=1, ystart=1, xsize=2048, ysize=2048)

DHS = {
    "name": "SUB164STRIPE4_DHS",
    "fastaxis": -1,
    "slowaxis": 2,
    "xstart": 1,
    "ystart": 1,
    "multistripe_reads1": 1,
    "multistripe_skips1": 1526,
    "multistripe_reads2": 40,
    "multistripe_skips2": 85,
    "repeat_stripe": 1,
    "interleave_reads1": 1,
    "superstripe_step": 0,
    "num_superstripe": 0,
}
SOSS = {
    "name": "SUB204STRIPE_SOSS",
    "fastaxis": -2,
    "slowaxis": -1,
    "xstart": 2048,
    "ystart": 1793,
    "multistripe_reads1": 4,
    "multistripe_skips1": 0,
    "multistripe_reads2": 204,
    "multistripe_skips2": 0,
    "repeat_stripe": 1,
    "interleave_reads1": 1,
    "superstripe_step": 204,
    "num_superstripe": 10,
}


def metadata(keywords: dict[str, Any], **changes: Any) -> Metadata:
    tree = Metadata()
    for name, value in (keywords | changes).items():
        if value is not None:
            tree.set(f"subarray.{name}", value)
    tree.set("exposure.readpatt", "RAPID")
    return tree


def readout(keywords: dict[str, Any], ny: int, nx: int, **changes: Any) -> StripeReadout:
    found = stripe_readout(metadata(keywords, **changes), ny, nx)
    assert found is not None
    return found


def frame(keywords: dict[str, Any], ny: int, nx: int, **changes: Any) -> Subarray:
    return Subarray.of_exposure(metadata(keywords, **changes), (1, 1, ny, nx))


def columns_that_hold_their_number() -> np.ndarray:
    return np.broadcast_to(np.arange(2048), (2048, 2048))


def rows_that_hold_their_number() -> np.ndarray:
    return columns_that_hold_their_number().T


def test_an_exposure_without_stripe_keywords_has_no_stripes() -> None:
    assert stripe_readout(metadata({"xstart": 1, "ystart": 1, "num_superstripe": 0}), 64, 64) is None


def test_interleaved_stripes_follow_each_other_over_the_detector() -> None:
    assert [(s.frame, s.detector, s.lines) for s in readout(DHS, 164, 2048).stripes(0)] == [
        (1, 1527, 40),
        (42, 1652, 40),
        (83, 1777, 40),
        (124, 1902, 40),
    ]


def test_every_interleaved_stripe_comes_after_the_first_lines() -> None:
    lines = readout(DHS, 164, 2048).lines[0]
    assert (lines[[0, 41, 82, 123]] == 0).all()


def test_a_stripe_that_is_not_interleaved_is_read_again_and_again() -> None:
    lines = readout(DHS, 164, 2048, interleave_reads1=0).lines[0].reshape(4, 41)
    assert (lines == [0, *range(1527, 1567)]).all()


def test_without_repeats_the_readout_moves_on_and_the_first_lines_come_once() -> None:
    lines = readout(DHS, 61, 2048, repeat_stripe=0, multistripe_reads2=20, multistripe_skips1=10, multistripe_skips2=5)
    assert lines.lines[0].tolist() == [0, *range(11, 31), *range(36, 56), *range(61, 81)]


def test_superstripes_move_by_their_step_and_keep_their_first_lines() -> None:
    lines = readout(SOSS, 256, 208).lines
    assert lines.shape == (10, 208)
    assert (lines[:, :4] == np.arange(4)).all()
    assert (lines[:, 4:] == 4 + 204 * np.arange(10)[:, None] + np.arange(204)).all()


def test_superstripes_without_a_width_are_as_wide_as_their_step() -> None:
    pure = readout(SOSS, 256, 204, multistripe_reads1=0, multistripe_reads2=0, xstart=2044)
    assert (pure.lines.ravel() == np.arange(4, 2044)).all()


def test_stripes_interleaved_within_a_superstripe_stay_where_the_first_superstripe_has_them() -> None:
    lines = readout(SOSS, 256, 108, multistripe_reads2=50, multistripe_skips2=1).lines
    assert (lines[:, 58:] == np.arange(55, 105)).all()


@pytest.mark.parametrize(
    "changes",
    [{"slowaxis": -2, "ystart": 1}, {"slowaxis": -2, "ystart": 2008}, {"ystart": 17}],
    ids=["starts at 1 backwards", "DHS backwards", "DHS"],
)
def test_starts_that_early_products_give_wrongly_mean_the_edge_of_the_detector(changes: dict[str, Any]) -> None:
    assert (readout(DHS, 164, 2048, **changes).lines == readout(DHS, 164, 2048).lines).all()


def test_the_field_of_superstripes_is_what_they_cover() -> None:
    sub64p = readout(SOSS, 256, 208, name="SUB64P")
    assert sub64p.field("SUB64P") == (4, 2040)
    assert sub64p.field("SUB204STRIPE_SOSS") == (0, 2048)


@pytest.mark.parametrize(
    "name", ["multistripe_skips1", "multistripe_reads2", "repeat_stripe", "superstripe_step", "slowaxis"]
)
def test_a_missing_keyword_of_the_readout_is_named(name: str) -> None:
    with pytest.raises(MissingKeyword):
        stripe_readout(metadata(SOSS, **{name: None}), 256, 208)


@pytest.mark.parametrize(
    ("changes", "keyword"),
    [
        ({"multistripe_reads2": 38}, "MSTR_RD2"),
        ({"multistripe_reads2": 0, "superstripe_step": 0}, "MSTR_RD2"),
        ({"multistripe_skips1": 100}, "MSTR_SK1"),
    ],
    ids=["does not fill the frame", "no lines", "beyond the detector"],
)
def test_stripes_that_cannot_be_are_refused(changes: dict[str, Any], keyword: str) -> None:
    with pytest.raises(InvalidKeyword) as caught:
        stripe_readout(metadata(SOSS, **changes), 256, 208)
    assert caught.value.keyword == keyword


@pytest.mark.parametrize("value", ["many", float("nan")])
def test_a_number_of_superstripes_that_is_none_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidKeyword) as caught:
        stripe_readout(metadata(SOSS, num_superstripe=value), 256, 208)
    assert caught.value.keyword == "SSTR_NST"


def test_a_full_frame_reference_is_cut_to_the_lines_of_the_stripes() -> None:
    plane = cut(rows_that_hold_their_number(), FULL, frame(DHS, 164, 2048), file="gain.fits")
    assert (plane == readout(DHS, 164, 2048).lines[0][:, None]).all()


def test_backwards_the_science_frame_counts_lines_from_the_other_end() -> None:
    plane = cut(rows_that_hold_their_number(), FULL, frame(DHS, 164, 2048, slowaxis=-2, ystart=2048), file="gain.fits")
    assert (plane[-1] == 2047).all()
    assert (plane[-2] == 2047 - 1527).all()
    assert (plane[0] == 2047 - 1941).all()


def test_along_the_fast_axis_stripes_are_cut_as_other_subarrays() -> None:
    plane = cut(columns_that_hold_their_number(), FULL, frame(DHS, 164, 512, xstart=1025), file="gain.fits")
    assert (plane == np.arange(1024, 1536)).all()


def test_cubes_are_cut_plane_by_plane() -> None:
    cube = np.stack([rows_that_hold_their_number(), -rows_that_hold_their_number()])
    first, second = cut(cube, FULL, frame(DHS, 164, 2048), file="linearity.fits")
    assert (first == -second).all()
    assert first.shape == (164, 2048)


def test_superstripes_get_a_plane_for_each_position() -> None:
    planes = cut(columns_that_hold_their_number(), FULL, frame(SOSS, 256, 208), file="gain.fits")
    assert planes.shape == (10, 256, 208)
    assert (planes[0] == np.arange(1840, 2048)).all()
    assert (planes[-1, 0] == [*range(4, 208), *range(2044, 2048)]).all()


def test_a_reference_in_stripes_is_taken_as_it_is() -> None:
    target = frame(DHS, 164, 2048)
    plane = np.arange(164 * 2048).reshape(164, 2048)
    assert cut(plane, Subarray(1, 1, 2048, 164), target, file="gain.fits") is plane


@pytest.mark.parametrize(
    ("shape", "keywords"),
    [((512, 2048), DHS), ((2048, 512), SOSS), ((2, 2048, 2048), SOSS)],
    ids=["too few rows", "too few columns", "a cube for superstripes"],
)
def test_what_cannot_be_cut_to_stripes_is_refused(shape: tuple[int, ...], keywords: dict[str, Any]) -> None:
    target = frame(keywords, 164, 2048) if keywords is DHS else frame(keywords, 256, 208)
    with pytest.raises(InvalidReference):
        cut(np.zeros(shape, np.float32), FULL, target, file="gain.fits")
