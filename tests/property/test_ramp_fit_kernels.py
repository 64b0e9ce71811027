"""The line fits against their rule; the kernels fit ramps without flags a tile at a time."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jwcal.core.array_types import Float32
from jwcal.core.data import Ramp
from jwcal.core.dqflags import AD_FLOOR, CHARGELOSS, DO_NOT_USE, JUMP_DET, PERSISTENCE, SATURATED
from jwcal.core.metadata import Metadata
from jwcal.detector1.fitting import least_squares
from jwcal.detector1.fitting.least_squares import fit_least_squares

from .line_fit_rule import Pixel, as_arrays, fit_pixel, stored, weights
from .random_arrays import flags, many, seeds

GROUP_TIME, FRAME_TIME = 21.4, 10.7
PLANES = {"data": "slope", "err": "err", "var_poisson": "var_p", "var_rnoise": "var_r"}


def some_ramps(rng: np.random.Generator, shape: tuple[int, int, int, int], **metadata: Any) -> Ramp:
    """Ramps from faint to bright, with what earlier steps may have flagged; whole exposures of few kinds among them."""
    rate = 10.0 ** rng.uniform(-1, 4, shape[-2:])
    steps = rng.normal(rate, np.sqrt(rate) + 5, shape)
    style = rng.integers(3)
    if style == 1:
        steps = np.round(steps / 64) * 64  # equal differences
    data = np.cumsum(steps, axis=1).astype(np.float32)
    data[rng.random(shape) < 0.003] = np.nan
    share = rng.choice([0.0, 0.02, 0.4])
    groupdq = flags(rng, shape, (DO_NOT_USE, JUMP_DET, PERSISTENCE, DO_NOT_USE | AD_FLOOR), share)
    late = np.maximum.accumulate(rng.random(shape) < share / 3, axis=1)
    groupdq |= np.where(late, np.uint8(SATURATED), np.uint8(0))
    if rng.random() < 0.5:
        groupdq[:, : rng.integers(shape[1])] |= np.uint8(DO_NOT_USE)
    if rng.random() < 0.5:
        groupdq[:, -1] |= np.uint8(DO_NOT_USE)
    if rng.random() < 0.3:  # groups that only a few pixels can use, as where MIRI's saturated pixels keep more groups
        most = rng.random(shape[-2:]) < 0.9
        groupdq[:, : rng.integers(shape[1]), most] |= np.uint8(DO_NOT_USE)
    tree = {"instrument": {"name": str(rng.choice(["NIRCAM", "MIRI"]))}, "exposure": metadata}
    tree["exposure"] |= {"nframes": 2, "groupgap": 1, "group_time": GROUP_TIME, "frame_time": FRAME_TIME}
    return Ramp(
        data=data,
        groupdq=groupdq,
        pixeldq=flags(rng, shape[-2:], (DO_NOT_USE, SATURATED, 2048), 0.03, np.uint32),
        metadata=Metadata(tree),
        zeroframe=np.where(rng.random((shape[0], *shape[-2:])) < 0.5, data[:, 0] / 2, np.float32(0)),
        average_dark_current=np.full(shape[-2:], rng.choice([0.0, 0.3]), np.float32),
    )


def some_references(rng: np.random.Generator, shape: tuple[int, int], spoiled: float = 0.05) -> tuple[Float32, Float32]:
    """Gain and CDS read noise (DN)."""
    gain = rng.uniform(0.5, 5, shape).astype(np.float32)
    noise = rng.uniform(3, 30, shape).astype(np.float32)
    gain[rng.random(shape) < spoiled] = rng.choice([0.0, np.nan, -1.0, np.inf])
    noise[rng.random(shape) < spoiled] = rng.choice([0.0, np.nan, 1e6])
    return gain, noise


def pixels_of(ramp: Ramp, gain: Float32, noise: Float32, suppress: bool) -> np.ndarray:
    """What the rule needs of every pixel."""
    groups = least_squares.usable_groups(ramp, suppress=suppress)
    assert groups is not None
    times = least_squares.integration_times(ramp)
    electrons = np.float32(noise * (gain / np.float32(np.sqrt(2.0 * ramp.metadata.require("exposure.nframes")))))
    out = np.empty(ramp.data.shape[-2:], object)
    for y, x in np.ndindex(*out.shape):
        out[y, x] = Pixel(
            data=ramp.data[:, :, y, x],
            dq=ramp.groupdq[:, :, y, x],
            pixeldq=int(ramp.pixeldq[y, x]),
            zeroframe=ramp.zeroframe[:, y, x],
            gain=np.float64(gain[y, x]),
            noise=np.float64(electrons[y, x]),
            dark=np.float64(ramp.average_dark_current[y, x]),
            group_time=times[0],
            lone_time=times[1],
            frame_time=times[2],
            start=groups.start,
            stop=groups.stop,
            suppress=suppress,
        )
    return out


def check(ramp: Ramp, gain: Float32, noise: Float32, suppress: bool) -> None:
    """Compare a fit with the rule.

    Both work in double precision, in another order, and store single precision; slopes are differences of the data,
    whose rounding they inherit.
    """
    with np.errstate(invalid="ignore"):  # no noise times infinite gain
        fit = fit_least_squares(ramp, gain, noise, suppress_one_group=suppress)
    suppress = suppress and ramp.ngroups > 1
    if least_squares.usable_groups(ramp, suppress=suppress) is None:
        assert fit.rate is fit.rateints is None
        return
    with np.errstate(all="ignore"):
        fitted = [fit_pixel(pixel) for pixel in pixels_of(ramp, gain, noise, suppress).ravel()]
    exposure = np.empty(len(fitted), object)
    exposure[:] = [rate for rate, _ in fitted]
    integrations = np.empty((ramp.nints, len(fitted)), object)
    for p, (_, ramps) in enumerate(fitted):
        integrations[:, p] = ramps
    largest = float(np.nanmax(np.abs(ramp.data)))
    for result, rates in ((fit.rate, exposure), (fit.rateints, integrations)):
        np.testing.assert_array_equal(result.dq.reshape(rates.shape), as_arrays(rates, "dq"))
        for plane, name in PLANES.items():
            values = getattr(result, plane).reshape(rates.shape)
            rounding = 1e-11 * largest if plane == "data" else 0
            with np.errstate(over="ignore"):
                expected = as_arrays(rates, name).astype(np.float32)
            np.testing.assert_allclose(values, expected, rtol=3e-7, atol=rounding, err_msg=plane)


shapes = st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 2), st.integers(1, 70))


@many
@given(seeds, shapes, st.booleans())
def test_every_ramp_is_fitted_by_the_rule(seed: int, shape: tuple[int, int, int, int], suppress: bool) -> None:
    rng = np.random.default_rng(seed)
    check(some_ramps(rng, shape), *some_references(rng, shape[-2:]), suppress)


@many
@given(seeds, st.integers(1, 2), st.integers(1, 4), st.floats(0, 1), st.booleans())
def test_ramps_of_one_two_and_three_usable_groups_are_fitted_by_the_rule(
    seed: int, nints: int, ngroups: int, share: float, suppress: bool
) -> None:
    rng = np.random.default_rng(seed)
    ramp = some_ramps(rng, (nints, ngroups, 1, 60))
    ramp.groupdq |= flags(rng, ramp.data.shape, (DO_NOT_USE, JUMP_DET), share / 2)
    late = np.maximum.accumulate(rng.random(ramp.data.shape) < share / 2, axis=1)
    ramp.groupdq |= np.where(late, np.uint8(SATURATED), np.uint8(0))
    check(ramp, *some_references(rng, (1, 60)), suppress)


@many
@given(seeds, st.integers(1, 3), st.integers(3, 9))
def test_groups_given_up_for_charge_migration_count_for_the_read_noise(seed: int, nints: int, ngroups: int) -> None:
    rng = np.random.default_rng(seed)
    ramp = some_ramps(rng, (nints, ngroups, 1, 60))
    late = np.maximum.accumulate(rng.random(ramp.data.shape) < 0.1, axis=1)
    ramp.groupdq |= np.where(late, np.uint8(CHARGELOSS | DO_NOT_USE), np.uint8(0))
    check(ramp, *some_references(rng, (1, 60), spoiled=0.0), True)


@many
@given(seeds, st.integers(1, 3), st.integers(3, 40), st.integers(1, 2), st.integers(1, 150))
def test_ramps_without_flags_are_fitted_to_the_same_bits_as_others(
    seed: int, nints: int, ngroups: int, ny: int, nx: int
) -> None:
    """The same ramps with PERSISTENCE, which the fit ignores, go the long way."""
    rng = np.random.default_rng(seed)
    ramp = some_ramps(rng, (nints, ngroups, ny, nx))
    ramp.groupdq[:, :, rng.random((ny, nx)) < 0.7] = 0
    ramp.groupdq[:, : rng.integers(ngroups // 2)] |= np.uint8(DO_NOT_USE)
    ramp.groupdq[rng.integers(nints), -1] |= np.uint8(DO_NOT_USE)
    gain, noise = some_references(rng, (ny, nx))
    with np.errstate(invalid="ignore"):  # no noise times infinite gain
        short = fit_least_squares(ramp, gain, noise)
        ramp.groupdq |= np.uint8(PERSISTENCE)
        long = fit_least_squares(ramp, gain, noise)
    if short.rate is None:
        return
    for one, other in ((short.rate, long.rate), (short.rateints, long.rateints)):
        np.testing.assert_array_equal(one.dq | np.uint32(PERSISTENCE), other.dq)
        for plane in PLANES:
            np.testing.assert_array_equal(getattr(one, plane), getattr(other, plane), err_msg=plane)


@many
@given(seeds, st.tuples(st.integers(1, 3), st.integers(1, 12), st.just(1), st.integers(1, 40)), st.booleans())
def test_the_optional_results_are_those_of_the_segments(
    seed: int, shape: tuple[int, int, int, int], suppress: bool
) -> None:
    rng = np.random.default_rng(seed)
    ramp = some_ramps(rng, shape, drop_frames1=1)
    gain, noise = some_references(rng, shape[-2:], spoiled=0.0)
    noise[rng.random(noise.shape) < 0.1] = 1e6  # variances too large to be stored
    fit = fit_least_squares(ramp, gain, noise, suppress_one_group=suppress, optional_results=True)
    if fit.rate is None:
        return
    found = fit.side_products["fitopt"].arrays
    pixels = pixels_of(ramp, gain, noise, suppress and ramp.ngroups > 1)[0]
    with np.errstate(all="ignore"):
        fitted = [fit_pixel(pixel)[1] for pixel in pixels]
    expected = {name: np.zeros(array.shape) for name, array in found.items()}
    jumps = segments = 0
    for x, (pixel, ramps) in enumerate(zip(pixels, fitted, strict=True)):
        for i, one in enumerate(ramps):
            after = np.flatnonzero(one.flags[1:] & JUMP_DET)
            jumps, segments = max(jumps, after.size), max(segments, one.found)
            with np.errstate(invalid="ignore"):
                expected["crmag"][i, : after.size, 0, x] = np.diff(one.measured)[after]
            for k, ((a, b), fitting) in enumerate(zip(one.segments, one.fits, strict=True)):
                line = intercept(one.values[a:b], a, pixel)
                row = (*fitting, *line, 1 / fitting[2])
                for name, value in zip(
                    ("slope", "var_poisson", "var_rnoise", "sigslope", "yint", "sigyint", "weights"), row, strict=True
                ):
                    expected[name][i, k, 0, x] = value
            if (one.flags & (DO_NOT_USE | SATURATED) > 0).all() or one.flags[0] & SATURATED:
                continue
            slope = one.sum_slope * stored(1 / np.float64(one.sum_r)) if one.segments else 0.0
            ground = one.values[0] - slope * ((2 + 1) / 2 + 1) / (2 + 1)
            known = not np.isnan(fit.rateints.data[i, 0, x]) and not np.isnan(ground)
            expected["pedestal"][i, 0, x] = ground if known else 0.0
    assert (found["crmag"].shape[1], found["slope"].shape[1]) == (jumps, segments)
    largest = float(np.nanmax(np.abs(ramp.data)))
    for name, array in found.items():
        wanted = expected[name].astype(np.float32)
        np.testing.assert_allclose(array, wanted, rtol=5e-7, atol=1e-9 * largest, err_msg=name)


def intercept(values: np.ndarray, at: int, pixel: Pixel) -> tuple[float, float, float]:
    """Sigma of the slope (per group), intercept at group 0 and its sigma, as the official product defines them."""
    n = len(values)
    if n == 1:
        return 0.0, 0.0, 0.0
    x = np.arange(at, at + n, dtype=np.float64)
    if n == 2:
        sigma = 1.41421356 * pixel.noise
        return sigma, values[0] - (values[1] - values[0]) * at, sigma
    w = weights(values, pixel.gain, pixel.noise) / pixel.noise**2
    y = np.where(np.isnan(values), 0, values)
    design = np.stack((np.ones(n), x), axis=1)
    covariance = np.linalg.inv(design.T @ (w[:, None] * design))
    line = covariance @ (design.T @ (w * y))
    return np.sqrt(covariance[1, 1]), line[0], np.sqrt(covariance[0, 0])
