"""Superstripes are put together to frames of the whole field."""

from typing import Any

import numpy as np
import pytest

from jwcal.core import dqflags
from jwcal.core.data import Ramp
from jwcal.core.errors import InvalidData, RefusedCorrection
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import IpcReference
from jwcal.detector1.steps.dark_current import DarkCurrentParameters, subtract_dark
from jwcal.detector1.steps.ipc import IpcParameters, correct_capacitance
from jwcal.detector1.steps.jump import JumpParameters, detect_jumps
from jwcal.detector1.steps.linearity import LinearityParameters, correct_linearity
from jwcal.detector1.steps.ramp_fit import RampFitParameters, fit_ramps
from jwcal.detector1.steps.refpix import RefPixParameters, subtract_reference_pixels
from jwcal.detector1.superstripes import collate
from tests.builders import some_metadata

POSITIONS = 3
COLUMNS = 5
MOMENTS = [f"int_{when}_{scale}" for scale in ("MJD_UTC", "BJD_TDB") for when in ("start", "mid", "end")]


def superstripes(*, nints: int = 2, ngroups: int = 2, changes: dict[str, Any] | None = None, **arrays: Any) -> Ramp:
    """Superstripes of 1 + 2 lines whose values count frames, groups and lines."""
    values = {
        "subarray.name": "SUB64P_SUPSTP002",
        "subarray.fastaxis": 1,
        "subarray.slowaxis": 2,
        "subarray.xstart": 101,
        "subarray.ystart": 3,
        "subarray.multistripe_reads1": 1,
        "subarray.multistripe_skips1": 10,
        "subarray.multistripe_reads2": 2,
        "subarray.multistripe_skips2": 0,
        "subarray.repeat_stripe": 1,
        "subarray.interleave_reads1": 0,
        "subarray.superstripe_step": 2,
        "subarray.num_superstripe": POSITIONS,
        "exposure.nints": nints * POSITIONS,
        "exposure.ngroups": ngroups,
        "exposure.noutputs": 1,
        "exposure.integration_start": 1,
        "exposure.integration_end": nints * POSITIONS,
    } | (changes or {})
    lines = 3 * (2 if values.pop("twice", False) else 1)
    frame, group, line, column = np.ogrid[: nints * POSITIONS, :ngroups, :lines, :COLUMNS]
    data = (1000 * frame + 100 * group + 10 * line + column).astype(np.float32)
    if abs(values["subarray.slowaxis"]) == 1:
        data = np.ascontiguousarray(np.swapaxes(data, -2, -1))
    fields: dict[str, Any] = {
        "data": data,
        "groupdq": (data % 251).astype(np.uint8),
        "pixeldq": np.arange(data[:POSITIONS, 0].size, dtype=np.uint32).reshape(POSITIONS, *data.shape[-2:]),
        "metadata": some_metadata(values),
        "tables": {"int_times": int_times(nints * POSITIONS), "group": np.zeros(1, [("group_number", "i4")])},
    }
    return Ramp(**(fields | arrays))


def int_times(rows: int) -> np.ndarray:
    table = np.zeros(rows, [("integration_number", "i4"), *((name, "f8") for name in MOMENTS)])
    table["integration_number"] = np.arange(rows) + 1
    for index, name in enumerate(MOMENTS):
        table[name] = 60000 + np.arange(rows) + 0.1 * (index % 3)
    return table


TWICE = {"twice": True}
"""Every frame reads its stripe, and the line before it, two times."""


def test_stripes_lie_side_by_side_in_the_collated_frame() -> None:
    ramp = superstripes()
    before = ramp.data.copy()
    data = collate(ramp).data
    assert data.shape == (2, 2, 2 * POSITIONS, COLUMNS)
    for position in range(POSITIONS):
        assert (data[:, :, 2 * position : 2 * position + 2] == before[position::POSITIONS, :, 1:]).all()


def test_group_flags_go_with_their_values() -> None:
    collated = collate(superstripes())
    assert (collated.groupdq == (collated.data % 251).astype(np.uint8)).all()


