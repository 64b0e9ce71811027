"""Choice of parameters from the exposure itself, for NIRISS and NIRCam imaging."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from jwcal.core.array_types import Bool, Float32, Float64
from jwcal.core.metadata import Metadata
from jwcal.detector1.flicker.background import clip, level
from jwcal.detector1.flicker.stripes import subtract_stripes

_CHANNEL = 512
_FULL = 2048


@dataclass(frozen=True, slots=True)
class _Limits:
    """Where the scene counts as crowded, uneven, sloping."""

    mask_fraction: float
    slope_with_high_offset: float
    slope_ratio: float
    offset: float = 0.07
    slope_with_low_offset: float = 1e-5
    channel_sigma: float = 0.02


_LIMITS = {
    "NIS_IMAGE": _Limits(mask_fraction=0.07, slope_with_high_offset=1e-4, slope_ratio=5.0),
    "NRC_IMAGE": _Limits(mask_fraction=0.1, slope_with_high_offset=1e-5, slope_ratio=3.0),
}
SUPPORTED = tuple(_LIMITS)


def choose(rate: Float32, flat: Float32 | None, metadata: Metadata) -> dict[str, Any]:
    """Background method, fit by channel and use of the flat for a draft rate image ``(ny, nx)`` DN/s."""
    kind = metadata.exposure_type
    image, mask = _quick_clean(rate, flat, abs(int(metadata.require("subarray.slowaxis"))) - 1)
    smooth = level(image, mask, model=True)
    image[~mask] = smooth if np.ndim(smooth) == 0 else np.asarray(smooth)[~mask]

    along_x, along_y = _row_average(image, 3 / 8, 5 / 8), _column_average(image, 3 / 8, 5 / 8)
    slope_x, sigma_x = _line(along_x)
    slope_y, _ = _line(along_y)
    steep, gentle = max(abs(slope_x), abs(slope_y)), min(abs(slope_x), abs(slope_y))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.float64(steep) / np.float64(gentle))
    if kind == "NIS_IMAGE":
        offset = _channel_offset(along_y)
        sigma = _line(_row_average(image, 10 / 12, 11 / 12))[1]
    else:
        offset = _channel_offset(along_x)
        sigma = sigma_x
    method, by_channel = _decide(_LIMITS[kind], float(np.mean(~mask)), offset, steep, ratio, sigma)
    return {"apply_flat_field": flat is not None, "background_method": method, "fit_by_channel": by_channel}


def _decide(
    limits: _Limits, fraction: float, offset: float, slope: float, ratio: float, sigma: float
) -> tuple[str, bool]:
    """Background method and fit by channel."""
    crowded = fraction >= limits.mask_fraction
    uneven = offset >= limits.offset
    sloping = slope >= limits.slope_with_low_offset
    steep = slope >= limits.slope_with_high_offset
    if not crowded and uneven:
        return "median", True
    if crowded:
        return ("model" if (steep if uneven else sloping) else "median"), False
    model = steep or (sloping and not ratio >= limits.slope_ratio)
    return ("model" if model else "median"), offset > 0 and sigma >= limits.channel_sigma


def _quick_clean(rate: Float32, flat: Float32 | None, axis: int) -> tuple[Float32, Bool]:
    """The rate without stripes, and the mask of its background."""
    image = rate.copy() if flat is None else rate / flat
    mask = np.ones(image.shape, bool)
    clip(image, mask)
    nan = np.isnan(image)
    image[nan] = 0
    mask[nan] = False
    background = level(image, mask, model=False)
    image -= background
    clip(image, mask, lower_half_only=True)
    subtract_stripes(image, mask, axis)
    image += background
    image[nan] = np.nan
    return image, mask


def _row_average(image: Float32, start: float, stop: float) -> Float64:
    ny = image.shape[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        average: Float64 = np.nanmean(image[round(start * ny) : round(stop * ny)], axis=0)
    return average


def _column_average(image: Float32, start: float, stop: float) -> Float64:
    return _row_average(image.T, start, stop)


def _line(values: Float64) -> tuple[float, float]:
    """Slope of the straight line through the values, and the scatter about it."""
    from astropy.stats import sigma_clipped_stats

    good = np.isfinite(values)
    x = np.arange(values.size)[good]
    fit = np.polynomial.Polynomial.fit(x, values[good], deg=1)
    coefficients = fit.convert().coef
    _, _, sigma = sigma_clipped_stats(values[good] - fit(x), sigma=10.0)
    return (float(coefficients[1]) if len(coefficients) > 1 else 0.0), float(sigma)


def _channel_offset(values: Float64) -> float:
    """Largest step of the mean level between neighbouring outputs of a full frame."""
    from astropy.stats import sigma_clipped_stats

    if values.size != _FULL:
        return 0.0
    means = [sigma_clipped_stats(values[at : at + _CHANNEL], sigma=3.0)[0] for at in range(0, _FULL, _CHANNEL)]
    return float(np.max(np.abs(np.diff(means))))
