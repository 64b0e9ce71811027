"""Flag arithmetic against plain numpy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from jwcal.core.dqflags import CHARGELOSS, DO_NOT_USE, PERSISTENCE, SATURATED
from jwcal.detector1.kernels import flags as kernels

from .random_arrays import flags, many, numbers, seeds, sides, wide

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)


@many
@given(seeds, sides, sides, wide)
def test_a_plane_of_flags_is_set_in_every_group(seed: int, ngroups: int, ny: int, nx: int) -> None:
    rng = np.random.default_rng(seed)
    groupdq, plane = rng.integers(0, 256, (ngroups, ny, nx), np.uint8), rng.integers(0, 256, (ny, nx), np.uint8)
    expected = groupdq | plane
    kernels.set_group_flags(groupdq, plane)
    np.testing.assert_array_equal(groupdq, expected)


@many
@given(seeds, sides, sides, wide)
def test_charge_migrates_from_the_first_bright_group_of_a_pixel_or_an_edge_neighbour(
    seed: int, ngroups: int, ny: int, nx: int
) -> None:
    rng = np.random.default_rng(seed)
    data = numbers(rng, (ngroups, ny, nx), odd=(np.nan, np.inf, 150.0))
    groupdq = flags(rng, data.shape, (1, 2, 4), 0.2)
    threshold = np.float32(150.0)
    bright = (data > threshold) & (groupdq != DO_NOT_USE)
    since = np.logical_or.accumulate(bright, axis=0)
    near = np.array([binary_dilation(plane, CROSS) for plane in since])
    expected = np.where(near, groupdq | np.uint8(CHARGELOSS | DO_NOT_USE), groupdq)
    first = np.empty((ny, nx), np.int64)
    kernels.first_above(data, groupdq, threshold, first)
    np.testing.assert_array_equal(first, np.where(bright.any(axis=0), bright.argmax(axis=0), ngroups))
    kernels.flag_from_first(groupdq, first, np.uint8(CHARGELOSS | DO_NOT_USE))
    np.testing.assert_array_equal(groupdq, expected)


def kept_back(saturated: np.ndarray, skip: int) -> int:
    """How many first groups a pixel skips: less than `skip` where it is saturated in the group after next."""
    if saturated[0]:
        return skip
    n = skip
    while n > 0 and saturated[n + 1]:
        n -= 1
    return n


@many
@given(seeds, st.integers(1, 3), st.integers(3, 9), sides, st.integers(1, 40), st.floats(0, 1), st.data())
def test_pixels_that_saturate_early_skip_fewer_groups(
    seed: int, nints: int, ngroups: int, ny: int, nx: int, share: float, data: st.DataObject
) -> None:
    skip = data.draw(st.integers(0, ngroups - 3))
    rng = np.random.default_rng(seed)
    groupdq = flags(rng, (nints, ngroups, ny, nx), (1, 4), 0.1)
    groupdq |= np.where(rng.random(groupdq.shape) < share, np.uint8(SATURATED), np.uint8(0))
    if rng.random() < 0.5:  # as they come: saturated to the end
        groupdq |= np.maximum.accumulate(groupdq & SATURATED, axis=1)
    expected, lowered, none_left = groupdq.copy(), np.zeros((ny, nx), bool), np.zeros((ny, nx), bool)
    for i, y, x in np.ndindex(nints, ny, nx):
        n = kept_back((groupdq[i, :, y, x] & SATURATED) != 0, skip)
        expected[i, :n, y, x] |= np.uint8(DO_NOT_USE)
        lowered[y, x] |= n < skip
        none_left[y, x] |= n == 0
    found = np.zeros((2, ny, nx), bool)
    kernels.skip_first_groups(groupdq, skip, found[0], found[1])
    np.testing.assert_array_equal(groupdq, expected)
    np.testing.assert_array_equal(found, [lowered, none_left])


@many
@given(seeds, sides, sides, st.integers(1, 40), st.floats(0.5, 40), st.floats(1, 200), st.sampled_from([120.0, np.inf]))
def test_persistence_is_flagged_while_a_window_is_open(
    seed: int, ngroups: int, ny: int, nx: int, group_time: float, length: float, threshold: float
) -> None:
    rng = np.random.default_rng(seed)
    data = numbers(rng, (ngroups, ny, nx), odd=(np.nan, np.inf))
    groupdq = flags(rng, data.shape, (1, 2, 4), 0.15)
    start = 1.7e9
    windows = np.where(rng.random((ny, nx)) < 0.3, start + rng.uniform(-2, 2, (ny, nx)) * length, 0.0)
    expected, open_until = groupdq.copy(), windows.copy()
    for y, x in np.ndindex(ny, nx):
        now, seen = start, 0
        for g in range(ngroups):
            now += group_time
            if open_until[y, x] < now:  # over
                open_until[y, x] = 0
            seen += bool(groupdq[g, y, x] & SATURATED)
            if seen == 1 or (data[g, y, x] > threshold and open_until[y, x] == 0):
                open_until[y, x] = now + length
            if open_until[y, x] > now + length:  # of the future
                open_until[y, x] = 0
            if open_until[y, x] > 0:
                expected[g, y, x] |= np.uint8(PERSISTENCE | DO_NOT_USE)
    kernels.open_windows(
        data, groupdq, windows, start, group_time, length, threshold, np.uint8(PERSISTENCE | DO_NOT_USE)
    )
    np.testing.assert_array_equal(groupdq, expected)
    np.testing.assert_array_equal(windows, open_until)
