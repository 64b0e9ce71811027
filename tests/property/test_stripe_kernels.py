"""Medians along the lines of an image against numpy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jwcal.detector1.flicker.stripes import subtract_stripes
from jwcal.detector1.kernels.stripes import subtract_column_medians, subtract_row_medians

from .random_arrays import many, numbers, seeds

blocks = st.integers(1, 5)


@many
@given(seeds, st.integers(1, 40), st.integers(1, 60), blocks, st.sampled_from([0.0, 0.3, 0.9, 1.0]), st.booleans())
def test_each_line_of_each_channel_loses_the_median_of_its_usable_pixels(
    seed: int, lines: int, length: int, channels: int, share: float, along_rows: bool
) -> None:
    rng = np.random.default_rng(seed)
    image = numbers(rng, (lines, channels * length), odd=(3e37, -3e37, -0.0, 1e-45))
    mask = rng.random(image.shape) < share
    expected = image.copy()
    for y in range(lines):
        for channel in range(channels):
            block = slice(channel * length, (channel + 1) * length)
            used = image[y, block][mask[y, block]]
            if used.size:
                expected[y, block] -= np.median(used)
    if along_rows:
        subtract_row_medians(image, mask, channels)
    else:
        image, mask = np.ascontiguousarray(image.T), np.ascontiguousarray(mask.T)
        subtract_column_medians(image, mask, channels)
        image = image.T
    np.testing.assert_array_equal(image, expected)


@many
@given(seeds, st.integers(1, 30), st.integers(1, 30), st.sampled_from([0, 1]))
def test_small_images_have_one_channel_on_either_axis(seed: int, ny: int, nx: int, axis: int) -> None:
    rng = np.random.default_rng(seed)
    image, mask = numbers(rng, (ny, nx)), rng.random((ny, nx)) < 0.8
    masked = np.ma.masked_array(image, ~mask)
    expected = image - np.ma.median(masked, axis=axis, keepdims=True).filled(0)
    subtract_stripes(image, mask, axis, by_channel=True)
    np.testing.assert_array_equal(image, expected)
