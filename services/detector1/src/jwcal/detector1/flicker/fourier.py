"""1/f noise as a band-limited signal in the time series of the detector, fitted to background pixels.

Source: Rauscher 2024, "NSClean: An Algorithm for Removing Correlated Noise from JWST NIRSpec Images", PASP 136, 015001.

A weighted least-squares fit of Fourier vectors ``k`` to samples ``d`` at times ``m`` with weights ``w`` has normal
equations that depend on differences of ``k`` alone: ``sum w e^(2 pi i m (l - k) / n)`` is the Fourier transform of
the weights, the right-hand side that of ``w d``.
"""

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from jwcal.core.array_types import Bool, Float32, Float64

FULL = 2048
_CUTOFF = 1 / 256
_EDGE = _CUTOFF / 4
_DENSITY_SIGMA = 32
_BUFFER_SIGMA = 1.5
_LINE_CLIP = 3.0
_BORDER = 4

PIXEL_TIME = np.float32(10.0e-6)
LINE_OVERHEAD = 12
BANDS = (1061, 1211, 49943, 49957)
"""Edges of the low and of the high pass band in Hz."""
ALLSLITS_BANDS = (150, 200, 49943, 49957)


class NoFit(Exception):
    """The noise cannot be fitted."""


def clean_full_frame(image: Float32, mask: Bool, detector: str) -> Float32:
    """The image less its low-frequency noise along the lines of the fast axis."""
    from scipy.ndimage import convolve1d

    upright: Float32 = _upright(image, detector)
    usable: Bool = _upright(mask, detector)
    model = _line_models(upright, usable)
    offsets = np.arange(FULL) - (FULL // 2 + 1)
    kernel = np.exp(-((offsets / _BUFFER_SIGMA) ** 2) / 2) / _BUFFER_SIGMA / np.sqrt(2 * np.pi)
    middle = FULL // 2 + 1
    smooth = convolve1d(model, kernel[middle - 12 : middle + 13], axis=0, mode="wrap")
    smooth = np.roll(smooth, (1, 1), axis=(0, 1))  # the official kernel stands one pixel off centre
    return _turned_back(upright - smooth.astype(np.float32), detector)


def _line_models(lines: Float32, usable: Bool) -> Float64:
    """Fitted low frequencies of every line ``(ny, nx)``; border lines and lines without a usable pixel stay zero."""
    n = lines.shape[1]
    filter_ = _low_pass(n)
    vectors = int(np.count_nonzero(filter_ > 0))
    weights = _inverse_density(usable) ** 2
    weights[:_BORDER] = 0
    weights[-_BORDER:] = 0
    data = _clipped_lines(lines, usable)
    normal = scipy.fft.rfft(weights, axis=1, workers=2)[:, :vectors]
    right = scipy.fft.rfft(weights * data, axis=1, workers=2)[:, :vectors]
    fitted = np.flatnonzero(normal[:, 0].real > 0)
    coefficients = np.zeros((lines.shape[0], n // 2 + 1), np.complex128)
    coefficients[fitted, :vectors] = _solve(normal[fitted], right[fitted]) * (n * filter_[:vectors])
    model: Float64 = scipy.fft.irfft(coefficients, n=n, axis=1, workers=2)
    return model


def _solve(transform: NDArray[np.complex128], right: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Solve the Hermitian Toeplitz systems with first columns `transform` ``(systems, vectors)``."""
    vectors = transform.shape[1]
    difference = np.arange(vectors)[:, None] - np.arange(vectors)[None, :]
    matrices = np.where(difference >= 0, transform[:, difference], np.conj(transform[:, -difference]))
    try:
        solution: Any = np.linalg.solve(matrices, right[..., None])[..., 0]
    except np.linalg.LinAlgError:
        raise NoFit("the background pixels do not determine the noise") from None
    return np.asarray(solution, np.complex128)


def _low_pass(n: int) -> Float64:
    frequency = np.fft.rfftfreq(n)
    edge = (1 + np.cos(np.pi * (frequency - _CUTOFF) / _EDGE + np.pi / 2)) / 2
    filter_: Float64 = np.where(frequency <= _CUTOFF - _EDGE / 2, 1.0, edge)
    return np.where(frequency <= _CUTOFF + _EDGE / 2, filter_, 0.0)


def _inverse_density(usable: Bool) -> Float64:
    """One over the local density of usable pixels along each line; zero for unusable ones.

    As in the official step the density is that of the line before, one pixel off.
    """
    n = usable.shape[1]
    middle = n // 2 + 1
    x = np.arange(n)
    kernel = np.exp(-((x - middle) ** 2) / _DENSITY_SIGMA**2 / 2) / _DENSITY_SIGMA / np.sqrt(2 * np.pi)
    transfer = scipy.fft.rfft(np.fft.ifftshift(kernel).astype(np.float32))
    lines = scipy.fft.rfft(usable.astype(np.float32), axis=1, workers=2) * transfer
    density = np.roll(scipy.fft.irfft(lines, n=n, axis=1, workers=2), 1, axis=0)
    with np.errstate(divide="ignore", over="ignore"):
        weights = np.where(usable, 1 / density.astype(np.float64), 0.0)
    weights[~np.isfinite(weights)] = 0.0
    return weights


def _clipped_lines(lines: Float32, usable: Bool) -> Float64:
    """The lines with outliers among their usable pixels replaced by the line's median; unusable pixels are zero."""
    result = np.zeros(lines.shape)
    for y in range(_BORDER, lines.shape[0] - _BORDER):
        good = usable[y]
        values = lines[y][good]
        if values.size == 0:
            continue
        middle = np.median(values)
        sigma = 1.4826 * np.median(np.abs(values - middle))
        near = np.abs(values - middle) <= _LINE_CLIP * sigma
        result[y, good] = np.where(near, values, middle)
    return result


def clean_subarray(
    image: Float32,
    mask: Bool,
    detector: str,
    *,
    bands: tuple[int, int, int, int] = BANDS,
    pixels_per_window: int = 512,
    rejection: float = 4.0,
    least_fraction: float = 0.05,
) -> Float32:
    """The image less the noise in two frequency bands, fitted in overlapping windows of lines."""
    upright: Float32 = _upright(image, detector)
    usable: Bool = _upright(mask, detector).copy()
    middle = np.median(upright[usable])
    sigma = 1.4825 * np.median(np.abs(upright - middle)[usable])
    outlier = usable & (np.abs(upright - middle) > rejection * sigma)
    usable &= ~_grown(outlier)

    model = np.zeros(upright.shape)
    total = np.zeros(upright.shape)
    for start, stop in _windows(usable, pixels_per_window):
        lines = slice(start, stop)
        if usable[lines].mean() > least_fraction:
            fitted = _window_model(upright[lines], usable[lines], bands)
        else:
            fitted = np.zeros(upright[lines].shape)
        weight = 1.001 - np.abs(np.linspace(-1, 1, stop - start))[:, None]
        model[lines] += weight * fitted
        total[lines] += weight
    total[model == 0] = 1
    model /= total
    cleaned: Float32 = (upright - model).astype(np.float32)
    return _turned_back(cleaned, detector)


def _windows(usable: Bool, pixels: int) -> list[tuple[int, int]]:
    """Ranges of lines with more than `pixels` usable pixels each, every one starting half way into the one before."""
    counts = usable.sum(axis=1)
    lines = np.flatnonzero(counts)
    if lines.size == 0:
        raise NoFit("there is no background pixel")
    before = np.concatenate(([0], np.cumsum(counts)))
    start, last = int(lines[0]), int(lines[-1])
    found = []
    while start <= last:
        stop = last + 1
        if before[-1] - before[start] > 1.5 * pixels:
            enough = np.flatnonzero(before[start + 1 : last + 2] - before[start] > pixels)
            stop = start + 1 + int(enough[0]) if enough.size else last + 1
        found.append((start, stop))
        if stop == last + 1:
            break
        start += max(round((stop - start) / 2), 1)
    return found


def _window_model(lines: Float32, usable: Bool, bands: tuple[int, int, int, int]) -> Float64:
    """Fitted noise of a window ``(ny, nx)``."""
    ny, nx = lines.shape
    n = ny * (nx + LINE_OVERHEAD)
    frequency = np.fft.rfftfreq(n, PIXEL_TIME).astype(np.float32)
    filter_ = _band_filter(frequency, bands)
    vectors = np.flatnonzero(filter_ > 0)
    padding = ((0, 0), (0, LINE_OVERHEAD))
    good = np.pad(usable & ~np.isnan(lines), padding).ravel()
    data = np.pad(np.where(np.isnan(lines), 0.0, lines), padding).ravel()
    sigma = 1 / ((bands[0] + bands[1]) / 2) / PIXEL_TIME / 2 / 4
    x = np.arange(n, dtype=np.float32)
    kernel = np.exp(-((x - np.float32(n // 2 + 1)) ** 2) / np.float32(sigma) ** 2 / 2) / sigma / np.sqrt(2 * np.pi)
    density = scipy.fft.irfft(scipy.fft.rfft(good.astype(np.float64)) * scipy.fft.rfft(np.fft.ifftshift(kernel)), n)
    with np.errstate(divide="ignore"):
        weights = np.where(good, 1 / density, 0.0) ** 2
    weights[~np.isfinite(weights)] = 0.0
    normal = scipy.fft.fft(weights)
    right = scipy.fft.rfft(weights * data)[vectors]
    matrix = normal[(vectors[:, None] - vectors[None, :]) % n]
    try:
        solution = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        raise NoFit("the background pixels of a window do not determine the noise") from None
    coefficients = np.zeros(filter_.size, np.complex128)
    coefficients[vectors] = n * solution * filter_[vectors]
    model: Float64 = scipy.fft.irfft(coefficients, n).reshape(ny, -1)[:, :nx]
    return model


def _band_filter(frequency: Float32, bands: tuple[int, int, int, int]) -> Float32:
    low0, low1, high0, high1 = (np.float32(band) for band in bands)
    filter_ = np.zeros(frequency.size, np.float32)
    filter_[frequency < low0] = 1
    here = (frequency >= low0) & (frequency < low1)
    filter_[here] = 0.5 * (np.cos(np.pi / (low1 - low0) * (frequency[here] - low0)) + 1)
    here = (frequency >= high0) & (frequency < high1)
    filter_[here] = 0.5 * (np.cos(np.pi / (high1 - high0) * (frequency[here] - high0) + np.pi) + 1)
    filter_[frequency >= high1] = 1
    return filter_


def _grown(plane: Bool) -> Bool:
    """The pixels of a plane and their four neighbours."""
    grown = plane.copy()
    grown[1:] |= plane[:-1]
    grown[:-1] |= plane[1:]
    grown[:, 1:] |= plane[:, :-1]
    grown[:, :-1] |= plane[:, 1:]
    return grown


def _upright(plane: Any, detector: str) -> Any:
    """A frame in detector orientation: the fast axis along rows."""
    return plane.T if detector == "NRS1" else plane.T[::-1]


def _turned_back(plane: Float32, detector: str) -> Float32:
    return np.ascontiguousarray(plane.T if detector == "NRS1" else plane[::-1].T)
