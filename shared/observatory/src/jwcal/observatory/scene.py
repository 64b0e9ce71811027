"""What the telescope looks at: stars, galaxies, spectra, and a sky."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from jwcal.core.array_types import Float32
from jwcal.observatory.mode import Mode
from jwcal.observatory.randomness import one_over_f

_WING_FRACTION, _WING_WIDTH = 0.15, 3.2
"""Share of a star's light in the wing, and the wing's width over the core's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Light on the detector."""

    image: Float32
    """e-/s before the flat field ``(ny, nx)``."""
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    """0-based positions of the stars."""
    flux: NDArray[np.float64]
    """e-/s of each star."""
    light_curve: NDArray[np.float64]
    """Factor on the whole image by integration."""


def make_scene(
    mode: Mode, rng: np.random.Generator, nints: int, exposure_time: float, *, shift: tuple[float, float] = (0.0, 0.0)
) -> Scene:
    """A scene for a mode whose integrations last `exposure_time` s; `shift` moves stars and galaxies (x, y, pixels)."""
    ny, nx = mode.shape
    image = np.full(mode.shape, mode.sky)
    sigma = mode.fwhm / 2.3548
    full_well = mode.detector.well * mode.detector.gain
    x, y = rng.uniform(2, nx - 3, mode.stars), rng.uniform(2, ny - 3, mode.stars)
    peak_share = 0.8 * (1 - _WING_FRACTION) / (2 * np.pi * sigma**2)
    brightest = 0.7 * full_well / exposure_time / peak_share
    flux = brightest * 10 ** (-3.5 * rng.random(mode.stars) ** 0.6)
    if mode.stars == 1 or (mode.is_guider and not mode.is_full):
        flux[0], x[0], y[0] = 0.5 * brightest, 0.5 * nx + 0.2, 0.5 * ny - 0.3
    for star in range(min(mode.saturating, mode.stars)):
        flux[star] = brightest * 2.0 * 2.5**star if star < 5 else brightest * rng.uniform(2, 20)
        x[star], y[star] = rng.uniform(0.15, 0.85) * nx, rng.uniform(0.15, 0.85) * ny
    x, y = x + shift[0], y + shift[1]
    for xs, ys, strength in zip(x, y, flux, strict=True):
        _add_star(image, float(xs), float(ys), float(strength), sigma)
    for _ in range(mode.galaxies):
        xg, yg = rng.uniform(0, nx) + shift[0], rng.uniform(0, ny) + shift[1]
        _add_galaxy(image, rng, xg, yg, brightest * rng.uniform(0.05, 1.5), sigma)
    if mode.traces:
        _add_traces(image, rng, mode, full_well / exposure_time)
    curve = _transit(nints) if mode.tso else np.ones(nints)
    return Scene(image=image.astype(np.float32), x=x, y=y, flux=flux, light_curve=curve)


def _integrals(centre: float, start: int, count: int, sigma: float) -> NDArray[np.float64]:
    """Share of a Gaussian in each of `count` pixels from `start`."""
    edges = (start + np.arange(count + 1) - 0.5 - centre) / (np.sqrt(2) * sigma)
    return np.asarray(0.5 * np.diff(erf(edges)))


def _paste(image: NDArray[np.float64], stamp: NDArray[np.float64], x0: int, y0: int) -> None:
    ya, yb = max(y0, 0), min(y0 + stamp.shape[0], image.shape[0])
    xa, xb = max(x0, 0), min(x0 + stamp.shape[1], image.shape[1])
    if ya < yb and xa < xb:
        image[ya:yb, xa:xb] += stamp[ya - y0 : yb - y0, xa - x0 : xb - x0]


def _add_star(image: NDArray[np.float64], x: float, y: float, flux: float, sigma: float) -> None:
    wide = _WING_WIDTH * sigma
    half = int(np.ceil(5 * wide))
    x0, y0, count = round(x) - half, round(y) - half, 2 * half + 1
    stamp = np.zeros((count, count))
    for share, width in ((1 - _WING_FRACTION, sigma), (_WING_FRACTION, wide)):
        stamp += share * np.outer(_integrals(y, y0, count, width), _integrals(x, x0, count, width))
    _paste(image, flux * stamp, x0, y0)


def _add_galaxy(
    image: NDArray[np.float64], rng: np.random.Generator, x: float, y: float, flux: float, sigma: float
) -> None:
    """Three nested elliptical Gaussians widened by the star's core."""
    size, ratio, angle = rng.uniform(1.5, 7.0), rng.uniform(0.35, 1.0), rng.uniform(0, np.pi)
    half = int(np.ceil(8 * size + 4 * sigma))
    x0, y0, count = round(x) - half, round(y) - half, 2 * half + 1
    dx = (x0 + np.arange(count) - x)[None, :]
    dy = (y0 + np.arange(count) - y)[:, None]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    stamp = np.zeros((count, count))
    for share, scale in ((0.25, 0.4), (0.45, 0.9), (0.30, 1.6)):
        a2, b2 = (scale * size) ** 2 + sigma**2, (scale * size * ratio) ** 2 + sigma**2
        stamp += share * np.exp(-0.5 * (along**2 / a2 + across**2 / b2)) / (2 * np.pi * np.sqrt(a2 * b2))
    _paste(image, flux * stamp, x0, y0)


def _add_traces(image: NDArray[np.float64], rng: np.random.Generator, mode: Mode, limit: float) -> None:
    """Slightly curved spectra along the dispersion: x for NIRSpec, y for MIRI; `limit` e-/s would fill the well."""
    plane = image.T if mode.instrument == "MIRI" else image
    ny, nx = plane.shape
    along = np.arange(nx)
    for centre in (np.arange(mode.traces) + 0.5) * ny / mode.traces:
        sag = 0.004 * ny * ((along / nx - 0.5) ** 2 - 1 / 12)
        spectrum = 0.1 * limit * 10 ** rng.uniform(-2.5, 0) * np.exp(0.3 * one_over_f(rng, nx, 1.0))
        for line in rng.integers(0, nx, 4):
            spectrum += 0.3 * limit * rng.random() * np.exp(-0.5 * ((along - line) / 1.5) ** 2)
        rows = np.arange(max(0, int(centre) - 8), min(ny, int(centre) + 9))
        profile = np.exp(-0.5 * ((rows[:, None] - centre - sag[None, :]) / 1.6) ** 2)
        plane[rows] += profile * spectrum[None, :]


def _transit(nints: int) -> NDArray[np.float64]:
    """A transit of 1 % over the middle half."""
    phase = np.abs(np.linspace(-1, 1, nints))
    return np.asarray(1 - 0.01 * np.clip((0.5 - phase) / 0.1, 0, 1))
