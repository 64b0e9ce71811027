"""MIRI last group."""

import numpy as np

from jwcal.core import dqflags
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.step import Skip, StepParameters, step


class LastFrameParameters(StepParameters):
    """lastframe has no parameters of its own."""


@step("lastframe", params=LastFrameParameters, official="jwst.lastframe.LastFrameStep")
def flag_last_group(ramp: Ramp, params: LastFrameParameters, refs: ReferenceSet) -> Ramp:
    """Flag the last group of MIRI ramps DO_NOT_USE: the following reset reaches into it."""
    del params, refs
    if not ramp.metadata.detector.startswith("MIR"):
        raise Skip("only for MIRI")
    if ramp.ngroups <= 2:
        raise Skip("fewer than 3 groups")
    ramp.groupdq[:, -1] |= np.uint8(dqflags.DO_NOT_USE)
    return ramp
