"""Saturation and A/D-floor flags."""

import numpy as np
from pydantic import Field

from jwcal.core import dqflags
from jwcal.core.array_types import Bool, Float32, UInt8
from jwcal.core.blocks import integration_blocks
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import SaturationReference, SuperbiasReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.irs2_layout import normal_rows
from jwcal.detector1.kernels import saturation as kernels

_NEVER = np.float32(65536.0)  # above the largest value of the 16-bit converter


class SaturationParameters(StepParameters):
    """Parameters of saturation."""

    n_pix_grow_sat: int = Field(default=1, ge=0)
    """Layers of neighbours flagged around a saturated pixel, for spilled charge."""
    use_readpatt: bool = True
    """Use the frames behind each group to find groups that saturated while they were averaged."""


@step(
    "saturation",
    params=SaturationParameters,
    references=(SaturationReference, SuperbiasReference),
    official="jwst.saturation.SaturationStep",
)
def flag_saturation(ramp: Ramp, params: SaturationParameters, refs: ReferenceSet) -> Ramp:
    """Flag groups at or above the saturation threshold, and at the floor of the converter.

    A pixel saturated once stays SATURATED to the end of the integration, with `n_pix_grow_sat` layers of neighbours.
    Groups at or below 0 DN get AD_FLOOR and DO_NOT_USE.  For groups of several frames two more tests look for groups
    whose last frames saturated although their mean did not; they set DO_NOT_USE.  Frames are counted as if there was
    no gap between groups, as the official step does.  A zero frame that is saturated or at the floor becomes 0.

    The interleaved NIRSpec readout (IRS2) has the threshold test and the second-group test only, which there sets
    SATURATED, as in the official step.
    """
    reference = refs.get(SaturationReference)
    superbias = refs.get(SuperbiasReference)
    if reference is None:
        raise Skip("no saturation reference")
    nframes = int(ramp.metadata.require("exposure.nframes"))
    unchecked = ((reference.dq & np.uint32(dqflags.NO_SAT_CHECK)) != 0) | np.isnan(reference.data)
    threshold = np.where(unchecked, _NEVER, reference.data)
    flags = reference.dq | np.where(np.isnan(reference.data), np.uint32(dqflags.NO_SAT_CHECK), np.uint32(0))
    bias = np.zeros_like(threshold) if superbias is None else superbias.data
    if ramp.metadata.is_irs2:
        _flag_interleaved(ramp, params, threshold, bias, nframes)
        rows = normal_rows(ramp.metadata, ramp.data.shape[-2])
        ramp.pixeldq[rows] |= flags
        return ramp
    planes = threshold.reshape(-1, *threshold.shape[-2:])
    biases = bias.reshape(-1, *bias.shape[-2:])
    masks = unchecked.reshape(planes.shape)
    for part in integration_blocks(ramp):
        for plane, (limits, zero, unknown) in enumerate(zip(planes, biases, masks, strict=True)):
            first = part.start + (plane - part.start) % len(planes)  # superstripes take turns
            integrations = slice(first, part.stop, len(planes))
            _flag_ramps(ramp.data[integrations], ramp.groupdq[integrations], limits, zero, unknown, params, nframes)
            if ramp.zeroframe is not None:
                for frame in ramp.zeroframe[integrations]:
                    _clear_zeroframe(frame, limits, params.n_pix_grow_sat)
    ramp.pixeldq |= flags
    return ramp


def _flag_ramps(
    data: Float32,
    groupdq: UInt8,
    threshold: Float32,
    bias: Float32,
    unchecked: Bool,
    params: SaturationParameters,
    nframes: int,
) -> None:
    """All tests of ramps ``(nints, ngroups, ny, nx)``."""
    nints, ngroups, ny, _ = data.shape
    row_any = np.zeros((nints, ngroups, ny), bool)
    kernels.flag_ramps(data, groupdq, threshold, row_any)
    for index in np.flatnonzero(row_any.any(axis=(1, 2))):
        _flag_saturating(data[index], groupdq[index], threshold, bias, unchecked, row_any[index], params, nframes)


