"""The likelihood ramp fit."""

from typing import Any

import numpy as np
import pytest

from jwcal.core import dqflags
from jwcal.core.data import Ramp
from jwcal.core.errors import InvalidData
from jwcal.core.metadata import Metadata
from jwcal.detector1.fitting.likelihood import LikelihoodFit, Sampling, fit_likelihood

NY, NX = 3, 5


def a_ramp(groups: Any, *, nframes: int = 1, groupgap: int = 0, **more: Any) -> Ramp:
    """Every pixel of every integration ``(nints, ngroups)`` has these groups; frames take 2 s."""
    groups = np.atleast_2d(np.asarray(groups, np.float32))
    data = np.ascontiguousarray(np.broadcast_to(groups[:, :, None, None], (*groups.shape, NY, NX)))
    exposure = {"nframes": nframes, "groupgap": groupgap, "frame_time": 2.0}
    return Ramp(
        data=data,
        groupdq=np.zeros(data.shape, np.uint8),
        pixeldq=np.zeros((NY, NX), np.uint32),
        metadata=Metadata({"exposure": exposure}),
        **more,
    )


def fit(ramp: Ramp, gain: float = 2.0, read_noise: float = 10.0) -> LikelihoodFit:
    """Fit with the same gain and read noise everywhere."""
    return fit_likelihood(ramp, np.full((NY, NX), gain, np.float32), np.full((NY, NX), read_noise, np.float32))


def test_a_straight_ramp_has_its_slope_as_rate() -> None:
    result = fit(a_ramp(100 + 30.0 * np.arange(6)))
    np.testing.assert_allclose(result.rate.data, 15.0, rtol=1e-6)
    np.testing.assert_allclose(result.rate.chisq, 0.0, atol=1e-6)


def test_rate_noise_and_variance_parts_add_up() -> None:
    result = fit(a_ramp(100 + 30.0 * np.arange(6)))
    total = result.rate.var_poisson + result.rate.var_rnoise
    np.testing.assert_allclose(result.rate.err**2, total, rtol=1e-5)


def test_a_jump_is_flagged_in_the_group_after_it_and_leaves_the_rate() -> None:
    groups = 30.0 * np.arange(8)
    groups[4:] += 1000
    ramp = a_ramp(groups)
    result = fit(ramp)
    np.testing.assert_allclose(result.rate.data, 15.0, rtol=1e-5)
    assert (ramp.groupdq[0, :, 0, 0] == [0, 0, 0, 0, dqflags.JUMP_DET, 0, 0, 0]).all()
    assert (result.rate.dq == dqflags.JUMP_DET).all()


def test_two_jumps_are_both_found() -> None:
    groups = 30.0 * np.arange(10)
    groups[3:] += 1000
    groups[7:] += 500
    ramp = a_ramp(groups)
    fit(ramp)
    assert np.flatnonzero(ramp.groupdq[0, :, 0, 0]).tolist() == [3, 7]


def test_a_jump_within_an_averaged_group_drops_the_differences_on_both_sides() -> None:
    groups = 300.0 * np.arange(8)
    groups[4] += 500
    groups[5:] += 1000
    ramp = a_ramp(groups, nframes=4)
    result = fit(ramp)
    assert np.flatnonzero(ramp.groupdq[0, :, 0, 0]).tolist() == [4, 5]
    np.testing.assert_allclose(result.rate.data, 300 / 8.0, rtol=1e-5)


def test_flagged_groups_take_no_part() -> None:
    groups = 30.0 * np.arange(8)
    groups[6:] = 0
    ramp = a_ramp(groups)
    ramp.groupdq[:, 6:] = dqflags.SATURATED
    result = fit(ramp)
    np.testing.assert_allclose(result.rate.data, 15.0, rtol=1e-5)
    assert (result.rate.dq == dqflags.SATURATED).all()


def test_a_ramp_without_a_usable_difference_has_no_rate() -> None:
    ramp = a_ramp(30.0 * np.arange(5))
    ramp.groupdq[:, :, 1, 2] = dqflags.DO_NOT_USE
    result = fit(ramp)
    assert np.isnan(result.rate.data[1, 2])
    assert result.rate.dq[1, 2] == dqflags.DO_NOT_USE
    assert np.isfinite(result.rate.data).sum() == NY * NX - 1


