"""The scene of a time series as its median integration, scaled to the flux of each integration."""

import warnings

import numpy as np

from jwcal.core.array_types import Float32, Float64
from jwcal.core.data import Ramp, RateCube
from jwcal.core.errors import RefusedCorrection

NEEDS_EXTRACTION = ("NIS_SOSS", "NRS_BRIGHTOBJ", "NRC_TSGRISM", "NRC_TSIMAGE")


def check_median_image(exposure_type: str, *, is_time_series: bool) -> None:
    """Refuse exposures whose light curve needs spectral extraction or photometry."""
    if exposure_type in NEEDS_EXTRACTION or (exposure_type == "MIR_IMAGE" and is_time_series):
        raise RefusedCorrection(
            f"the median image of {exposure_type} exposures needs the extracted light curve, "
            "which stage 1 cannot make yet",
            remedy="set background_method to median or model",
        )


def relative_flux(rateints: RateCube) -> Float64 | None:
    """Median rate of each integration over the median of them all; None where no integration has one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        flux = np.nanmedian(rateints.data, axis=(1, 2))
        norm: Float64 = np.asarray(flux / np.nanmedian(flux), np.float64)
    bad = ~np.isfinite(norm)
    if bad.all():
        return None
    norm[bad] = np.median(norm[~bad])
    return norm


def median_integration(ramp: Ramp, group: int) -> Float32:
    """Median over the integrations of a group ``(ny, nx)``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        median: Float32 = np.nanmedian(ramp.data[:, group], axis=0)
    return median
