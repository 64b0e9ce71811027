"""The lazily sorted sample, and the background's range, against plain numpy and astropy."""

import numpy as np
from astropy.stats import sigma_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from jwcal.core.array_types import Float64
from jwcal.detector1.flicker.background import subtract_median
from jwcal.detector1.flicker.sample import Sample
from jwcal.detector1.flicker.statistics import background_limits

some = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32)
kinds = st.sampled_from((np.float32, np.float64))


def an_image(seed: int, kind: type, ny: int = 9, nx: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Noise round a level, with repeated values, zeros of both signs, huge values, NaN and infinities."""
    rng = np.random.default_rng(seed)
    image = rng.normal(rng.choice([0.0, 5.0, -300.0]), rng.choice([0.5, 20.0]), (ny, nx))
    image = np.where(rng.random(image.shape) < 0.2, np.round(image), image)
    strange = rng.choice([0.0, -0.0, 1e15, -1e15, np.nan, np.inf, -np.inf], image.shape)
    image = np.where(rng.random(image.shape) < 0.1, strange, image).astype(kind)
    return image, rng.random(image.shape) < 0.8


@some
@given(seeds, kinds)
def test_ranks_are_those_of_sorted_values(seed: int, kind: type) -> None:
    image, mask = an_image(seed, kind)
    expected = np.sort(image[mask & np.isfinite(image)])
    sample = Sample(image, mask)
    order = np.random.default_rng(seed).permutation(expected.size)
    assert [sample.at(int(rank)) for rank in order] == [float(expected[rank]) for rank in order]


@some
@given(seeds, kinds, st.floats(-400, 400))
def test_limits_cut_where_they_do_in_sorted_values(seed: int, kind: type, limit: float) -> None:
    image, mask = an_image(seed, kind)
    values = np.sort(image[mask & np.isfinite(image)]).astype(np.float64)
    for at in (limit, *values[::7], *np.nextafter(values[::7], np.inf), -np.inf, np.inf):
        sample = Sample(image, mask)
        assert sample.count_below(at, inclusive=False) == np.count_nonzero(values < at)
        assert sample.count_below(at, inclusive=True) == np.count_nonzero(values <= at)


@some
@given(seeds, kinds, st.data())
def test_moments_are_numpys(seed: int, kind: type, data: st.DataObject) -> None:
    image, mask = an_image(seed, kind)
    image[np.abs(image) > 1e14] = 1.0
    values = np.sort(image[mask & np.isfinite(image)]).astype(np.float64)
    first = data.draw(st.integers(0, values.size))
    last = data.draw(st.integers(first, values.size))
    part = Sample(image, mask).whole()
    part = type(part)(part.sample, first, last)
    chosen = values[first:last]
    assert sorted(part.values()) == list(chosen)
    if chosen.size:
        np.testing.assert_allclose(part.median, np.median(chosen), rtol=1e-15)
        np.testing.assert_allclose(part.mean, chosen.mean(), rtol=1e-12, atol=1e-12)
        # the variance is the difference of two sums of squares: half of the digits are left at the worst
        np.testing.assert_allclose(part.sigma, chosen.std(), rtol=1e-9, atol=1e-6 * np.abs(chosen).max())


def test_no_value_has_no_moments() -> None:
    part = Sample(np.full((3, 3), np.nan, np.float32), np.ones((3, 3), bool)).whole()
    assert part.size == 0
    assert np.isnan([part.median, part.mean, part.sigma]).all()


def clipped(values: Float64) -> Float64:
    return np.asarray(sigma_clip(values, sigma=3, maxiters=5, masked=False))


@some
@given(seeds)
def test_the_lower_half_and_its_mirror_image_give_the_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(4, 3, (31, 17)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] += 40
    values = image.astype(np.float64).ravel()
    center = np.median(clipped(values))
    lower = values[values <= center]
    sigma = clipped(np.concatenate((lower, 2 * center - lower))).std()
    low, high = background_limits(Sample(image, np.ones(image.shape, bool)).whole(), 2, 3, lower_half_only=True)
    np.testing.assert_allclose([low, high], [center - 2 * sigma, center + 3 * sigma], rtol=1e-7)


@some
@given(seeds, st.sampled_from((0.0, 2.0)))
def test_the_median_background_is_that_of_the_clipped_pixels(seed: int, n_sigma: float) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(4, 3, (21, 18)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] += 40
    mask = rng.random(image.shape) < 0.9
    before, wide = image.copy(), mask.copy()
    background = subtract_median(image, mask, n_sigma)
    low, high = background_limits(Sample(before, wide).whole(), 3, 3, lower_half_only=True)
    near = wide & (before >= low) & (before <= high)
    assert background == np.float32(np.median(before[near].astype(np.float64)))
    np.testing.assert_array_equal(image, before - background)
    if n_sigma > 0:
        low, high = background_limits(Sample(image, near).whole(), n_sigma, n_sigma, lower_half_only=True)
        near &= (image >= low) & (image <= high)
    np.testing.assert_array_equal(mask, near)