def test_pixel_flags_are_kept_and_do_not_blank_the_rate() -> None:
    ramp = a_ramp(30.0 * np.arange(5))
    ramp.pixeldq[0, 0] = dqflags.DO_NOT_USE | dqflags.HOT
    result = fit(ramp)
    assert result.rate.dq[0, 0] == dqflags.DO_NOT_USE | dqflags.HOT
    np.testing.assert_allclose(result.rate.data[0, 0], 15.0, rtol=1e-5)


def test_a_zero_frame_splits_the_first_group() -> None:
    mean_of_four = 10 * (np.arange(5) * 4 + 2.5)
    zeroframe = np.full((1, NY, NX), 10.0, np.float32)
    with_zero = fit(a_ramp(mean_of_four, nframes=4, zeroframe=zeroframe))
    without = fit(a_ramp(mean_of_four, nframes=4))
    np.testing.assert_allclose(with_zero.rate.data, 5.0, rtol=1e-5)
    assert (with_zero.rate.err < without.rate.err).all()


def test_a_zero_frame_of_groups_of_one_frame_is_ignored() -> None:
    groups = 30.0 * np.arange(5)
    zeroframe = np.full((1, NY, NX), 1e4, np.float32)
    result = fit(a_ramp(groups, zeroframe=zeroframe))
    np.testing.assert_allclose(result.rate.data, 15.0, rtol=1e-5)


def test_read_times_of_the_exposure_are_followed() -> None:
    times = np.array([[1.0], [2.0], [5.0], [6.0], [11.0]])
    result = fit(a_ramp(7.0 * times[:, 0], read_times=times))
    np.testing.assert_allclose(result.rate.data, 7.0, rtol=1e-5)


def test_the_dark_current_adds_variance_and_no_signal() -> None:
    groups = 30.0 * np.arange(6)
    dark = np.full((NY, NX), 50.0, np.float32)
    bare, dark_added = fit(a_ramp(groups)), fit(a_ramp(groups, average_dark_current=dark))
    np.testing.assert_allclose(dark_added.rate.data, bare.rate.data, rtol=1e-5)
    assert (dark_added.rate.var_poisson > 3 * bare.rate.var_poisson).all()


def test_one_integration_is_the_exposure() -> None:
    result = fit(a_ramp(30.0 * np.arange(6)))
    np.testing.assert_array_equal(result.rate.data, result.rateints.data[0])
    np.testing.assert_array_equal(result.rate.var_rnoise, result.rateints.var_rnoise[0])


def test_integrations_average_and_their_variances_shrink() -> None:
    result = fit(a_ramp([28.0 * np.arange(6), 30.0 * np.arange(6), 32.0 * np.arange(6)]))
    np.testing.assert_allclose(result.rate.data, 15.0, rtol=1e-2)
    np.testing.assert_allclose(result.rate.var_rnoise, result.rateints.var_rnoise.mean(axis=0) / 3, rtol=5e-2)


def test_an_integration_without_rate_leaves_the_others() -> None:
    ramp = a_ramp([28.0 * np.arange(6), 30.0 * np.arange(6)])
    ramp.groupdq[0] = dqflags.DO_NOT_USE
    result = fit(ramp)
    np.testing.assert_allclose(result.rate.data, 15.0, rtol=1e-5)
    assert (result.rate.dq == 0).all()
    assert (result.rateints.dq[0] == dqflags.DO_NOT_USE).all()


def test_three_groups_are_refused() -> None:
    with pytest.raises(InvalidData, match="needs 4 groups"):
        fit(a_ramp(30.0 * np.arange(3)))


def test_the_sampling_of_single_reads_has_no_correlated_photon_noise() -> None:
    sampling = Sampling.of([np.array([2.0 * k]) for k in range(1, 6)])
    np.testing.assert_allclose(sampling.spacing, 2.0)
    np.testing.assert_allclose(sampling.model[0], 0.5)
    np.testing.assert_allclose(sampling.model[1], 0.5)
    np.testing.assert_allclose(sampling.model[2], 0.0)
    np.testing.assert_allclose(sampling.model[3, :-1], -0.25)
    assert not sampling.pairs.any()
