"""MIRI first group (deprecated in favour of rscd)."""

import numpy as np

from jwcal.core import dqflags
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.step import Skip, StepParameters, step


class FirstFrameParameters(StepParameters):
    """Parameters of firstframe."""

    bright_use_group1: bool = True
    """Keep the first group of pixels that saturate in the third."""
    skip: bool = True
    """Leave this step out."""


@step("firstframe", params=FirstFrameParameters, official="jwst.firstframe.FirstFrameStep")
def flag_first_group(ramp: Ramp, params: FirstFrameParameters, refs: ReferenceSet) -> Ramp:
    """Flag the first group of MIRI ramps DO_NOT_USE.

    Pixels that saturate in the third group may keep it and are marked FLUX_ESTIMATED.  Deprecated: rscd flags the
    first groups.
    """
    del refs
    if not ramp.metadata.detector.startswith("MIR"):
        raise Skip("only for MIRI")
    if ramp.ngroups <= 3:
        raise Skip("fewer than 4 groups")
    if not params.bright_use_group1:
        ramp.groupdq[:, 0] |= np.uint8(dqflags.DO_NOT_USE)
        return ramp
    bright = (ramp.groupdq[:, 2] & np.uint8(dqflags.SATURATED)) != 0
    ramp.groupdq[:, 0] |= np.where(bright, np.uint8(0), np.uint8(dqflags.DO_NOT_USE))
    ramp.pixeldq[bright.any(axis=0)] |= np.uint32(dqflags.FLUX_ESTIMATED)
    return ramp
