"""Linearity polynomials against plain numpy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jwcal.core.array_types import Float32
from jwcal.core.dqflags import NO_LIN_CORR, SATURATED
from jwcal.detector1.kernels import linearity as kernels

from .random_arrays import flags, many, numbers, seeds, sides, wide

NO_CORRECTION = np.uint32(NO_LIN_CORR)


def some_coefficients(rng: np.random.Generator, ncoeffs: int, ny: int, nx: int) -> Float32:
    """Near the identity for signals of some thousand DN."""
    coeffs = rng.normal(0, 1, (ncoeffs, ny, nx)) * 10.0 ** -(4.5 * np.arange(ncoeffs)[:, None, None])
    coeffs[1] = rng.normal(1, 0.05, (ny, nx))
    return coeffs.astype(np.float32)


def horner(coeffs: NDArray[np.floating], values: NDArray[np.floating]) -> NDArray[np.floating]:
    """The polynomial in the precision of its arguments, highest term first."""
    result = coeffs[-1] * values
    for term in coeffs[-2:0:-1]:
        result = (result + term) * values
    return result + coeffs[0]


@many
@given(seeds, st.integers(2, 6), sides, wide)
def test_coefficients_without_linear_term_with_nan_or_flagged_become_the_identity(
    seed: int, ncoeffs: int, ny: int, nx: int
) -> None:
    rng = np.random.default_rng(seed)
    coeffs = numbers(rng, (ncoeffs, ny, nx), odd=(np.nan, np.inf))
    coeffs[1][rng.random((ny, nx)) < 0.2] = rng.choice([0.0, -0.0])
    dq = flags(rng, (ny, nx), (1, 2, NO_LIN_CORR), 0.1, np.uint32)
    before = flags(rng, (ny, nx), (1, 4, NO_LIN_CORR), 0.1, np.uint32)
    good = (dq & NO_CORRECTION == 0) & (coeffs[1] != 0) & ~np.isnan(coeffs).any(axis=0)
    usable, pixeldq, clean = np.empty((ny, nx), bool), before.copy(), np.empty_like(coeffs)
    kernels.find_usable(coeffs, dq, usable, pixeldq)
    kernels.make_identity(coeffs, usable, clean)
    np.testing.assert_array_equal(usable, good)
    np.testing.assert_array_equal(pixeldq, np.where(good, before, before | NO_CORRECTION))
    identity = np.eye(ncoeffs, dtype=np.float32)[1][:, None, None]
    np.testing.assert_array_equal(clean, np.where(good, coeffs, identity))


@many
@given(seeds, st.integers(2, 6), sides, sides, st.integers(1, 600))
def test_unsaturated_groups_get_the_polynomial_in_single_precision(
    seed: int, ncoeffs: int, ngroups: int, ny: int, nx: int
) -> None:
    rng = np.random.default_rng(seed)
    coeffs = some_coefficients(rng, ncoeffs, ny, nx)
    data = numbers(rng, (ngroups, ny, nx), 3e4, odd=(np.nan, np.inf, 3e38))
    groupdq, usable = flags(rng, data.shape, (1, 2, 4), 0.15), rng.random((ny, nx)) < 0.9
    with np.errstate(all="ignore"):
        expected = np.where(usable & (groupdq & SATURATED == 0), horner(coeffs, data), data)
    kernels.correct_groups(data, groupdq, coeffs, usable)
    np.testing.assert_array_equal(data, expected)


@many
@given(seeds, st.integers(2, 6), st.integers(2, 6), st.integers(2, 8), st.sampled_from([2, 4, 5]), st.integers(1, 300))
def test_reads_are_predicted_along_a_line_shifted_to_the_group_and_corrected_one_by_one(
    seed: int, forward_terms: int, backward_terms: int, ngroups: int, nframes: int, nx: int
) -> None:
    rng = np.random.default_rng(seed)
    forward = some_coefficients(rng, forward_terms, 1, nx)
    backward = some_coefficients(rng, backward_terms, 1, nx)
    data = np.cumsum(rng.normal(2000, 300, (ngroups, 1, nx)), axis=0).astype(np.float32)
    data[rng.random(data.shape) < 0.02] = np.nan
    groupdq = flags(rng, data.shape, (1, 4), 0.1)
    groupdq |= np.where(np.maximum.accumulate(rng.random(data.shape) < 0.1), np.uint8(SATURATED), np.uint8(0))
    saturated = groupdq & SATURATED > 0
    reads = (np.arange(ngroups * nframes) + 1.0).reshape(ngroups, nframes)
    mean_reads = reads.mean(axis=1)

    def linear(group: int, x: int) -> np.float32:
        value = data[group, 0, x]
        return value if saturated[group, 0, x] else horner(forward[:, 0, x], value)

    expected = data.copy()
    for x in range(nx):
        last = max(int((~saturated[:, 0, x]).sum()) - 1, 2) - 1
        rate = np.float64(linear(last, x) - linear(0, x)) / (mean_reads[last] - mean_reads[0])
        ahead, back = forward[:, 0, x].astype(np.float64), backward[:, 0, x].astype(np.float64)
        for g in range(ngroups):
            if saturated[g, 0, x]:
                continue
            predicted = horner(back, linear(0, x) + rate * (reads[g] - mean_reads[0]))
            shifted = predicted + (data[g, 0, x] - sum(predicted) / nframes)
            expected[g, 0, x] = np.float32(sum(horner(ahead, shifted)) / nframes)
    kernels.correct_reads(data, groupdq, forward, backward, nframes, mean_reads)
    np.testing.assert_array_equal(data, expected)