def _flag_saturating(
    data: Float32,
    dq: UInt8,
    threshold: Float32,
    bias: Float32,
    unchecked: Bool,
    row_any: Bool,
    params: SaturationParameters,
    nframes: int,
) -> None:
    """What follows from the saturated pixels of an integration ``(ngroups, ny, nx)``; `row_any` says where they are."""
    ngroups = len(data)
    grow = params.n_pix_grow_sat
    saturates = [bool(rows.any()) for rows in row_any]
    if grow > 0:
        for group in range(ngroups):
            if not saturates[group]:
                continue
            mask = (dq[group] & kernels.SATURATED) != 0
            kernels.grow_inplace(mask, row_any[group], dq[group], kernels.SATURATED, grow)
    if not params.use_readpatt:
        return
    if nframes > 1:
        mask, rows = np.empty(data.shape[1:], bool), np.empty(data.shape[1], bool)
        for group in range(ngroups - 2, -1, -1):
            if not saturates[group + 1]:
                continue
            mean, last = _mean_read(group, nframes), (group + 1) * nframes
            kernels.partly_saturated(
                data[group], dq[group], dq[group + 1], threshold, unchecked, mean / last, mask, rows
            )
            if rows.any():
                kernels.grow_inplace(mask, rows, dq[group], kernels.DO_NOT_USE, grow)
    if ngroups > 2 and saturates[2]:
        kernels.flag_second_group(data, dq, threshold, bias, _mean_read(0, nframes), 3 * nframes, nframes)


def _mean_read(group: int, nframes: int) -> float:
    """Mean 1-based number of the reads in a group."""
    return group * nframes + (nframes + 1) / 2


def _grown(mask: Bool, radius: int) -> Bool:
    """`mask` with `radius` layers of neighbours."""
    out = mask.astype(np.uint8)
    if radius > 0:
        kernels.grow_inplace(mask, mask.any(axis=1), out, np.uint8(1), radius)
    return out.astype(bool)


def _clear_zeroframe(frame: Float32, threshold: Float32, grow: int) -> None:
    """Set unusable pixels of a zero frame to 0."""
    frame[_grown(frame >= threshold, grow) | (frame <= 0)] = 0.0


def _flag_interleaved(
    ramp: Ramp, params: SaturationParameters, threshold: Float32, bias: Float32, nframes: int
) -> None:
    """The tests of IRS2 frames, on their ordinary pixels."""
    rows = normal_rows(ramp.metadata, ramp.data.shape[-2])
    if bias.shape[-2] == ramp.data.shape[-2]:
        bias = bias[rows]
    grow = params.n_pix_grow_sat
    for index in range(ramp.nints):
        dq = ramp.groupdq[index]
        saturated = np.zeros((rows.size, ramp.data.shape[-1]), np.uint8)
        for group in range(ramp.ngroups):
            frame = ramp.data[index, group][rows]
            hit = frame >= threshold
            if group == 2 and params.use_readpatt:
                first, second = ramp.data[index, 0][rows], ramp.data[index, 1][rows]
                expected = (first - bias) / np.float64(_mean_read(0, nframes)) * (3 * nframes) + bias
                jumps = (expected < threshold) & (second - first > (threshold - first) / np.float32(nframes)) & hit
                dq[1][rows] |= _grown(jumps, grow).astype(np.uint8) * np.uint8(dqflags.SATURATED)
            saturated |= _grown(hit, grow).astype(np.uint8) * np.uint8(dqflags.SATURATED)
            low = (frame <= 0).astype(np.uint8) * np.uint8(dqflags.AD_FLOOR | dqflags.DO_NOT_USE)
            dq[group][rows] |= saturated | low
        if ramp.zeroframe is not None:
            frame = ramp.zeroframe[index][rows]
            _clear_zeroframe(frame, threshold, grow)
            ramp.zeroframe[index][rows] = frame
