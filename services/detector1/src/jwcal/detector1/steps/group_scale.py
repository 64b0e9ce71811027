"""Undo a wrong on-board divisor of frame-averaged groups."""

from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.step import Skip, StepParameters, step


class GroupScaleParameters(StepParameters):
    """group_scale has no parameters of its own."""


@step("group_scale", params=GroupScaleParameters, official="jwst.group_scale.GroupScaleStep")
def scale_groups(ramp: Ramp, params: GroupScaleParameters, refs: ReferenceSet) -> Ramp:
    """Rescale groups that were averaged on board with another divisor than their number of frames.

    The flight software sums NFRAMES frames and divides by a power of two, FRMDIVSR.  Where the two differ, all groups
    are multiplied by FRMDIVSR / NFRAMES.
    """
    del params, refs
    nframes = ramp.metadata.get("exposure.nframes")
    divisor = ramp.metadata.get("exposure.frame_divisor")
    if nframes is None:
        raise Skip("NFRAMES is missing")
    if divisor is None:
        raise Skip("FRMDIVSR is missing")
    if nframes == divisor:
        raise Skip("FRMDIVSR equals NFRAMES")
    scale = float(divisor) / nframes
    for integration in ramp.data:
        integration *= scale
    return ramp
