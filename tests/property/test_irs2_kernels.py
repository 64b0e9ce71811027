"""Time order of IRS2 frames and what is done there, against plain numpy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jwcal.core.array_types import Float32
from jwcal.detector1.kernels import irs2 as kernels

from .random_arrays import many, numbers, seeds, sides

Places = NDArray[np.int64]


def a_layout(rng: np.random.Generator, nlines: int, noutputs: int, nsamples: int) -> tuple[Places, Places]:
    """Output and place on the row clock of every line; no two lines have both alike."""
    places = rng.choice(noutputs * nsamples, nlines, replace=False)
    return places // nsamples, places % nsamples


def with_pauses(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> Float32:
    values = numbers(rng, shape) + np.float32(1000)
    values[rng.random(shape) < share] = 0
    return values


@many
@given(seeds, sides, sides, st.integers(1, 60))
def test_the_mean_frame_is_summed_in_double_precision(seed: int, ngroups: int, ny: int, nx: int) -> None:
    ramp = numbers(np.random.default_rng(seed), (ngroups, ny, nx), 1e4)
    mean = np.empty((ny, nx))
    kernels.mean_frame(ramp, mean)
    np.testing.assert_array_equal(mean, sum(group.astype(np.float64) for group in ramp) / ngroups)


@many
@given(seeds, st.integers(1, 30), st.integers(1, 50), st.integers(1, 5), st.booleans())
def test_frames_go_to_time_order_and_come_back(
    seed: int, nlines: int, nrows: int, noutputs: int, flipped: bool
) -> None:
    rng = np.random.default_rng(seed)
    nsamples = nlines // noutputs + 3
    outputs, positions = a_layout(rng, nlines, noutputs, nsamples)
    frame, mean = numbers(rng, (nlines, nrows), 1e4), rng.normal(0, 100, (nlines, nrows))
    expected = np.zeros((noutputs, nrows, nsamples), np.float32)
    seen = (frame - mean).astype(np.float32)
    for y in range(nlines):
        expected[outputs[y], :, positions[y]] = seen[y, ::-1] if flipped else seen[y]
    series = np.full_like(expected, np.nan)
    kernels.to_series(frame, mean, outputs, positions, flipped, series)
    np.testing.assert_array_equal(series, expected)

    corrections = rng.normal(0, 5, (max(noutputs - 1, 1), nrows, nsamples)).astype(np.float32)
    lines = np.sort(rng.choice(nlines, rng.integers(1, nlines + 1), replace=False))
    with_mean = rng.random(lines.size) < 0.7
    result = np.empty((lines.size, nrows), np.float32)
    kernels.from_series(series, corrections, mean, lines, outputs, positions, with_mean, flipped, result)
    for k, y in enumerate(lines):
        line = seen[y]
        if outputs[y] > 0:  # the first is the reference output
            noise = corrections[outputs[y] - 1, :, positions[y]]
            line = line - (noise[::-1] if flipped else noise)
        if with_mean[k]:
            line = (line + mean[y]).astype(np.float32)
        np.testing.assert_array_equal(result[k], line)


@many
@given(seeds, st.integers(1, 5), st.integers(8, 30), st.integers(3, 30), st.floats(0, 0.6))
def test_the_line_through_the_first_and_last_rows_is_that_of_polyfit(
    seed: int, noutputs: int, nrows: int, nsamples: int, share: float
) -> None:
    series = with_pauses(np.random.default_rng(seed), (noutputs, nrows, nsamples), share)
    series[:, 0, :2] = 1000.0, 1010.0  # two samples at least
    time = np.arange(nrows * nsamples).reshape(nrows, nsamples) - (nrows * nsamples - 1) / 2
    edge = (np.arange(nrows) < 4) | (np.arange(nrows) >= nrows - 4)
    expected = series.astype(np.float64)
    for values in expected:
        used = edge[:, None] & (values != 0)
        line = np.polynomial.Polynomial.fit(time[used], values[used], 1)
        values[values != 0] -= line(time)[values != 0]
    kernels.remove_lines(series)
    np.testing.assert_allclose(series, expected, rtol=0, atol=1e-3)  # values of 1000 in single precision


@many
@given(seeds, st.integers(1, 300), st.integers(0, 6), st.floats(0, 1))
def test_gaps_are_filled_by_the_weighted_mean_around_a_cyclic_series(
    seed: int, n: int, half: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    values, weights = with_pauses(rng, (n,), share), rng.random(2 * half + 1) + 0.1
    expected = values.astype(np.float64)
    for i in np.flatnonzero(values == 0):
        near = values[(i + np.arange(-half, half + 1)) % n].astype(np.float64)
        if near.any():
            expected[i] = np.average(near, weights=weights * (near != 0))
    filled = np.empty_like(values)
    kernels.fill_gaps(values, weights, filled)
    np.testing.assert_allclose(filled, expected, rtol=1.2e-7)  # rounded to single precision


@many
@given(seeds, sides, st.integers(1, 40))
def test_measured_samples_are_restored_and_the_rest_stays(seed: int, nrows: int, nsamples: int) -> None:
    rng = np.random.default_rng(seed)
    values, measured = numbers(rng, (nrows, nsamples)), numbers(rng, (nrows, nsamples))
    positions = np.flatnonzero(rng.random(nsamples) < 0.5)
    expected = np.where(np.isin(np.arange(nsamples), positions), measured, values)
    kernels.restore_samples(values, measured, positions)
    np.testing.assert_array_equal(values, expected)


@many
@given(seeds, sides, st.integers(1, 40))
def test_reference_samples_are_spread_over_silence(seed: int, nrows: int, nsamples: int) -> None:
    rng = np.random.default_rng(seed)
    series = numbers(rng, (nrows, nsamples))
    targets = np.flatnonzero(rng.random(nsamples) < 0.5)
    sources = rng.integers(0, nsamples, targets.size)
    expected = np.zeros_like(series)
    expected[:, targets] = series[:, sources]
    result = np.full_like(series, np.nan)
    kernels.reference_series(series, targets, sources, result)
    np.testing.assert_array_equal(result, expected)


@many
@given(seeds, sides, st.integers(2, 12), st.integers(1, 60))
def test_statistics_of_pairs_of_lines_are_numpys(seed: int, ngroups: int, ny: int, nx: int) -> None:
    rng = np.random.default_rng(seed)
    ramp = numbers(rng, (ngroups, ny, nx), 1e3)
    first = np.flatnonzero(rng.random(ny - 1) < 0.7)
    statistics = np.empty((first.size, 3))
    kernels.pair_statistics(ramp, first, statistics)
    for k, y in enumerate(first):
        pair = ramp[:, y : y + 2].astype(np.float64)
        difference = np.abs(ramp[:, y + 1] - ramp[:, y]).mean(dtype=np.float64)
        # sums of numbers up to some thousands in another order
        np.testing.assert_allclose(statistics[k], [difference, pair.mean(), pair.std()], rtol=1e-12, atol=1e-9)
