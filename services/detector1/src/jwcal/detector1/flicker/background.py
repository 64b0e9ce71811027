"""The background of an image and the pixels that show it."""

import warnings
from collections.abc import Sequence

import numpy as np

from jwcal.core.array_types import Bool, Float32
from jwcal.detector1.flicker.sample import Image, Sample
from jwcal.detector1.flicker.statistics import CLIP, background_limits
from jwcal.detector1.kernels.buckets import narrow, subtract_and_narrow

_LARGEST_BOX = 32


def clip(
    image: Image,
    mask: Bool,
    *,
    sigma_lower: float = CLIP,
    sigma_upper: float = 2.0,
    fit_histogram: bool = False,
    lower_half_only: bool = False,
) -> None:
    """Take the pixels outside the range of the background out of `mask` in place."""
    if not mask.any():
        return
    low, high = background_limits(
        Sample(image, mask).whole(),
        sigma_lower,
        sigma_upper,
        fit_histogram=fit_histogram,
        lower_half_only=lower_half_only,
    )
    narrow(image, mask, low, high)


def level(image: Image, mask: Bool, *, model: bool, box_size: Sequence[int] | None = None) -> Image | np.floating:
    """Background as a median, or as a smooth model; clips `mask` to it in place."""
    from astropy.stats import SigmaClip
    from photutils.background import Background2D, MedianBackground

    clip(image, mask, sigma_upper=CLIP, lower_half_only=True)
    if model:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                smooth: Image = Background2D(
                    image,
                    box_size=list(box_size) if box_size else [_box(size) for size in image.shape],
                    filter_size=(5, 5),
                    mask=~mask,
                    sigma_clip=SigmaClip(sigma=CLIP, maxiters=5),
                    bkg_estimator=MedianBackground(),
                ).background
        except ValueError:
            pass  # no box has enough pixels: the median serves
        else:
            return smooth
    middle: np.floating = image.dtype.type(Sample(image, mask).whole().median)
    return middle


def subtract_median(image: Float32, mask: Bool, n_sigma: float) -> np.float32:
    """Subtract the median background in place and clip `mask` to it, at `n_sigma` on either side if positive.

    The same as `level`, subtraction and `clip` one after the other, with one look at the pixels less.
    """
    values = Sample(image, mask).whole()
    low, high = background_limits(values, CLIP, CLIP, lower_half_only=True)
    background = np.float32(values.between(low, high).median)
    subtract_and_narrow(image, mask, background, low, high)
    if n_sigma > 0:
        clip(image, mask, sigma_lower=n_sigma, sigma_upper=n_sigma, lower_half_only=True)
    return background


def fill_flat(flat: Float32) -> Float32:
    """A flat field without zeros and NaN: they take the smooth background of the rest."""
    bad = (flat == 0) | ~np.isfinite(flat)
    if not bad.any():
        return flat
    filled = flat.copy()
    smooth = level(flat, ~bad, model=True)
    filled[bad] = smooth if np.ndim(smooth) == 0 else np.asarray(smooth)[bad]
    return filled


def _box(size: int) -> int:
    """Largest box of up to 32 pixels that divides `size`."""
    return max(box for box in range(1, _LARGEST_BOX + 1) if size % box == 0)
