"""Detector non-linearity."""

import numpy as np

from jwcal.core.array_types import Bool, Float32, UInt32
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
    forward = _planes(reference.coeffs)
    usable = _usable(forward, reference.dq, pixeldq)
    nframes = int(ramp.metadata.require("exposure.nframes"))
    if reference.inv_coeffs is not None and nframes > 1 and ramp.read_times is None and ramp.ngroups > 1:
        _correct_reads(ramp, forward, usable, _planes(reference.inv_coeffs), reference.dq, pixeldq, nframes)
    else:
        for index in range(ramp.nints):
            plane = index % len(forward)
            kernels.correct_groups(ramp.data[index], ramp.groupdq[index], forward[plane], usable[plane])
    if ramp.zeroframe is not None:
        for index, frame in enumerate(ramp.zeroframe):
            empty = np.where(frame == 0, kernels.SATURATED, np.uint8(0))
            plane = index % len(forward)
            kernels.correct_groups(frame[None], empty[None], forward[plane], usable[plane])
    return ramp


def _correct_reads(
    ramp: Ramp,
    forward: list[Float32],
    usable: list[Bool],
    backward: list[Float32],
    dq: UInt32,
    pixeldq: UInt32,
    nframes: int,
) -> None:
    """Correct every integration by its reads."""
    usable_backward = _usable(backward, dq, pixeldq)
    coeffs = [_with_identity(*pair) for pair in zip(forward, usable, strict=True)]
    inverse = [_with_identity(*pair) for pair in zip(backward, usable_backward, strict=True)]
    mean_reads = np.arange(ramp.ngroups) * nframes + (nframes + 1) / 2
    for index in range(ramp.nints):
        plane = index % len(coeffs)
        kernels.correct_reads(ramp.data[index], ramp.groupdq[index], coeffs[plane], inverse[plane], nframes, mean_reads)


def _planes(coeffs: Float32) -> list[Float32]:
    """Coefficients ``(ncoeffs, ny, nx)`` of each plane."""
    if coeffs.ndim == 3:
        coeffs = coeffs[:, None]
    return [np.ascontiguousarray(coeffs[:, index]) for index in range(coeffs.shape[1])]


def _usable(planes: list[Float32], dq: UInt32, pixeldq: UInt32) -> list[Bool]:
    """Where the coefficients of each plane can be used; flags `pixeldq` elsewhere."""
    found = []
    for coeffs, flags, out in zip(planes, dq.reshape(pixeldq.shape), pixeldq, strict=False):
        found.append(np.empty(coeffs.shape[1:], bool))
        kernels.find_usable(coeffs, flags, found[-1], out)
    return found


def _with_identity(coeffs: Float32, usable: Bool) -> Float32:
    if usable.all():
        return coeffs
    clean = np.empty_like(coeffs)
    kernels.make_identity(coeffs, usable, clean)
    return clean
