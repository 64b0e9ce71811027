"""The thermal picture frame of NIRSpec."""

import numpy as np

from jwcal.core.array_types import Bool, Float32
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import GainReference, PictureFrameReference, ReadnoiseReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.fitting.draft import draft_rates
from jwcal.detector1.flicker.intermediate import keep, keep_mask
from jwcal.detector1.flicker.masks import check_science_regions, scene_mask

_CENTER = (76, 1984)
_LOW_EDGE = (4, 75)
_HIGH_EDGE = (1985, 2043)


class PictureFrameParameters(StepParameters):
    """Parameters of picture_frame."""

    skip: bool = True
    """Leave this step out, which is the default."""
    mask_science_regions: bool = True
    """Leave out regions known to hold science."""
    n_sigma: float = 2.0
    """Clipping limit of what is not background; 0 for no clipping."""
    save_mask: bool = False
    """Save the mask."""
    save_correction: bool = False
    """Save the correction."""


@step(
    "picture_frame",
    params=PictureFrameParameters,
    references=(PictureFrameReference, ReadnoiseReference, GainReference),
    official="jwst.picture_frame.PictureFrameStep",
)
def subtract_picture_frame(ramp: Ramp, params: PictureFrameParameters, refs: ReferenceSet) -> Ramp:
    """Subtract the thermal pattern that brightens the edges of NIRSpec full frames against the centre.

    In every group, relative to the first, the medians of the background in the centre (c) and near the edge (e)
    scale the reference pattern with medians c0 and e0: ``(c - e) / (c0 - e0) (pattern - e0) + e`` is subtracted.
    """
    reference = refs.get(PictureFrameReference)
    if reference is None:
        raise Skip("no pictureframe reference")
    if ramp.metadata.instrument != "NIRSPEC" or str(ramp.metadata.get("subarray.name", "")).upper() != "FULL":
        raise Skip("only NIRSpec full frames have a picture frame")
    if ramp.ngroups == 1:
        raise Skip("one group is not enough")
    exposure_type = ramp.metadata.exposure_type
    if params.mask_science_regions:
        check_science_regions(exposure_type)
    gain = refs.require(GainReference, note=False).data
    draft = draft_rates(ramp, gain, refs.require(ReadnoiseReference, note=False).data)
    if draft.rate is None:
        raise Skip("there is no draft rate: every ramp is saturated", status="FAILED")
    mask = scene_mask(
        draft.rate,
        exposure_type=exposure_type,
        mask_science_regions=params.mask_science_regions,
        n_sigma=params.n_sigma,
        fit_histogram=False,
        single_mask=True,
        flat=None,
    )
    if params.save_mask:
        keep_mask(ramp, "pctfrm_mask", mask)
    center, edge = _regions(mask)
    if not center.any() or not edge.any():
        raise Skip("no background pixel in the centre or near the edge")
    original = ramp.data.copy() if params.save_correction else None
    _subtract(ramp, reference.data, center, edge)
    if original is not None:
        keep(ramp, "pctfrm_correction", ramp.data - original)
    return ramp


def _subtract(ramp: Ramp, pattern: Float32, center: Bool, edge: Bool) -> None:
    center_level, edge_level = np.nanmedian(pattern[center]), np.nanmedian(pattern[edge])
    relative = pattern - edge_level
    for integration in ramp.data:
        first = integration[0]
        for group in integration[1:]:
            above = group - first
            c, e = np.nanmedian(above[center]), np.nanmedian(above[edge])
            correction = (c - e) / (center_level - edge_level) * relative + e
            group[...] = above + (first - correction)


def _regions(mask: Bool) -> tuple[Bool, Bool]:
    """The background pixels of the centre, and those of the edge."""
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]

    def between(position: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
        return (position >= limits[0]) & (position < limits[1])

    whole = (_LOW_EDGE[0], _HIGH_EDGE[1])
    near_edge = between(y, _LOW_EDGE) | between(y, _HIGH_EDGE) | between(x, _LOW_EDGE) | between(x, _HIGH_EDGE)
    center = mask & between(y, _CENTER) & between(x, _CENTER)
    edge = mask & near_edge & between(y, whole) & between(x, whole)
    return center, edge
