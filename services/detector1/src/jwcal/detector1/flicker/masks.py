"""Which pixels of an exposure show background only."""

import numpy as np

from jwcal.core import dqflags
from jwcal.core.array_types import Bool, UInt32
from jwcal.core.data import RateCube, RateImage
from jwcal.core.errors import RefusedCorrection
from jwcal.core.references.types import FlatReference
from jwcal.detector1.flicker.background import clip

NIRSPEC_SPECTRA = ("NRS_IFU", "NRS_MSASPEC", "NRS_FIXEDSLIT", "NRS_BRIGHTOBJ")
_UNUSABLE = np.uint32(dqflags.DO_NOT_USE | dqflags.NON_SCIENCE)


def check_science_regions(exposure_type: str) -> None:
    """Refuse exposures whose science regions can only be found from a spectral WCS."""
    if exposure_type in NIRSPEC_SPECTRA or exposure_type == "NIS_SOSS":
        raise RefusedCorrection(
            f"the science regions of {exposure_type} exposures need a spectral WCS, which is not available yet",
            remedy="set mask_science_regions to false, or give a user_mask",
        )


def scene_mask(
    rate: RateImage | RateCube,
    *,
    exposure_type: str,
    mask_science_regions: bool,
    n_sigma: float,
    fit_histogram: bool,
    single_mask: bool,
    flat: FlatReference | None,
) -> Bool:
    """True where a rate image ``(ny, nx)``, or each of a cube ``(nints, ny, nx)``, shows background.

    Left out are pixels without a value, those that stand out from the background (3 sigma below, `n_sigma` above)
    and, with `mask_science_regions`, for MIRI imaging what the exposure and the flat field flag as no science.
    """
    mask = np.ones(rate.dq.shape, bool)
    if mask_science_regions and exposure_type.startswith("NRS"):
        mask[(rate.dq & np.uint32(dqflags.MSA_FAILED_OPEN)) != 0] = False
    if mask_science_regions and exposure_type == "MIR_IMAGE":
        dq = rate.dq if flat is None else rate.dq | flat_flags(flat)
        mask[(dq & _UNUSABLE) != 0] = False
    mask[np.isnan(rate.data) | (rate.data == 0)] = False
    if n_sigma > 0:
        planes = zip(rate.data, mask, strict=True) if mask.ndim == 3 else [(rate.data, mask)]
        for image, plane in planes:
            clip(image, plane, sigma_upper=n_sigma, fit_histogram=fit_histogram)
    return np.logical_and.reduce(mask) if single_mask and mask.ndim == 3 else mask


def flat_flags(flat: FlatReference) -> UInt32:
    """DQ of a flat field with its unusable values flagged DO_NOT_USE and NO_FLAT_FIELD."""
    flags = flat.dq.copy()
    no_flat = np.uint32(dqflags.NO_FLAT_FIELD | dqflags.DO_NOT_USE)
    flags[np.isnan(flat.data) | (flat.data == 0)] |= no_flat
    flags[(flags & np.uint32(dqflags.NO_FLAT_FIELD)) != 0] |= np.uint32(dqflags.DO_NOT_USE)
    return flags
