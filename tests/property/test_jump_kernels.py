"""The search for jumps against its rule in plain numpy, pixel by pixel; the kernels screen many pixels at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwcal.core.array_types import Bool, Float32, UInt8
from jwcal.core.data import Ramp
from jwcal.core.dqflags import DO_NOT_USE, JUMP_DET, NO_GAIN_VALUE, PERSISTENCE, SATURATED
from jwcal.core.metadata import Metadata
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import GainReference, ReadnoiseReference
from jwcal.detector1.steps.jump import JumpParameters, detect_jumps

from .random_arrays import flags, many, seeds

GROUP_TIME = 10.0
_JUMP = np.uint8(JUMP_DET)


def some_ramps(rng: np.random.Generator, shape: tuple[int, int, int, int], odd: float = 0.01) -> Ramp:
    """Ramps with hits; some with equal steps or a few sizes of step, some with not-a-number and overflow."""
    steps = rng.normal(50, 15, shape)
    style = rng.integers(4)
    if style == 1:
        steps = np.round(steps / 20) * 20
    elif style == 2:
        steps[...] = 50.0
    elif style == 3:
        steps -= 50.0  # as many down as up
    steps += np.where(rng.random(shape) < 0.04, rng.choice([100.0, 1000.0, 1e5, -500.0], shape), 0.0)
    data = np.cumsum(steps, axis=1).astype(np.float32)
    for value in (np.nan, np.inf, 3e38):
        data[rng.random(shape) < odd / 3] = value
    groupdq = flags(rng, shape, (DO_NOT_USE, PERSISTENCE, JUMP_DET), 0.03)
    groupdq |= np.where(np.maximum.accumulate(rng.random(shape) < 0.02, axis=1), np.uint8(SATURATED), np.uint8(0))
    if rng.random() < 0.4:
        groupdq[:, rng.integers(shape[1])] |= np.uint8(DO_NOT_USE)
    if rng.random() < 0.2:
        groupdq[rng.integers(shape[0])] |= np.uint8(DO_NOT_USE)
    if rng.random() < 0.3:  # a group that only a few pixels can use, as where MIRI's saturated pixels keep more groups
        most = rng.random(shape[-2:]) < 0.9
        groupdq[:, rng.integers(shape[1]), most] |= np.uint8(DO_NOT_USE)
    if rng.random() < 0.2:  # a whole group of flags
        groupdq[0, -1] |= _JUMP
    return Ramp(
        data=data,
        groupdq=groupdq,
        pixeldq=np.zeros(shape[-2:], np.uint32),
        metadata=Metadata({"exposure": {"nframes": int(rng.choice([1, 4])), "group_time": GROUP_TIME}}),
    )


def some_gain(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    gain = rng.choice([1.0, 1.8], shape).astype(np.float32)
    gain[rng.random(shape) < 0.06] = rng.choice([0.0, np.nan, -1.0])
    return gain


def some_noise(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    noise = np.full(shape, 12, np.float32)
    noise[rng.random(shape) < 0.06] = rng.choice([0.0, np.nan, 1e30])
    return noise


def sigma_of(rate: float, noise: np.float32, nframes: int) -> float:
    """Noise of a difference; no difference stands out where there is none."""
    sigma = np.sqrt(np.abs(rate) + np.float64(noise * noise) / nframes)
    return np.nan if sigma == 0 else sigma


def median(values: Float32) -> float:
    used = values[~np.isnan(values)].astype(np.float64)
    return np.median(used) if used.size else np.nan


def iterated(differences: Float32, noise: np.float32, nframes: int, limits: Any) -> Bool:
    """Look for the largest outlier again and again.

    Distances are rounded to single precision, and so is the median but for the first time: so does the official step.
    """
    left, found = np.abs(differences), np.zeros(differences.shape, bool)
    first = True
    while True:
        used = left[~np.isnan(left)]
        if used.size < 2:
            return found
        if used.size >= 4:
            middle = median(used[used != used.max()])
        else:
            middle = median(used) if used.size == 3 else np.float64(used.min())
        middle = middle if first else np.float64(np.float32(middle))
        first = False
        ratio = np.abs((left - middle).astype(np.float32)).astype(np.float64) / sigma_of(middle, noise, nframes)
        worst = np.fmax.reduce(ratio, axis=None)
        if not worst > limits[min(used.size, 4) - 2]:
            return found
        found |= ratio == worst
        left = np.where(ratio == worst, np.float32(np.nan), left)


def clipped(differences: Float32, limit: float) -> Bool:
    """Beyond `limit` standard deviations from the median, which are taken up to five times."""
    values = differences[np.isfinite(differences)].astype(np.float64)
    low, high = -np.inf, np.inf
    for _ in range(5):
        if values.size == 0:
            break
        reach = limit * values.std()
        low, high = np.median(values) - reach, np.median(values) + reach
        kept = values[(values >= low) & (values <= high)]
        if kept.size == values.size:
            break
        values = kept
    return np.isfinite(differences) & ((differences < low) | (differences > high))


def four_neighbours(mask: Bool) -> Bool:
    """`mask` with the pixels above, below, left and right of its own."""
    framed = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(1, 1), (1, 1)])
    return mask | framed[..., :-2, 1:-1] | framed[..., 2:, 1:-1] | framed[..., 1:-1, :-2] | framed[..., 1:-1, 2:]


def searched(ramp: Ramp, params: JumpParameters, gain: Float32, noise: Float32) -> tuple[UInt8, int]:
    """Flags by the rule, and the number of jumps before their neighbours."""
    nints, ngroups, ny, nx = ramp.data.shape
    nframes = ramp.metadata.require("exposure.nframes")
    dq = ramp.groupdq.copy()
    usable = dq & (DO_NOT_USE | SATURATED) == 0
    electrons = np.where(usable, ramp.data * gain, np.float32(np.nan))
    differences = np.diff(electrons, axis=1)
    there = ~(dq & DO_NOT_USE > 0).all(axis=(2, 3))
    fewest = there.sum(axis=1).min()
    limits = (
        params.three_group_rejection_threshold,
        params.four_group_rejection_threshold,
        params.rejection_threshold,
    )
    clip = (nints if params.only_use_ints else there.sum()) >= params.minimum_sigclip_groups
    if fewest < 3 and not clip:
        return np.where(usable, dq, dq & ~_JUMP), -99
    ratio = np.full(ramp.data.shape, np.nan)
    excess = np.full(ramp.data.shape, np.nan)
    for y, x in np.ndindex(ny, nx):
        d = differences[:, :, y, x]
        middle, sigma = median(d), sigma_of(median(d), noise[y, x], nframes)
        excess[:, 1:, y, x] = d - middle
        ratio[:, 1:, y, x] = np.abs(d - middle) / sigma
        if clip and params.only_use_ints:
            hit = np.stack([clipped(d[:, g], limits[2]) for g in range(ngroups - 1)], axis=1)
        elif clip:
            hit = clipped(d, limits[2])
        elif fewest - 1 >= params.min_diffs_single_pass:
            hit = (np.abs(d - middle) / sigma > limits[2]) & np.isfinite(d)
        else:
            hit = iterated(d, noise[y, x], nframes, limits)
        dq[:, 1:, y, x] |= hit * _JUMP
    if clip:
        for plane in dq.reshape(-1, ny, nx):
            if (plane & (JUMP_DET | DO_NOT_USE) > 0).all():
                plane[plane == JUMP_DET] = 0
    found = np.count_nonzero(dq & JUMP_DET)
    if params.flag_4_neighbors:
        sized = (ratio > params.min_jump_to_flag_neighbors) & (ratio < params.max_jump_to_flag_neighbors)
        dq |= (four_neighbours(sized & (dq & JUMP_DET > 0)) & usable) * _JUMP
    after = np.zeros(dq.shape, bool)
    for dn, time in (
        (params.after_jump_flag_dn1, params.after_jump_flag_time1),
        (params.after_jump_flag_dn2, params.after_jump_flag_time2),
    ):
        large = (excess >= dn * median(gain)) & (dq & JUMP_DET > 0)
        for ahead in range(min(int(time // GROUP_TIME), ngroups - 1) + 1):
            after[:, ahead:] |= large[:, : ngroups - ahead]
    if max(params.after_jump_flag_time1, params.after_jump_flag_time2) >= GROUP_TIME:
        dq |= (after & usable) * _JUMP
    return np.where(usable, dq, dq & ~_JUMP), found


def check(rng: np.random.Generator, ramp: Ramp, params: JumpParameters) -> None:
    gain, noise = some_gain(rng, ramp.data.shape[-2:]), some_noise(rng, ramp.data.shape[-2:])
    with np.errstate(all="ignore"):
        expected, found = searched(ramp, params, gain, noise * gain)
    nints, ngroups, ny, nx = ramp.data.shape
    references = ReferenceSet.of(GainReference(data=gain), ReadnoiseReference(data=noise))
    with np.errstate(all="ignore"):
        detect_jumps(ramp, params, references)
    np.testing.assert_array_equal(ramp.groupdq, expected)
    bad = ~(gain > 0)
    np.testing.assert_array_equal(ramp.pixeldq, bad * np.uint32(NO_GAIN_VALUE | DO_NOT_USE))
    groups = nints * (ngroups - 1) - (expected & DO_NOT_USE > 0).all(axis=(2, 3)).sum()
    if groups >= 1:
        rate = 1000 * found / (GROUP_TIME * groups * ny * nx)
        assert ramp.metadata.get("exposure.primary_cosmic_rays") == pytest.approx(rate, rel=1e-12)


@many
@given(seeds, st.integers(1, 3), st.integers(3, 9), st.integers(1, 4), st.integers(1, 90), st.floats(0.5, 8))
def test_few_differences_are_searched_for_the_largest_outlier_again_and_again(
    seed: int, nints: int, ngroups: int, ny: int, nx: int, limit: float
) -> None:
    rng = np.random.default_rng(seed)
    params = JumpParameters(rejection_threshold=limit, min_diffs_single_pass=100)
    check(rng, some_ramps(rng, (nints, ngroups, ny, nx)), params)


@many
@given(seeds, st.integers(1, 3), st.integers(3, 14), st.integers(1, 4), st.integers(1, 90), st.floats(0.5, 8))
def test_many_differences_are_judged_at_once(
    seed: int, nints: int, ngroups: int, ny: int, nx: int, limit: float
) -> None:
    rng = np.random.default_rng(seed)
    params = JumpParameters(rejection_threshold=limit, min_diffs_single_pass=2)
    check(rng, some_ramps(rng, (nints, ngroups, ny, nx)), params)


@many
@given(
    seeds, st.integers(1, 30), st.integers(3, 6), st.integers(1, 2), st.integers(1, 70), st.floats(1, 5), st.booleans()
)
def test_differences_of_many_integrations_are_clipped(
    seed: int, nints: int, ngroups: int, ny: int, nx: int, limit: float, only_use_ints: bool
) -> None:
    rng = np.random.default_rng(seed)
    params = JumpParameters(rejection_threshold=limit, minimum_sigclip_groups=1, only_use_ints=only_use_ints)
    check(rng, some_ramps(rng, (nints, ngroups, ny, nx), odd=0.003), params)


@many
@given(seeds, st.integers(1, 2), st.integers(3, 12), st.sampled_from([0.0, 10.0, 200.0]), st.integers(0, 12))
def test_groups_after_large_jumps_are_flagged(seed: int, nints: int, ngroups: int, dn: float, after: int) -> None:
    rng = np.random.default_rng(seed)
    params = JumpParameters(
        after_jump_flag_dn1=dn,
        after_jump_flag_time1=10.0 * after,
        after_jump_flag_dn2=1000.0,
        after_jump_flag_time2=25.0,
        flag_4_neighbors=bool(rng.random() < 0.5),
    )
    check(rng, some_ramps(rng, (nints, ngroups, 3, 30), odd=0.0), params)


@pytest.mark.parametrize("ngroups", [4, 5, 6, 20])
@pytest.mark.parametrize("single", [False, True])
def test_quiet_pixels_at_the_very_limit_are_judged_as_by_the_rule(ngroups: int, single: bool) -> None:
    """Outliers from a millionth below to a millionth above the limit, where a screen must not decide."""
    sigma = np.sqrt(50 + 12.0**2)
    size = 4 * sigma * (1 + np.linspace(-1e-6, 1e-6, 400))
    data = np.tile(50 * np.arange(ngroups, dtype=np.float64)[:, None], (1, 400))
    data[ngroups // 2 :] += size
    ramp = Ramp(
        data=data.astype(np.float32)[None, :, None],
        groupdq=np.zeros((1, ngroups, 1, 400), np.uint8),
        pixeldq=np.zeros((1, 400), np.uint32),
        metadata=Metadata({"exposure": {"nframes": 1, "group_time": GROUP_TIME}}),
    )
    gain, noise = np.ones((1, 400), np.float32), np.full((1, 400), 12, np.float32)
    params = JumpParameters(min_diffs_single_pass=1 if single else 100, four_group_rejection_threshold=4.0)
    expected, _ = searched(ramp, params, gain, noise)
    assert 0 < np.count_nonzero(expected) < expected.size
    detect_jumps(ramp, params, ReferenceSet.of(GainReference(data=gain), ReadnoiseReference(data=noise)))
    np.testing.assert_array_equal(ramp.groupdq, expected)


def test_clipping_ends_after_five_rounds() -> None:
    """Each round drops the largest of six outliers, so that the smallest stays."""
    steps = 50 + np.random.default_rng(1).normal(0, 5, 30)
    steps[:6] = 10.0 ** np.arange(3, 9)
    data = np.zeros((30, 3, 1, 2), np.float32)  # a quiet pixel beside, or all would be flagged and none
    data[:, 1:, 0, 0] = steps[:, None]
    ramp = Ramp(
        data=data,
        groupdq=np.zeros(data.shape, np.uint8),
        pixeldq=np.zeros((1, 2), np.uint32),
        metadata=Metadata({"exposure": {"nframes": 1, "group_time": GROUP_TIME}}),
    )
    plane = np.ones((1, 2), np.float32)
    params = JumpParameters(minimum_sigclip_groups=30, flag_4_neighbors=False)
    detect_jumps(ramp, params, ReferenceSet.of(GainReference(data=plane), ReadnoiseReference(data=plane)))
    np.testing.assert_array_equal(np.flatnonzero(ramp.groupdq[:, 1, 0, 0]), [1, 2, 3, 4, 5])
