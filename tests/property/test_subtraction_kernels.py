"""Subtraction of references against plain numpy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jwcal.core.array_types import Float32, Float64
from jwcal.detector1.kernels import subtract as kernels

from .random_arrays import EXTREMES, many, numbers, seeds, sides, wide


def extended(ramp: Float32, ngroups: int) -> Float64:
    """A ramp in double precision, continued by the line through its last two groups."""
    known = len(ramp)
    if ngroups <= known:
        return ramp[:ngroups].astype(np.float64)
    slope = (ramp[-1] - ramp[-2]).astype(np.float64)
    beyond = [slope * k + ramp[-1] for k in range(1, ngroups - known + 1)]
    return np.concatenate((ramp.astype(np.float64), beyond))


@many
@given(seeds, sides, sides, wide)
def test_a_plane_is_subtracted_from_every_group(seed: int, ngroups: int, ny: int, nx: int) -> None:
    rng = np.random.default_rng(seed)
    data, plane = numbers(rng, (ngroups, ny, nx), odd=EXTREMES), numbers(rng, (ny, nx), odd=EXTREMES)
    with np.errstate(all="ignore"):
        expected = data - np.where(np.isnan(plane), np.float32(0), plane)
    kernels.subtract_plane(data, plane)
    np.testing.assert_array_equal(data, expected)


@many
@given(seeds, sides, sides, sides, wide)
def test_a_ramp_is_subtracted_from_its_groups_and_later_ones_stay(
    seed: int, ngroups: int, known: int, ny: int, nx: int
) -> None:
    rng = np.random.default_rng(seed)
    data, ramp = (numbers(rng, (n, ny, nx), odd=EXTREMES) for n in (ngroups, known))
    used, expected = min(ngroups, known), data.copy()
    with np.errstate(all="ignore"):
        expected[:used] -= np.where(np.isnan(ramp), np.float32(0), ramp)[:used]
    kernels.subtract_ramp(data, ramp, used)
    np.testing.assert_array_equal(data, expected)


@many
@given(seeds, sides, st.integers(2, 9), sides, wide)
def test_a_short_ramp_goes_on_along_its_last_two_groups(seed: int, ngroups: int, known: int, ny: int, nx: int) -> None:
    rng = np.random.default_rng(seed)
    data, ramp = (numbers(rng, (n, ny, nx), odd=EXTREMES) for n in (ngroups, known))
    with np.errstate(all="ignore"):
        dark = extended(ramp, ngroups)
        expected = (data - np.where(np.isnan(dark), 0, dark)).astype(np.float32)
    kernels.subtract_extrapolated_ramp(data, ramp)
    np.testing.assert_array_equal(data, expected)


@many
@given(seeds, st.integers(2, 12), sides, wide, st.integers(0, 14), st.integers(1, 9))
def test_frames_are_averaged_in_single_precision_and_beyond_the_end_in_double(
    seed: int, known: int, ny: int, nx: int, start: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    ramp = numbers(rng, (known, ny, nx), odd=EXTREMES)
    stop = start + count
    with np.errstate(all="ignore"):
        frames = extended(ramp, stop)[start:] if stop > known else ramp[start:stop]
        frames = np.where(np.isnan(frames), frames.dtype.type(0), frames)
        total = frames[0].copy()
        for frame in frames[1:]:
            total += frame
        expected = (total / frames.dtype.type(count)).astype(np.float32)
    out = np.empty((ny, nx), np.float32)
    kernels.average_frames(ramp, start, stop, out)
    np.testing.assert_array_equal(out, expected)
