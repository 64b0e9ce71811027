"""Detector non-linearity."""

import numpy as np

from jwcal.core.array_types import Bool, Float32, UInt32
from jwcal.core.blocks import integration_blocks
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import LinearityReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.kernels import linearity as kernels
from jwcal.detector1.superstripes import check_collated


class LinearityParameters(StepParameters):
    """linearity has no parameters of its own."""


@step(
    "linearity", params=LinearityParameters, references=(LinearityReference,), official="jwst.linearity.LinearityStep"
)
def correct_linearity(ramp: Ramp, params: LinearityParameters, refs: ReferenceSet) -> Ramp:
    """Make counts proportional to charge: a polynomial in DN for each pixel, ``sum_k c_k DN^k``.

    Saturated groups keep their value.  Pixels whose coefficients are flagged, NaN, or without a linear term are left
    alone and flagged NO_LIN_CORR.

    For groups that average several frames, where the reference holds inverse coefficients, the correction works on the
    frames: a straight line through the first and the last-but-one unsaturated group predicts the linear signal at each
    frame, the inverse polynomial gives the measured signal there, a shift makes its mean that of the group, and the
    mean of the corrected frames takes the group's place.  Frames are counted as if groups had no gap between them.
    Inverse coefficients are not cut to multistripe frames and not used with read times, as in the official step.
    """
    del params
    check_collated(ramp)
    reference = refs.get(LinearityReference)
    if reference is None:
        raise Skip("no linearity reference")
    ramp.pixeldq |= reference.dq
    forward = np.ascontiguousarray(reference.coeffs)
    usable = _usable(forward, reference.dq, ramp.pixeldq)
    nframes = int(ramp.metadata.require("exposure.nframes"))
    if reference.inv_coeffs is not None and nframes > 1 and ramp.read_times is None and ramp.ngroups > 1:
        backward = np.ascontiguousarray(reference.inv_coeffs)
        usable_backward = _usable(backward, reference.dq, ramp.pixeldq)
        coeffs, inverse = _with_identity(forward, usable), _with_identity(backward, usable_backward)
        mean_reads = np.arange(ramp.ngroups) * nframes + (nframes + 1) / 2
        for data, groupdq in zip(ramp.data, ramp.groupdq, strict=True):
            kernels.correct_reads(data, groupdq, coeffs, inverse, nframes, mean_reads)
    else:
        frames = (-1, *ramp.data.shape[-2:])
        for part in integration_blocks(ramp):
            data, groupdq = ramp.data[part].reshape(frames), ramp.groupdq[part].reshape(frames)
            kernels.correct_groups(data, groupdq, forward, usable)
    if ramp.zeroframe is not None:
        for frame in ramp.zeroframe:
            empty = np.where(frame == 0, kernels.SATURATED, np.uint8(0))
            kernels.correct_groups(frame[None], empty[None], forward, usable)
    return ramp


def _usable(coeffs: Float32, dq: UInt32, pixeldq: UInt32) -> Bool:
    """Where the coefficients ``(ncoeffs, ny, nx)`` can be used; flags `pixeldq` elsewhere."""
    usable = np.empty(coeffs.shape[1:], bool)
    kernels.find_usable(coeffs, dq, usable, pixeldq)
    return usable


def _with_identity(coeffs: Float32, usable: Bool) -> Float32:
    if usable.all():
        return coeffs
    clean = np.empty_like(coeffs)
    kernels.make_identity(coeffs, usable, clean)
    return clean
