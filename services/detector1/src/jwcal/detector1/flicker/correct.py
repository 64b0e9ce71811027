"""Removal of 1/f noise from the groups of a ramp."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jwcal.core import dqflags
from jwcal.core.array_types import Bool, Float32, UInt8
from jwcal.core.data import Ramp, RateCube
from jwcal.detector1.flicker import fourier
from jwcal.detector1.flicker.background import clip, level, subtract_median
from jwcal.detector1.flicker.median_image import median_integration, relative_flux
from jwcal.detector1.flicker.stripes import median_axis, subtract_stripes

Method = Literal["fft", "median"]
BackgroundMethod = Literal["median", "model", "median_image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    """How one image is cleaned."""

    method: Method
    background: BackgroundMethod | None
    box_size: Sequence[int] | None
    n_sigma: float
    by_channel: bool
    axis: int
    detector: str
    bands: tuple[int, int, int, int]
    flat: Float32 | None

    @classmethod
    def of(
        cls,
        ramp: Ramp,
        *,
        method: Method,
        background: BackgroundMethod | None,
        box_size: Sequence[int] | None,
        n_sigma: float,
        by_channel: bool,
        flat: Float32 | None,
    ) -> "Cleaner":
        """A cleaner for the frames of an exposure."""
        subarray = str(ramp.metadata.get("subarray.name", "")).upper()
        return cls(
            method=method,
            background=background,
            box_size=box_size,
            n_sigma=n_sigma,
            by_channel=by_channel and subarray == "FULL" and ramp.metadata.instrument != "MIRI",
            axis=median_axis(ramp.metadata),
            detector=ramp.metadata.detector,
            bands=fourier.ALLSLITS_BANDS if subarray == "ALLSLITS" else fourier.BANDS,
            flat=flat,
        )

    def clean(self, image: Float32, mask: Bool) -> tuple[Any, Any] | None:
        """The image without noise, and its background; None where `mask` leaves no pixel.  Consumes both."""
        if self.flat is not None:
            image /= self.flat
        nan = np.isnan(image)
        any_nan = bool(nan.any())
        if any_nan:
            image[nan] = 0
            mask[nan] = False
        if not mask.any():
            return None
        image, background = self._subtract_background(image, mask)
        if self.method == "fft" and image.shape == (fourier.FULL, fourier.FULL):
            image = fourier.clean_full_frame(image, mask, self.detector)
        elif self.method == "fft":
            image = fourier.clean_subarray(image, mask, self.detector, bands=self.bands)
        else:
            subtract_stripes(image, mask, self.axis, by_channel=self.by_channel)
        image += background
        if self.flat is not None:
            image *= self.flat
        if any_nan:
            image[nan] = np.nan
        return image, background

    def _subtract_background(self, image: Float32, mask: Bool) -> tuple[Any, Any]:
        if self.background is None:
            return image, np.float32(0)
        if self.background == "median":
            return image, subtract_median(image, mask, self.n_sigma)
        smooth = level(image, mask, model=True, box_size=self.box_size)
        image = image - smooth
        if self.n_sigma > 0:
            clip(image, mask, sigma_lower=self.n_sigma, sigma_upper=self.n_sigma, lower_half_only=True)
        return image, smooth


def clean_differences(ramp: Ramp, mask: Bool, cleaner: Cleaner, background: Float32 | None) -> None:
    """Clean the difference of every group to the one before, and add them up again, in place.

    `mask` is ``(ny, nx)`` or ``(nints, ny, nx)``; pixels with DO_NOT_USE or JUMP_DET in the later group are left out.
    The backgrounds go to `background`, shaped as the ramp, if given.
    """
    for i, integration in enumerate(ramp.data):
        before = integration[0].copy()
        for g in range(1, ramp.ngroups):
            image = integration[g] - before
            before = integration[g].copy()
            usable = (mask[i] if mask.ndim == 3 else mask) & ~_flagged(ramp.groupdq[i, g])
            cleaned = cleaner.clean(image, usable)
            if cleaned is None:
                continue
            np.add(integration[g - 1], cleaned[0], out=integration[g])
            if background is not None:
                background[i, g] = cleaned[1]


def clean_residuals(ramp: Ramp, mask: Bool, cleaner: Cleaner, rateints: RateCube, background: Float32 | None) -> bool:
    """Clean what every group leaves over the scaled median integration, in place; False where it cannot be scaled."""
    norm = relative_flux(rateints)
    if norm is None:
        return False
    for g in range(ramp.ngroups):
        median = median_integration(ramp, g)
        for i, integration in enumerate(ramp.data):
            scene = (norm[i] * median).astype(np.float32)
            usable = (mask[i] if mask.ndim == 3 else mask).copy()
            cleaned = cleaner.clean(integration[g] - scene, usable)
            if cleaned is None:
                continue
            integration[g] = scene + cleaned[0]
            if background is not None:
                background[i, g] = scene
    return True


def _flagged(groupdq: UInt8) -> Bool:
    flagged: Bool = (groupdq & np.uint8(dqflags.DO_NOT_USE | dqflags.JUMP_DET)) != 0
    return flagged