def test_every_position_brings_its_own_pixel_flags() -> None:
    ramp = superstripes()
    before = ramp.pixeldq.copy()
    assert (collate(ramp).pixeldq.reshape(POSITIONS, 2, COLUMNS) == before[:, 1:]).all()


def test_lines_run_against_the_science_frame_where_the_readout_does() -> None:
    ramp = superstripes(changes={"subarray.slowaxis": -2, "subarray.ystart": 2046})
    before = ramp.data.copy()
    collated = collate(ramp)
    assert (collated.data[:, :, -2:] == before[::POSITIONS, :, :2]).all()
    assert collated.metadata.get("subarray.ystart") == 2048 - (2 + 1 + 10) - 2 * POSITIONS + 1


def test_lines_may_be_columns() -> None:
    ramp = superstripes(changes={"subarray.fastaxis": 2, "subarray.slowaxis": 1, "subarray.xstart": 3})
    before = ramp.data.copy()
    collated = collate(ramp)
    assert (collated.data[..., 2:4] == before[1::POSITIONS, ..., 1:]).all()
    assert (collated.metadata.get("subarray.xstart"), collated.metadata.get("subarray.xsize")) == (14, 6)
    assert collated.metadata.get("subarray.ysize") == COLUMNS


def test_lines_that_no_stripe_holds_are_empty_reference_pixels() -> None:
    collated = collate(superstripes(changes={"subarray.name": "SUB17STRIPE_SOSS"}))
    assert collated.data.shape[-2:] == (2048, COLUMNS)
    read = np.zeros(2048, bool)
    read[13:19] = True
    assert np.isnan(collated.data[:, :, ~read]).all()
    assert np.isfinite(collated.data[:, :, read]).all()
    assert (collated.pixeldq[~read] == dqflags.REFERENCE_PIXEL).all()
    assert (collated.groupdq[:, :, ~read] == 0).all()


def test_a_stripe_read_twice_makes_two_groups() -> None:
    ramp = superstripes(changes=TWICE)
    before = ramp.data.copy()
    collated = collate(ramp)
    assert collated.metadata.get("exposure.ngroups") == collated.ngroups == 4
    assert (collated.data[0, 0::2, :2] == before[0, :, 1:3]).all()
    assert (collated.data[0, 1::2, :2] == before[0, :, 4:6]).all()


def test_the_groups_of_a_stripe_read_twice_have_their_times() -> None:
    times = collate(superstripes(changes=TWICE)).read_times
    line = (COLUMNS + 12) * 1e-5
    first, second, frame = line * (3 + 3), line * 3, line * (6 + 3)
    assert times == pytest.approx(np.array([[first], [first + second], [frame + first], [2 * frame]]))


def test_the_frames_that_such_groups_average_are_a_frame_time_apart() -> None:
    times = collate(superstripes(changes=TWICE | {"exposure.nframes": 2, "exposure.groupgap": 1})).read_times
    frame = (COLUMNS + 12) * 1e-5 * (6 + 3)
    assert times is not None
    assert times[:, 1] - times[:, 0] == pytest.approx(np.full(4, frame))
    assert times[2, 0] - times[0, 0] == pytest.approx(3 * frame)


def test_stripes_read_once_are_evenly_sampled() -> None:
    assert collate(superstripes()).read_times is None


def test_the_zero_frame_is_that_of_the_last_read() -> None:
    frames = np.arange(2 * POSITIONS * 6 * COLUMNS, dtype=np.float32).reshape(2 * POSITIONS, 6, COLUMNS)
    zeroframe = collate(superstripes(changes=TWICE, zeroframe=frames.copy())).zeroframe
    assert zeroframe is not None
    assert (zeroframe[:, :2] == frames[::POSITIONS, 4:6]).all()


def test_where_stripes_overlap_the_last_one_stays() -> None:
    ramp = superstripes(changes={"subarray.superstripe_step": 1})
    before = ramp.data.copy()
    data = collate(ramp).data
    assert data.shape[2] == POSITIONS + 1
    assert (data[0, :, 0] == before[0, :, 1]).all()
    assert (data[0, :, 1] == before[1, :, 1]).all()


