"""1/f noise between reads."""

from typing import Any, Literal

import numpy as np
from pydantic import Field

from jwcal.core.array_types import Bool
from jwcal.core.data import Ramp, RateCube, RateImage
from jwcal.core.errors import InvalidParameter
from jwcal.core.products.read import read_plane
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import FlatReference, GainReference, ReadnoiseReference
from jwcal.core.step import ReadFile, Skip, StepParameters, step
from jwcal.detector1.fitting.draft import draft_rates
from jwcal.detector1.flicker import autoparam, fourier
from jwcal.detector1.flicker.background import fill_flat
from jwcal.detector1.flicker.correct import Cleaner, clean_differences, clean_residuals
from jwcal.detector1.flicker.intermediate import keep, keep_mask
from jwcal.detector1.flicker.masks import NIRSPEC_SPECTRA, check_science_regions, scene_mask
from jwcal.detector1.flicker.median_image import check_median_image


class CleanFlickerNoiseParameters(StepParameters):
    """Parameters of clean_flicker_noise."""

    skip: bool = True
    """Leave this step out, which is the default."""
    autoparam: bool = False
    """Choose background_method, fit_by_channel and apply_flat_field from the exposure (NIRCam, NIRISS imaging)."""
    fit_method: Literal["fft", "median"] = "median"
    """Medians along the fast readout, or Fourier components (NIRSpec)."""
    fit_by_channel: bool = False
    """Fit every output on its own (near-infrared full frames)."""
    background_method: Literal["median", "model", "median_image"] | None = "median"
    """Background that is kept: a level, a smooth model, the median integration of a time series, or none."""
    background_box_size: tuple[int, int] | None = None
    """Boxes of the model in pixels; None takes the largest up to 32 that divide the frame."""
    mask_science_regions: bool = False
    """Leave out regions known to hold science."""
    apply_flat_field: bool = False
    """Divide by the flat field before the fit."""
    n_sigma: float = Field(default=2.0)
    """Clipping limit of what is not background; 0 for no clipping."""
    fit_histogram: bool = False
    """Take centre and width of the background from a Gaussian fitted to the histogram."""
    single_mask: bool = True
    """One mask for all integrations."""
    user_mask: ReadFile | None = None
    """FITS file with a mask, 1 for background."""
    save_mask: bool = False
    """Save the mask."""
    save_background: bool = False
    """Save the background."""
    save_noise: bool = False
    """Save the noise that was taken out."""


