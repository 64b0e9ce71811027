"""The saturation tests of whole integrations against plain numpy and scipy's dilation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from jwcal.core.array_types import Bool, Float32, UInt8
from jwcal.core.data import Ramp
from jwcal.core.dqflags import AD_FLOOR, DO_NOT_USE, NO_SAT_CHECK, SATURATED
from jwcal.core.metadata import Metadata
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import SaturationReference, SuperbiasReference
from jwcal.detector1.kernels import saturation as kernels
from jwcal.detector1.steps.saturation import SaturationParameters, flag_saturation

from .random_arrays import flags, many, seeds, sides, wide

LIMIT = 1000.0


def grown(mask: Bool, radius: int) -> Bool:
    """`mask` with the box of half-width `radius` around each of its pixels."""
    box = np.ones((2 * radius + 1, 2 * radius + 1), bool)
    return np.asarray(binary_dilation(mask, box)) if radius else mask


def flagged(
    data: Float32, dq: UInt8, threshold: Float32, bias: Float32, unchecked: Bool, radius: int, nframes: int
) -> UInt8:
    """The rule for one integration; reads are numbered as if groups had no gap between them."""
    reads = [np.arange(1, nframes + 1) + g * nframes for g in range(len(data))]
    dq = dq.copy()
    for g in range(len(data)):
        saturated = (data[: g + 1] >= threshold).any(axis=0) | (dq[g] & SATURATED > 0)
        dq[g] |= grown(saturated, radius) * np.uint8(SATURATED)
        dq[g] |= (data[g] <= 0) * np.uint8(AD_FLOOR | DO_NOT_USE)
    if nframes > 1:
        for g in range(len(data) - 2, -1, -1):
            dilution = np.where(unchecked, 1.0, reads[g].mean() / reads[g][-1])
            partly = (data[g] >= threshold * dilution) & (dq[g] & (SATURATED | DO_NOT_USE) == 0)
            partly &= dq[g + 1] & SATURATED > 0
            dq[g] |= grown(partly, radius) * np.uint8(DO_NOT_USE)
    if len(data) > 2:
        expected = (data[0] - bias) / reads[0].mean() * reads[2][-1] + bias
        jumped = data[1] - data[0] > (threshold - data[0]) / np.float32(nframes)
        late = (dq[2] & SATURATED > 0) & (dq[1] & SATURATED == 0)
        dq[1] |= (late & jumped & (expected < threshold)) * np.uint8(DO_NOT_USE)
    return dq


@many
@given(seeds, sides, st.integers(1, 12), st.integers(1, 40))
def test_masks_grow_by_a_box_and_stop_at_the_edges(seed: int, radius: int, ny: int, nx: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((ny, nx)) < rng.choice([0.0, 0.02, 0.5, 1.0])
    target = rng.integers(0, 256, (ny, nx), np.uint8)
    expected = target | np.where(grown(mask, radius), np.uint8(SATURATED), np.uint8(0))
    kernels.grow_inplace(mask, mask.any(axis=1), target, np.uint8(SATURATED), radius)
    np.testing.assert_array_equal(target, expected)


@many
@given(
    seeds, st.integers(1, 7), st.integers(1, 12), wide, st.integers(0, 3), st.sampled_from([1, 2, 4, 8]), st.booleans()
)
def test_groups_are_flagged_by_the_rule(
    seed: int, ngroups: int, ny: int, nx: int, radius: int, nframes: int, rising: bool
) -> None:
    rng = np.random.default_rng(seed)
    data = rng.choice([LIMIT / 4, LIMIT / 2, LIMIT - 1, LIMIT], (2, ngroups, ny, nx), p=[0.5, 0.3, 0.15, 0.05])
    data += np.round(rng.normal(0, 60, data.shape))
    if rising:  # as ramps do, so that all passes have something to find
        data = rng.exponential(60, (2, 1, ny, nx)) * np.arange(1, ngroups + 1)[:, None, None] ** 2
    data[rng.random(data.shape) < 0.03] = rng.choice([0.0, -5.0, 65535.0])
    bright = rng.random((ny, nx)) < 0.2
    data[..., bright] = rng.uniform(30000, 65535, data.shape[:2])[..., None]
    data = data.astype(np.float32)
    threshold = np.where(rng.random((ny, nx)) < 0.9, np.float32(LIMIT), np.float32(LIMIT / 2))
    threshold[(rng.random((ny, nx)) < 0.05) | (bright & (rng.random((ny, nx)) < 0.7))] = np.nan
    refdq = flags(rng, (ny, nx), (1, NO_SAT_CHECK), 0.05, np.uint32)
    bias = rng.normal(20, 20, (ny, nx)).astype(np.float32)
    groupdq = flags(rng, data.shape, (DO_NOT_USE, SATURATED), 0.02)
    ramp = Ramp(
        data=data.copy(),
        groupdq=groupdq.copy(),
        pixeldq=np.zeros((ny, nx), np.uint32),
        metadata=Metadata({"exposure": {"nframes": nframes}}),
    )
    references = ReferenceSet.of(
        SaturationReference(data=threshold, dq=refdq), SuperbiasReference(data=bias, dq=np.zeros_like(refdq))
    )
    flag_saturation(ramp, SaturationParameters(n_pix_grow_sat=radius), references)
    unchecked = np.isnan(threshold) | (refdq & NO_SAT_CHECK > 0)
    limit = np.where(unchecked, np.float32(65536), threshold)
    for values, before, after in zip(data, groupdq, ramp.groupdq, strict=True):
        np.testing.assert_array_equal(after, flagged(values, before, limit, bias, unchecked, radius, nframes))
    np.testing.assert_array_equal(ramp.pixeldq, np.where(unchecked, refdq | np.uint32(NO_SAT_CHECK), refdq))


def test_a_second_group_at_the_very_limit_of_its_jump_is_not_flagged() -> None:
    data = np.array([[200, 200], [400, 401], [1000, 1000]], np.float32)[:, None]  # room of (1000 - 200) / 4
    dq = np.zeros(data.shape, np.uint8)
    dq[2] = SATURATED
    threshold, bias = np.full((1, 2), LIMIT, np.float32), np.zeros((1, 2), np.float32)
    kernels.flag_second_group(data, dq, threshold, bias, 2.5, 12, 4)
    np.testing.assert_array_equal(dq[1], [[0, DO_NOT_USE]])


def test_a_pixel_without_threshold_is_never_partly_saturated() -> None:
    threshold = np.full((1, 2), 65536, np.float32)
    data, dq = np.full((1, 2), 50000, np.float32), np.zeros((1, 2), np.uint8)
    mask, any_in_row = np.empty((1, 2), bool), np.empty(1, bool)
    unchecked = np.array([[True, False]])
    kernels.partly_saturated(data, dq, dq + np.uint8(SATURATED), threshold, unchecked, 0.6, mask, any_in_row)
    np.testing.assert_array_equal(mask, [[False, True]])