def test_integrations_run_from_their_first_stripe_to_their_last() -> None:
    table = collate(superstripes()).tables["int_times"]
    assert table["integration_number"].tolist() == [1, 2]
    assert table["int_start_MJD_UTC"].tolist() == [60000, 60003]
    assert table["int_end_BJD_TDB"] == pytest.approx([60002.2, 60005.2])
    assert table["int_mid_MJD_UTC"] == pytest.approx([60001.1, 60004.1])


def test_the_times_of_the_stripes_are_kept() -> None:
    ramp = superstripes()
    before = ramp.tables["int_times"].copy()
    table = collate(ramp).tables["int_times_stripe"]
    assert table["integration_number"].tolist() == [1, 1, 1, 2, 2, 2]
    assert table["stripe_number"].tolist() == [1, 2, 3, 1, 2, 3]
    for name in MOMENTS:
        assert (table[name] == before[name]).all()


def test_a_later_segment_counts_its_integrations_on() -> None:
    later = {"exposure.integration_start": 7, "exposure.integration_end": 12, "exposure.nints": 30}
    collated = collate(superstripes(changes=later))
    found = [collated.metadata.get(f"exposure.{name}") for name in ("integration_start", "integration_end", "nints")]
    assert found == [3, 4, 10]
    assert collated.tables["int_times_stripe"]["integration_number"].tolist() == [3, 3, 3, 4, 4, 4]


def test_nothing_in_the_metadata_tells_of_stripes_any_more() -> None:
    tree = collate(superstripes()).metadata.get("subarray")
    assert not [name for name in tree if "stripe" in name or "interleave" in name]


def test_the_table_of_the_stripes_groups_is_left_out() -> None:
    assert "group" not in collate(superstripes()).tables


def test_times_of_part_of_an_integration_are_refused() -> None:
    with pytest.raises(InvalidData, match="INT_TIMES"):
        collate(superstripes(tables={"int_times": int_times(4)}))


def test_an_ordinary_ramp_cannot_be_collated() -> None:
    with pytest.raises(InvalidData):
        collate(superstripes(changes={"subarray.num_superstripe": 0}))


def test_refpix_subtracts_the_reference_pixels_of_each_frame_and_collates() -> None:
    ramp = superstripes()
    ramp.data[:] = 50
    ramp.data[:, :, 0] = 7 + np.arange(2 * POSITIONS, dtype=np.float32)[:, None, None]
    ramp.pixeldq[:] = 0
    ramp.pixeldq[:, 0] = dqflags.REFERENCE_PIXEL
    data = subtract_reference_pixels(ramp, RefPixParameters(), ReferenceSet.of()).data
    levels = 43 - np.arange(2 * POSITIONS, dtype=np.float32).reshape(2, POSITIONS)
    assert (data == np.repeat(levels, 2, axis=1)[:, None, :, None]).all()


@pytest.mark.parametrize(
    ("function", "params"),
    [
        (correct_linearity, LinearityParameters()),
        (subtract_dark, DarkCurrentParameters()),
        (detect_jumps, JumpParameters()),
        (fit_ramps, RampFitParameters()),
    ],
    ids=["linearity", "dark_current", "jump", "ramp_fit"],
)
def test_steps_after_refpix_refuse_superstripes_that_are_still_apart(function: Any, params: Any) -> None:
    with pytest.raises(InvalidData, match="superstripes"):
        function(superstripes(ngroups=4), params, ReferenceSet.of())


def test_ipc_refuses_frames_that_by_their_corner_are_reference_pixels_only() -> None:
    ramp = superstripes(changes={"subarray.slowaxis": -2, "subarray.ystart": 2046})
    kernel = IpcReference(data=np.eye(3, dtype=np.float32))
    with pytest.raises(RefusedCorrection):
        correct_capacitance(ramp, IpcParameters(), ReferenceSet.of(kernel))
