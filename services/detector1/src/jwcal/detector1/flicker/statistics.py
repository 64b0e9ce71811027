"""The range of the background among the values of an image."""

from typing import Any

import numpy as np

from jwcal.core.array_types import Float64
from jwcal.detector1.flicker.sample import Part

CLIP = 3.0
_ITERATIONS = 5
_BINS = 2000


def clipped(values: Part, limit: float = CLIP) -> Part:
    """What is left after at most five rounds of clipping at `limit` sigma about the median."""
    for _ in range(_ITERATIONS):
        reach = limit * values.sigma if values.size else 0.0
        middle = values.median
        kept = values.between(middle - reach, middle + reach)
        if kept.size == values.size:
            break
        values = kept
    return values


def background_limits(
    values: Part,
    sigma_lower: float,
    sigma_upper: float,
    *,
    fit_histogram: bool = False,
    lower_half_only: bool = False,
) -> tuple[float, float]:
    """Range of the background among the values.

    Centre and width come from clipped values, from their lower half mirrored about the centre (sources are brighter
    than the background), or from a Gaussian fitted to the histogram.
    """
    core = clipped(values)
    center = core.mean if fit_histogram else core.median
    sigma = core.sigma
    half = None
    if lower_half_only:
        half = values.between(-np.inf, center)
        sigma = _mirrored_sigma(half, center)
    if fit_histogram:
        sample = values.values()
        if half is not None:
            sample = half.values()
            sample = np.concatenate((sample, 2 * center - sample))
        center, sigma = _fit_gaussian(sample, center, sigma)
    return center - sigma_lower * sigma, center + sigma_upper * sigma


def _mirrored_sigma(half: Part, center: float) -> float:
    """Clipped width of the values below `center` together with their mirror images above it."""
    for _ in range(_ITERATIONS):
        reach = CLIP * half.spread_about(center) if half.size else 0.0
        kept = half.between(center - reach, np.inf)
        if kept.size == half.size:
            break
        half = kept
    return half.spread_about(center)


def _fit_gaussian(values: Float64, center: float, sigma: float) -> tuple[float, float]:
    """Centre and width of the Gaussian through the histogram; the given ones where it cannot be fitted."""
    if not np.isfinite(center) or not np.isfinite(sigma):
        return center, sigma
    counts, edges = np.histogram(values, bins=_BINS, range=(center - 4.0 * sigma, center + 4.0 * sigma))
    at = (edges[1:] + edges[:-1]) / 2.0
    peak = int(np.argmax(counts))

    def gaussian(x: Any, amplitude: float, mean: float, width: float) -> Any:
        return amplitude * np.exp(-0.5 * ((x - mean) / width) ** 2)

    from scipy.optimize import curve_fit

    try:
        best, _ = curve_fit(
            gaussian,
            at,
            counts,
            p0=(counts[peak], at[peak], sigma),
            bounds=[(0, at[0], 0), (np.inf, at[-1], at[-1] - at[0])],
        )
    except RuntimeError:
        return center, sigma
    return float(best[1]), float(best[2])
