"""Drifts of the readout electronics, from reference pixels."""

from typing import Literal

from pydantic import Field

from jwcal.core.blocks import integration_blocks
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import Irs2Reference, SirsKernelReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.core.stripes import superstripe_positions
from jwcal.detector1.reference_pixels import irs2, mid_infrared, near_infrared
from jwcal.detector1.reference_pixels.axes import FULL
from jwcal.detector1.superstripes import collate


class RefPixParameters(StepParameters):
    """Parameters of refpix."""

    odd_even_columns: bool = True
    """Treat odd and even columns apart (near infrared)."""
    use_side_ref_pixels: bool = True
    """Use the reference columns at the sides of the detector (near infrared)."""
    side_smoothing_length: int = Field(default=11, ge=1)
    """Rows of the running median of the side pixels; an even window reaches one row less above than below."""
    side_gain: float = 1.0
    """Factor on the side signal."""
    odd_even_rows: bool = True
    """Treat odd and even rows apart (MIRI)."""
    ovr_corr_mitigation_ftr: float = 3.0
    """Sigma beyond which IRS2 reference pixels are intermittently bad."""
    preserve_irs2_refpix: bool = False
    """Keep the interleaved reference pixels in the product (IRS2)."""
    irs2_mean_subtraction: bool = False
    """Apply the conventional correction before that of IRS2."""
    refpix_algorithm: Literal["median", "sirs"] = "median"
    """Side pixels: running median, or simple improved reference subtraction (full frames)."""
    sigreject: float = 4.0
    """Sigma beyond which SIRS rejects side pixels."""
    gaussmooth: float = 1.0
    """Width of the smoothing of SIRS kernels in pixels."""
    halfwidth: int = Field(default=30, ge=1)
    """Half width of SIRS kernels in pixels."""
    siglimit: float = Field(default=3.0, gt=0)
    """Sigma limit of the clipped means."""


@step(
    "refpix",
    params=RefPixParameters,
    references=(Irs2Reference, SirsKernelReference),
    official="jwst.refpix.RefPixStep",
)
def subtract_reference_pixels(ramp: Ramp, params: RefPixParameters, refs: ReferenceSet) -> Ramp:
    """Subtract what reference pixels, which see no light, measure of the drifts of bias and 1/f noise.

    Near infrared, four outputs: for each output and parity of column the sigma-clipped means of the four bottom and
    four top rows are averaged and subtracted; then, along every row, the running median of the side columns, left
    and right averaged; or with ``refpix_algorithm="sirs"`` a template of them filtered by the measured frequency
    response.  Subarrays of one output subtract the clipped means of all their reference pixels.  NIRSpec's
    SUB512, SUB512S and SUB32 have none: the outermost columns serve instead.  MIRI full frames use the left and right
    columns of each of the four interleaved outputs, relative to the first group; MIRI subarrays are skipped.
    NIRSpec's IRS2 readout has interleaved reference pixels, see `jwcal.detector1.reference_pixels.irs2`.

    Multistripe frames subtract the clipped means of the flagged reference pixels among their lines, for each output
    and parity of column.  Superstripes are then put together to frames of the whole field, see
    `jwcal.detector1.superstripes`.

    Source: Robberto 2014, JWST-STScI-003852; Rauscher et al. 2017, PASP 129, 105003 (IRS2).
    """
    ny, nx = ramp.data.shape[-2:]
    if ramp.metadata.is_irs2:
        return _correct_irs2(ramp, params, refs)
    if ramp.metadata.instrument == "MIRI":
        if (ny, nx) != (mid_infrared.ROWS, mid_infrared.COLUMNS):
            raise Skip("MIRI subarrays have no reference pixel correction")
        mid_infrared.correct_ramp(ramp, odd_even_rows=params.odd_even_rows, siglimit=params.siglimit)
        return ramp
    _check_place(ramp)
    full = "FULL" in str(ramp.metadata.get("subarray.name", ""))
    sirs = refs.get(SirsKernelReference) if params.refpix_algorithm == "sirs" and full else None
    for part in integration_blocks(ramp):
        frames, starts = ramp.data[part].reshape(-1, ny, nx), part.start == 0
        near_infrared.correct_frames(frames, ramp.pixeldq, ramp.metadata, params, sirs, starts=starts)
    if ramp.zeroframe is not None:
        unusable = ramp.zeroframe == 0
        near_infrared.correct_frames(ramp.zeroframe, ramp.pixeldq, ramp.metadata, params, sirs, starts=False)
        ramp.zeroframe[unusable] = 0
    return collate(ramp) if superstripe_positions(ramp.metadata) else ramp


def _correct_irs2(ramp: Ramp, params: RefPixParameters, refs: ReferenceSet) -> Ramp:
    irs2.check(ramp)
    irs2.flag_bad_references(ramp, params.ovr_corr_mitigation_ftr)
    if params.irs2_mean_subtraction:
        irs2.subtract_mean_references(ramp, odd_even_columns=params.odd_even_columns, siglimit=params.siglimit)
    irs2.replace_bad_references(ramp)
    reference = refs.get(Irs2Reference)
    if reference is None:
        raise Skip("there is no refpix reference for IRS2")
    irs2.correct_ramp(ramp, reference, keep_reference_pixels=params.preserve_irs2_refpix)
    return ramp


def _check_place(ramp: Ramp) -> None:
    """Skip frames that do not lie on the detector."""
    if ramp.metadata.get("subarray.multistripe_reads1") is not None:
        return
    for name, size in zip("xy", (ramp.data.shape[-1], ramp.data.shape[-2]), strict=True):
        start = int(ramp.metadata.require(f"subarray.{name}start")) - 1
        if start < 0 or start + size > FULL:
            raise Skip("the subarray does not fit on the detector")
