"""Interpixel capacitance against plain shifted sums, and scipy's convolution."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d

from jwcal.core.array_types import Float32
from jwcal.detector1.kernels.capacitance import convolve_frames

from .random_arrays import many, numbers, seeds

odd_sizes = st.sampled_from([1, 3, 5])


def convolved(image: Float32, kernel: Float32) -> Float32:
    """Single-precision sum of the shifted image, the centre of ``(ky, kx, ...)`` last, zero outside."""
    ky, kx = kernel.shape[:2]
    (ny, nx), total = image.shape, np.zeros_like(image)
    framed = np.pad(image, ((ky // 2, ky // 2), (kx // 2, kx // 2)))
    places = [place for place in np.ndindex(ky, kx) if place != (ky // 2, kx // 2)] + [(ky // 2, kx // 2)]
    for j, i in places:
        total += kernel[j, i] * framed[ky - 1 - j : ky - 1 - j + ny, kx - 1 - i : kx - 1 - i + nx]
    return total


@many
@given(seeds, st.integers(1, 3), st.integers(1, 9), st.integers(1, 40), odd_sizes, odd_sizes, st.booleans(), st.data())
def test_the_window_is_convolved_and_the_rest_stays(
    seed: int, nframes: int, ny: int, nx: int, ky: int, kx: int, by_pixel: bool, data: st.DataObject
) -> None:
    y0, x0 = data.draw(st.integers(0, ny - 1)), data.draw(st.integers(0, nx - 1))
    y1, x1 = data.draw(st.integers(y0 + 1, ny)), data.draw(st.integers(x0 + 1, nx))
    rng = np.random.default_rng(seed)
    between = data.draw(st.integers(0, 3))  # rows of interleaved reference samples
    rows = np.sort(rng.choice(ny + between, ny, replace=False))
    frames = numbers(rng, (nframes, ny + between, nx), 1e4)
    kernel = rng.normal(0, 0.1, (ky, kx, ny, nx) if by_pixel else (ky, kx, 1, 1)).astype(np.float32)
    expected = frames.copy()
    for frame in expected:
        image = frame[rows][y0:y1, x0:x1]
        window = kernel[:, :, y0:y1, x0:x1] if by_pixel else kernel
        frame[rows[y0:y1], x0:x1] = convolved(image, window)
    convolve_frames(frames, kernel, by_pixel, rows, y0, y1, x0, x1)
    np.testing.assert_array_equal(frames, expected)


@many
@given(seeds, st.integers(1, 9), st.integers(1, 40), odd_sizes, odd_sizes)
def test_one_kernel_for_all_is_the_convolution_of_the_textbooks(seed: int, ny: int, nx: int, ky: int, kx: int) -> None:
    rng = np.random.default_rng(seed)
    frames, kernel = numbers(rng, (1, ny, nx)), rng.random((ky, kx)).astype(np.float32)
    rounding = 2.0**-24 * (ky * kx) ** 2 * np.abs(frames).max()  # of as many single-precision sums
    expected = convolve2d(frames[0].astype(np.float64), kernel, mode="same")
    convolve_frames(frames, kernel[:, :, None, None], False, np.arange(ny), 0, ny, 0, nx)
    np.testing.assert_allclose(frames[0], expected, rtol=0, atol=rounding)
