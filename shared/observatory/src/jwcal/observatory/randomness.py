"""Named random streams and random fields: the same seed and names always give the same numbers."""

import zlib

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from jwcal.core.array_types import Float32


def stream(seed: int, *names: object) -> np.random.Generator:
    """A generator of its own for each seed and names."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], scale: int, rms: float) -> Float32:
    """A Gaussian random field that varies over `scale` pixels."""
    coarse = gaussian_filter(rng.standard_normal((shape[0] // scale + 4, shape[1] // scale + 4)), 1.0)
    field = zoom(coarse.astype(np.float32), scale, order=1)[: shape[0], : shape[1]]
    centred = field - field.mean()
    return np.asarray(rms * centred / max(float(centred.std()), 1e-12), np.float32)


def one_over_f(rng: np.random.Generator, samples: int, rms: float) -> NDArray[np.float64]:
    """A series of `samples` values with power falling as 1/f."""
    frequency = np.fft.rfftfreq(samples)
    amplitude = np.zeros_like(frequency)
    amplitude[1:] = 1 / np.sqrt(frequency[1:])
    spectrum = amplitude * (rng.standard_normal(frequency.size) + 1j * rng.standard_normal(frequency.size))
    series = np.fft.irfft(spectrum, samples)
    return np.asarray(rms * series / max(float(series.std()), 1e-12))
