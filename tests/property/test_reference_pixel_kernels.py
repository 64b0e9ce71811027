"""Statistics of reference pixels and their subtraction against numpy and scipy."""

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import sigmaclip

from jwcal.core.array_types import Float32, Float64
from jwcal.detector1.kernels import refpix as kernels

from .random_arrays import many, numbers, seeds, sides, wide

precisions = st.sampled_from([np.float32, np.float64])
limits = st.sampled_from([0.5, 1.0, 2.0, 3.0, 4.5])


def some_values(seed: int, n: int) -> Float32:
    """Noise with outliers; or a few values over and over, many of them at the very limit of clipping."""
    rng = np.random.default_rng(seed)
    values = numbers(rng, (n,), 10.0)
    return np.where(rng.random(n) < 0.05, values * np.float32(20), values + np.float32(1000)).astype(np.float32)


def clipped(values: Float32 | Float64, limit: float) -> float:
    """Mean of scipy's clipped values, in their own precision."""
    with warnings.catch_warnings(action="ignore"):  # nothing may be left
        kept = sigmaclip(values, limit, limit).clipped
    return float(kept.mean()) if kept.size else np.nan


@many
@given(seeds, st.integers(1, 400), limits, precisions)
def test_clipped_means_are_scipys_bit_for_bit(seed: int, n: int, limit: float, precision: type) -> None:
    values = some_values(seed, n).astype(precision)
    mean = kernels.clipped_mean_single if precision is np.float32 else kernels.clipped_mean
    np.testing.assert_array_equal(mean(values.copy(), n, limit), clipped(values, limit))


def test_an_outlier_at_the_very_limit_is_kept() -> None:
    values = np.array([0, 0, 0, 0, 5])  # mean 1, sigma 2
    assert kernels.clipped_mean(values.astype(np.float64), 5, 2.0) == 1.0
    assert kernels.clipped_mean_single(values.astype(np.float32), 5, 2.0) == 1.0
    assert kernels.clipped_mean(values.astype(np.float64), 5, 1.99) == 0.0
    assert kernels.clipped_mean_single(values.astype(np.float32), 5, 1.99) == 0.0


@many
@given(seeds, st.integers(1, 100), precisions)
def test_nothing_and_nan_have_no_mean(seed: int, n: int, precision: type) -> None:
    mean = kernels.clipped_mean_single if precision is np.float32 else kernels.clipped_mean
    assert np.isnan(mean(np.ones(1, precision), 0, 3.0))
    values = some_values(seed, n).astype(precision)
    values[seed % n] = np.nan
    assert np.isnan(mean(values, n, 3.0))


@many
@given(seeds, st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.booleans())
def test_every_set_of_pixels_has_its_own_mean(seed: int, ny: int, nx: int, nsets: int, single: bool) -> None:
    rng = np.random.default_rng(seed)
    plane, sets = numbers(rng, (ny, nx)), rng.integers(0, nsets + 1, (ny, nx))  # the last set is no set
    order = [np.nonzero(sets == k) for k in range(nsets)]
    rows, columns = (np.concatenate([places[axis] for places in order]).astype(np.int64) for axis in (0, 1))
    bounds = np.concatenate([[0], np.cumsum([len(places[0]) for places in order])]).astype(np.int64)
    means = np.empty(nsets)
    kernels.clipped_means(plane, rows, columns, bounds, 3.0, single, means)
    values = [plane[places].astype(np.float32 if single else np.float64) for places in order]
    np.testing.assert_array_equal(means, [clipped(v, 3.0) if v.size else np.nan for v in values])


@many
@given(seeds, st.integers(1, 60), st.integers(1, 6), st.integers(0, 8), st.floats(0, 1))
def test_running_medians_see_the_lines_mirrored_at_the_ends(
    seed: int, n: int, width: int, half: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    half = min(half, n - 1)  # what is mirrored lies on the detector
    odd = (np.nan, np.inf) if rng.random() < 0.3 else ()
    values, usable = numbers(rng, (n, width), odd=odd).astype(np.float64), rng.random((n, width)) < share
    mirrored, good = (np.pad(array, ((half, half), (0, 0)), mode="reflect") for array in (values, usable))
    windows = [(mirrored[k : k + 2 * half + 1], good[k : k + 2 * half + 1]) for k in range(n)]
    expected = [np.median(window[mask]) if mask.any() else np.nan for window, mask in windows]
    result = np.empty(n)
    kernels.running_median(values, usable, 2 * half + 1, result)
    np.testing.assert_array_equal(result, expected)


@many
@given(seeds, sides, wide, st.integers(1, 4))
def test_lines_are_subtracted_in_double_precision(seed: int, ny: int, nx: int, period: int) -> None:
    rng = np.random.default_rng(seed)
    plane = numbers(rng, (ny, nx), odd=(np.nan, np.inf))
    along_x, along_y = rng.normal(0, 30, (period, nx)), rng.normal(0, 30, ny)
    expected = (plane.astype(np.float64) - along_x[np.arange(ny) % period] - along_y[:, None]).astype(np.float32)
    kernels.subtract_lines(plane, along_x, along_y)
    np.testing.assert_array_equal(plane, expected)


@many
@given(seeds, sides, wide, st.integers(1, 4))
def test_what_is_above_the_first_group_loses_its_offsets_in_single_precision(
    seed: int, ny: int, nx: int, period: int
) -> None:
    rng = np.random.default_rng(seed)
    plane, first = (numbers(rng, (ny, nx), 1e4, odd=(np.nan, np.inf)) for _ in range(2))
    along_x = rng.normal(0, 30, (period, nx))
    with np.errstate(invalid="ignore"):
        above = plane - first
        above -= along_x[np.arange(ny) % period].astype(np.float32)
        expected = above + first
    kernels.subtract_above(plane, first, along_x)
    np.testing.assert_array_equal(plane, expected)
