"""The likelihood kernels against dense linear algebra."""

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jwcal.core.array_types import Float64
from jwcal.core.data import Ramp
from jwcal.core.metadata import Metadata
from jwcal.detector1.fitting.likelihood import CHI_SQUARED_GAINS, LikelihoodFit, Sampling, fit_likelihood

GAIN, READ_NOISE, FRAME_TIME = 1.5, 12.0, 3.0
SHAPE = (4, 6)


def a_noisy_ramp(seed: int, ngroups: int, nframes: int, jumps: float) -> Ramp:
    rng = np.random.default_rng(seed)
    steps = rng.normal(40.0, 12.0, (2, ngroups, *SHAPE)) + (rng.random((2, ngroups, *SHAPE)) < jumps) * 600.0
    data = np.cumsum(steps, axis=1).astype(np.float32)
    groupdq = (rng.random(data.shape) < 0.05).astype(np.uint8)
    exposure = {"nframes": nframes, "groupgap": 1, "frame_time": FRAME_TIME}
    return Ramp(
        data=data,
        groupdq=groupdq,
        pixeldq=np.zeros(SHAPE, np.uint32),
        metadata=Metadata({"exposure": exposure}),
    )


def fit(ramp: Ramp) -> LikelihoodFit:
    return fit_likelihood(ramp, np.full(SHAPE, GAIN, np.float32), np.full(SHAPE, READ_NOISE, np.float32))


def dense_covariance(sampling: Sampling, rate: float) -> Float64:
    noise = READ_NOISE**2 / 2
    diagonal = rate / GAIN * sampling.model[0] + noise * sampling.model[1]
    beside = (rate / GAIN * sampling.model[2] + noise * sampling.model[3])[:-1]
    return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)


def dense_fit(differences: Float64, used: np.ndarray, covariance: Float64) -> tuple[float, float, float]:
    """Rate, error and chi squared of the used differences."""
    weights = np.linalg.inv(covariance[np.ix_(used, used)])
    ones, d = np.ones(int(used.sum())), differences[used]
    rate = (ones @ weights @ d) / (ones @ weights @ ones)
    return rate, (ones @ weights @ ones) ** -0.5, (d - rate) @ weights @ (d - rate)


def dense_search(differences: Float64, used: np.ndarray, sampling: Sampling) -> tuple[np.ndarray, float]:
    """The jump search by leaving out differences one by one."""
    covariance = dense_covariance(sampling, max(float(np.median(differences)), 0.0))
    used = used.copy()
    rate, _, chisq = dense_fit(differences, used, covariance)
    while True:
        candidates = []
        for k in range(used.size):
            for dropped, threshold, allowed in (
                ([k], CHI_SQUARED_GAINS[0], True),
                ([k, k + 1], CHI_SQUARED_GAINS[1], k + 1 < used.size and sampling.pairs[min(k, used.size - 2)] > 0),
            ):
                left = used.copy()
                if not allowed:
                    continue
                left[dropped] = False
                if left.sum() == 0 or (left == used).all():
                    continue
                new_rate, _, new_chisq = dense_fit(differences, left, covariance)
                candidates.append((chisq - new_chisq - threshold, left, new_rate, new_chisq))
        best = max(candidates, key=lambda c: c[0])
        if best[0] <= 0:
            return used, rate
        _, used, rate, chisq = best
        if used.sum() <= 3:
            return used, rate


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(6, 24), st.integers(1, 3), st.sampled_from([0.0, 0.05]))
def test_rates_errors_and_chi_squared_are_those_of_dense_generalised_least_squares(
    seed: int, ngroups: int, nframes: int, jumps: float
) -> None:
    ramp = a_noisy_ramp(seed, ngroups, nframes, jumps)
    data, flags = ramp.data.astype(np.float64), ramp.groupdq.copy()
    result = fit(ramp)
    reads = np.arange(1.0, nframes + 1)
    sampling = Sampling.of([(reads + g * (nframes + 1)) * FRAME_TIME for g in range(ngroups)])
    for i, y, x in np.ndindex(2, *SHAPE):
        differences = np.diff(data[i, :, y, x]) / sampling.spacing
        used = (flags[i, 1:, y, x] == 0) & (flags[i, :-1, y, x] == 0)
        if used.sum() < 4:
            continue
        used, guess = dense_search(differences, used, sampling)
        rate, err, chisq = dense_fit(differences, used, dense_covariance(sampling, max(guess, 0.0)))
        np.testing.assert_allclose(result.rateints.data[i, y, x], rate, rtol=2e-4, atol=1e-3)
        np.testing.assert_allclose(result.rateints.err[i, y, x], err, rtol=2e-4)
        np.testing.assert_allclose(result.rateints.chisq[i, y, x], chisq, rtol=1e-3, atol=1e-3)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32), st.integers(5, 30))
def test_the_fit_does_not_depend_on_the_number_of_threads(seed: int, ngroups: int) -> None:
    before = numba.get_num_threads()
    results = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        ramp = a_noisy_ramp(seed, ngroups, 2, 0.1)
        results.append((fit(ramp), ramp.groupdq))
    numba.set_num_threads(before)
    (one, flags_one), (many, flags_many) = results
    np.testing.assert_array_equal(one.rate.data, many.rate.data)
    np.testing.assert_array_equal(one.rateints.chisq, many.rateints.chisq)
    np.testing.assert_array_equal(flags_one, flags_many)
