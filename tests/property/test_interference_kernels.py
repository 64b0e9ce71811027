"""The interference kernels against plain numpy, scipy and astropy."""

import numba
import numpy as np
from astropy.stats import sigma_clipped_stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d

from jwcal.core.data import Ramp
from jwcal.core.metadata import Metadata
from jwcal.detector1.interference import joint, sequential
from jwcal.detector1.interference.timing import Readout
from jwcal.detector1.kernels import interference as kernels

few = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**32)


def a_ramp(seed: int, nints: int, ngroups: int) -> Ramp:
    rng = np.random.default_rng(seed)
    data = rng.normal(100, 20, (nints, ngroups, 8, 20)).astype(np.float32)
    return Ramp(
        data=data,
        groupdq=np.zeros(data.shape, np.uint8),
        pixeldq=(rng.random((8, 20)) < 0.1).astype(np.uint32),
        metadata=Metadata(),
    )


def a_model(seed: int, frequency: float = 218.52055) -> joint.JointModel:
    rng = np.random.default_rng(seed)
    readout = Readout(row=28, sample=1, frame=8512, reset=8512, late_last_column=False)
    return joint.JointModel(rng.normal(0, 3, 60), frequency, readout)


@few
@given(seeds, st.integers(1, 3), st.integers(3, 9))
def test_pixels_are_folded_as_numpy_would(seed: int, nints: int, ngroups: int) -> None:
    ramp, model = a_ramp(seed, nints, ngroups), a_model(seed)
    folded = joint.fold(ramp, model)
    deviation = np.std(ramp.data, axis=1)
    good = (deviation < 2 * np.median(deviation)) & (ramp.pixeldq == 0)
    sums, numbers = np.zeros(folded.sums.shape), np.zeros(folded.numbers.shape)
    for y, x in np.ndindex(8, 20):
        if x // 4 in (1, 2):
            continue
        index = int(((y * 28 + x // 4) / model.period) % 1 * 60)
        for i in range(nints):
            sums[i, index] += ramp.data[i, :, y, x] * good[i, y, x]
            numbers[i, index] += good[i, y, x]
    np.testing.assert_array_equal(folded.numbers, numbers)
    np.testing.assert_allclose(folded.sums, sums, rtol=1e-12)


@few
@given(seeds, st.floats(0, 1, exclude_max=True))
def test_the_wave_is_scipys_cubic_interpolation(seed: int, phase: float) -> None:
    model = a_model(seed)
    nodes = (np.arange(62) - 0.5) / 60
    expected = interp1d(nodes, np.concatenate((model.wave[-1:], model.wave, model.wave[:1])), kind="cubic")(phase)
    np.testing.assert_allclose(kernels.wave_value(model.spline(), phase), expected, rtol=1e-10, atol=1e-10)


@few
@given(seeds, st.integers(3, 7), st.sampled_from([0.0, 0.25, 0.613]))
def test_the_amplitude_is_that_of_dense_least_squares(seed: int, ngroups: int, start: float) -> None:
    """Lines for every phase bin and one wave for all, by numpy's lstsq with the wave at a trial phase."""
    ramp, model = a_ramp(seed, 1, ngroups), a_model(seed)
    folded = joint.fold(ramp, model)
    trial = int(start * joint.TRIAL_PHASES)
    terms = [np.empty((joint.TRIAL_PHASES, 1)) for _ in range(3)]
    trials = np.arange(joint.TRIAL_PHASES) / joint.TRIAL_PHASES
    kernels.accumulate_trials(folded.sums, folded.numbers, model.spline(), model.group_step, trials, *terms)
    amplitude = -terms[1][trial, 0] / (2 * terms[0][trial, 0])
    filled = np.flatnonzero(folded.numbers[0])
    rows, values = [], []
    for place, p in enumerate(filled):
        weight = np.sqrt(folded.numbers[0, p])
        for g in range(ngroups):
            row = np.zeros(2 * filled.size + 1)
            phase = ((p + 0.5) / 60 + g * model.group_step + trials[trial]) % 1
            row[2 * place : 2 * place + 2] = 1, g
            row[-1] = kernels.wave_value(model.spline(), phase)
            rows.append(row * weight)
            values.append(folded.sums[0, p, g] / weight)
    expected = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0][-1]
    np.testing.assert_allclose(amplitude, expected, rtol=1e-6, atol=1e-9)


@few
@given(st.floats(-1, 2), st.integers(0, 40), st.floats(0, 50))
def test_the_next_trial_is_the_least_distance_ahead(phase: float, integration: int, step: float) -> None:
    trials = np.arange(500) / 500
    offset = step * integration
    assert kernels.next_trial(trials, phase, offset) == np.argmin(np.abs((trials - phase - offset) % 1))


@few
@given(seeds, st.integers(1, 4000), st.floats(0, 0.2))
def test_clipped_means_are_astropys(seed: int, size: int, outliers: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, size) + 50 * (rng.random(size) < outliers)
    values[rng.random(size) < 0.01] = np.nan
    values = values.astype(np.float32)
    values[0] = 0.0
    expected = sigma_clipped_stats(values[np.isfinite(values)].astype(np.float64))[0]
    means = np.empty(1)
    kernels.clipped_means(values, np.array([0, size]), 3.0, 5, means)
    np.testing.assert_allclose(means[0], expected, rtol=1e-6, atol=1e-9)


@few
@given(seeds, st.integers(3, 9), st.integers(5, 120))
def test_bins_of_the_measured_wave_are_open_below_and_closed_above(seed: int, ngroups: int, nbins: int) -> None:
    ramp = a_ramp(seed, 2, ngroups)
    readout = Readout(row=28, sample=1, frame=8512, reset=100, late_last_column=False)
    period = 256.0
    counts = np.zeros((ngroups, nbins), np.int64)
    start = ngroups * 8512 + 100
    kernels.count_phases((8, 5), start, 28, 1, False, 8512, period, counts)
    clocks = start + np.arange(ngroups)[:, None, None] * 8512 + np.arange(8)[:, None] * 28 + np.arange(5)
    phase = (clocks / period) % 1
    for b in range(nbins):
        inside = (phase > b / nbins) & (phase <= (b + 1) / nbins)
        np.testing.assert_array_equal(counts[:, b], inside.sum(axis=(1, 2)))
    wave = sequential.measure_wave(ramp, readout, 1e5 / period, 2, nbins)
    assert wave.shape == (nbins,)


@few
@given(seeds, st.integers(3, 9))
def test_residual_quads_are_numpys(seed: int, ngroups: int) -> None:
    data = a_ramp(seed, 1, ngroups).data[0]
    quads = np.empty((ngroups, 8, 5), np.float32)
    kernels.residual_quads(data, quads)
    kernels.subtract_frame_medians(quads)
    used = data[1:-1].astype(np.float64)
    times = np.arange(ngroups - 2)
    if ngroups == 3:
        assert np.isnan(quads).all()
        return
    slope = np.polyfit(times, used.reshape(ngroups - 2, -1), 1)[0].reshape(8, 20)
    flat = data - slope * np.arange(ngroups)[:, None, None]
    flat -= np.median(flat[1:-1], axis=0) if ngroups > 4 else flat[1:-1].min(axis=0)
    mean = flat.reshape(ngroups, 8, 5, 4).mean(axis=3)
    mean[:, :, 1] = mean[:, :, 2] = (mean[:, :, 0] + mean[:, :, 3]) / 2
    mean -= np.median(mean, axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(quads, mean, atol=1e-3)


@few
@given(seeds)
def test_corrections_do_not_depend_on_the_number_of_threads(seed: int) -> None:
    before = numba.get_num_threads()
    results = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        ramp, model = a_ramp(seed, 3, 6), a_model(seed)
        wave = sequential.measure_wave(ramp, model.readout, model.frequency, 3, 20)
        sequential.subtract(ramp, model.readout, model.frequency, sequential.resample(wave, model.period))
        fit = joint.fit_wave(joint.fold(ramp, model), model, separately=False)
        assert fit is not None
        joint.subtract(ramp, model, fit)
        results.append(ramp.data)
    numba.set_num_threads(before)
    np.testing.assert_array_equal(results[0], results[1])
