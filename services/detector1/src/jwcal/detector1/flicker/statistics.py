"""Robust statistics of sorted values: clipping moves the ends of a slice."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

Sorted = NDArray[np.floating[Any]]

CLIP = 3.0
_ITERATIONS = 5
_BINS = 2000


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean, median and standard deviation after clipping."""

    mean: float
    median: float
    sigma: float


def median_of(values: Sorted) -> float:
    """Median of sorted values; NaN for none."""
    n = values.size
    return float("nan") if n == 0 else 0.5 * (float(values[(n - 1) // 2]) + float(values[n // 2]))


def clipped_moments(values: Sorted, limit: float = CLIP) -> Moments:
    """Moments after at most five rounds of clipping at `limit` sigma about the median."""
    for _ in range(_ITERATIONS):
        reach = limit * float(np.std(values, dtype=np.float64)) if values.size else 0.0
        middle = median_of(values)
        kept = between(values, middle - reach, middle + reach)
        if kept.size == values.size:
            break
        values = kept
    if values.size == 0:
        return Moments(float("nan"), float("nan"), float("nan"))
    return Moments(float(np.mean(values, dtype=np.float64)), median_of(values), float(np.std(values, dtype=np.float64)))


def between(values: Sorted, low: float, high: float) -> Sorted:
    """The slice of sorted values from `low` to `high`, both included."""
    first = int(np.searchsorted(values, _as(values, low), side="left"))
    # a limit between two single-precision numbers must not be rounded over one of them
    while first < values.size and float(values[first]) < low:
        first += 1
    while first > 0 and float(values[first - 1]) >= low:
        first -= 1
    last = int(np.searchsorted(values, _as(values, high), side="right"))
    while last > 0 and float(values[last - 1]) > high:
        last -= 1
    while last < values.size and float(values[last]) <= high:
        last += 1
    return values[first : max(first, last)]


def background_limits(
    values: Sorted,
    sigma_lower: float,
    sigma_upper: float,
    *,
    fit_histogram: bool = False,
    lower_half_only: bool = False,
) -> tuple[float, float]:
    """Range of the background among sorted values.

    Centre and width come from clipped values, from their lower half mirrored about the centre (sources are brighter
    than the background), or from a Gaussian fitted to the histogram.
    """
    moments = clipped_moments(values)
    center = moments.mean if fit_histogram else moments.median
    sample = values
    if lower_half_only:
        lower = between(values, -np.inf, center).astype(np.float64)
        sample = np.concatenate((lower, ((center - lower) + center)[::-1]))
        moments = clipped_moments(sample)
        center = moments.mean if fit_histogram else moments.median
    sigma = moments.sigma
    if fit_histogram:
        center, sigma = _fit_gaussian(sample, center, sigma)
    return center - sigma_lower * sigma, center + sigma_upper * sigma


def _fit_gaussian(values: Sorted, center: float, sigma: float) -> tuple[float, float]:
    """Centre and width of the Gaussian through the histogram; the given ones where it cannot be fitted."""
    if not np.isfinite(center) or not np.isfinite(sigma):
        return center, sigma
    counts, edges = np.histogram(
        values.astype(np.float64), bins=_BINS, range=(center - 4.0 * sigma, center + 4.0 * sigma)
    )
    at = (edges[1:] + edges[:-1]) / 2.0
    peak = int(np.argmax(counts))

    def gaussian(x: Any, amplitude: float, mean: float, width: float) -> Any:
        return amplitude * np.exp(-0.5 * ((x - mean) / width) ** 2)

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


def _as(values: Sorted, limit: float) -> Any:
    return values.dtype.type(limit)
