"""Detector non-linearity."""

import numpy as np

from jwcal.core.array_types import Float32, UInt32
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import LinearityReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.kernels import linearity as kernels


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
    """
    del params
    reference = refs.get(LinearityReference)
    if reference is None:
        raise Skip("no linearity reference")
    pixeldq = ramp.pixeldq.reshape(-1, *ramp.pixeldq.shape[-2:])
    pixeldq |= reference.dq.reshape(pixeldq.shape)
    coeffs = _usable(reference.coeffs, reference.dq, pixeldq)
    nframes = int(ramp.metadata.require("exposure.nframes"))
    inverse = None
    if reference.inv_coeffs is not None and nframes > 1 and ramp.read_times is None and ramp.ngroups > 1:
        inverse = _usable(reference.inv_coeffs, reference.dq, pixeldq)
    mean_reads = np.arange(ramp.ngroups) * nframes + (nframes + 1) / 2
    for index in range(ramp.nints):
        plane = index % len(coeffs)
        if inverse is None:
            kernels.correct_groups(ramp.data[index], ramp.groupdq[index], coeffs[plane])
        else:
            kernels.correct_reads(
                ramp.data[index], ramp.groupdq[index], coeffs[plane], inverse[plane], nframes, mean_reads
            )
    if ramp.zeroframe is not None:
        for index, frame in enumerate(ramp.zeroframe):
            unusable = np.where(frame == 0, kernels.SATURATED, np.uint8(0))
            kernels.correct_groups(frame[None], unusable[None], coeffs[index % len(coeffs)])
    return ramp


def _usable(coeffs: Float32, dq: UInt32, pixeldq: UInt32) -> list[Float32]:
    """Coefficients ``(ncoeffs, ny, nx)`` of each plane, identity where they are not usable; flags `pixeldq`."""
    if coeffs.ndim == 3:
        coeffs = coeffs[:, None]
    planes = []
    for index in range(coeffs.shape[1]):
        source = np.ascontiguousarray(coeffs[:, index])
        clean = np.empty_like(source)
        kernels.prepare_coefficients(source, dq.reshape(pixeldq.shape)[index], clean, pixeldq[index])
        planes.append(clean)
    return planes