@step(
    "clean_flicker_noise",
    params=CleanFlickerNoiseParameters,
    references=(FlatReference, ReadnoiseReference, GainReference),
    official="jwst.clean_flicker_noise.CleanFlickerNoiseStep",
)
def clean_flicker_noise(ramp: Ramp, params: CleanFlickerNoiseParameters, refs: ReferenceSet) -> Ramp:
    """Subtract 1/f noise, measured on background pixels, from the difference of every two groups.

    A draft rate image gives the mask of the background.  In each difference the background is subtracted, the noise
    fitted to the pixels left, by medians along lines of the fast readout (`fit_method` median, after
    C. Willott's image1overf) or by a few Fourier components (fft; Rauscher 2024, PASP 136, 015001), and the background
    added again.  The cleaned differences add up to the new ramp.

    Status is FAILED where the exposure does not qualify.  Science regions that need a spectral WCS, and the median
    image of time series that need extraction, are refused.
    """
    exposure_type = ramp.metadata.exposure_type
    is_time_series = bool(ramp.metadata.get("visit.tsovisit", False))
    _check_type(exposure_type, params.fit_method)
    if params.mask_science_regions:
        check_science_regions(exposure_type)
    if params.background_method == "median_image":
        check_median_image(exposure_type, is_time_series=is_time_series)
        if ramp.nints < 2:
            raise Skip("a median image needs two integrations", status="FAILED")
    user_mask = params.user_mask if params.user_mask and params.user_mask.lower() != "none" else None
    single_mask = params.single_mask and params.background_method != "median_image"

    gain = refs.require(GainReference, note=False).data
    read_noise = refs.require(ReadnoiseReference, note=False).data
    needs_rates = user_mask is None or params.background_method == "median_image" or params.autoparam
    draft = draft_rates(ramp, gain, read_noise) if needs_rates else None
    if draft is not None and (draft.rate is None or draft.rateints is None):
        raise Skip("there is no draft rate: every ramp is saturated", status="FAILED")
    if params.autoparam and exposure_type in autoparam.SUPPORTED and draft is not None and draft.rate is not None:
        flat = refs.get(FlatReference)
        chosen = autoparam.choose(draft.rate.data, None if flat is None else fill_flat(flat.data), ramp.metadata)
        params = params.model_copy(update=chosen)

    reference = refs.get(FlatReference) if params.apply_flat_field else None
    flat_data = None if reference is None else fill_flat(reference.data)
    rate: Any = None if draft is None else (draft.rate if single_mask else draft.rateints)
    if rate is not None and flat_data is not None:
        rate.data /= flat_data
    if user_mask is not None:
        mask = _user_mask(user_mask, ramp)
    else:
        needs_flags = params.mask_science_regions and exposure_type == "MIR_IMAGE"
        mask = scene_mask(
            rate,
            exposure_type=exposure_type,
            mask_science_regions=params.mask_science_regions,
            n_sigma=params.n_sigma,
            fit_histogram=params.fit_histogram,
            single_mask=single_mask,
            flat=refs.get(FlatReference, note=False) if needs_flags else None,
        )
    if params.save_mask:
        keep_mask(ramp, "mask", mask, of_draft=user_mask is None or params.background_method == "median_image")
    cleaner = Cleaner.of(
        ramp,
        method=params.fit_method,
        background=None if params.background_method == "median_image" else params.background_method,
        box_size=params.background_box_size,
        n_sigma=params.n_sigma,
        by_channel=params.fit_by_channel,
        flat=flat_data,
    )
    _correct(ramp, mask, cleaner, params, rate)
    return ramp


def _correct(
    ramp: Ramp, mask: Bool, cleaner: Cleaner, params: CleanFlickerNoiseParameters, rate: RateImage | RateCube | None
) -> None:
    """Clean the ramp, and keep what was asked for; a fit that fails leaves the ramp as it was."""
    background = np.zeros_like(ramp.data) if params.save_background else None
    original = ramp.data.copy() if params.save_noise or params.fit_method == "fft" else None
    try:
        if params.background_method == "median_image" and isinstance(rate, RateCube):
            if not clean_residuals(ramp, mask, cleaner, rate, background):
                raise Skip("no integration has a flux to scale the median image by", status="FAILED")
        else:
            clean_differences(ramp, mask, cleaner, background)
    except fourier.NoFit as error:
        if original is not None:
            ramp.data[...] = original
        raise Skip(str(error), status="FAILED") from None
    if background is not None:
        keep(ramp, "flicker_bkg", background)
    if params.save_noise and original is not None:
        keep(ramp, "flicker_noise", ramp.data - original)


def _check_type(exposure_type: str, method: str) -> None:
    if exposure_type.startswith("MIR") and exposure_type != "MIR_IMAGE":
        raise Skip(f"EXP_TYPE {exposure_type} is not supported", status="FAILED")
    if method == "fft" and exposure_type not in NIRSPEC_SPECTRA:
        raise Skip(f"fit_method fft is not for EXP_TYPE {exposure_type}", status="FAILED")


def _user_mask(path: str, ramp: Ramp) -> Bool:
    mask: Bool = read_plane(path).astype(bool)
    shape = ramp.data.shape
    if mask.shape not in (shape[-2:], (shape[0], *shape[-2:])):
        raise InvalidParameter(
            f"clean_flicker_noise.user_mask has shape {mask.shape}",
            file=path,
            remedy=f"give a mask of shape {shape[-2:]}",
        )
    return mask
