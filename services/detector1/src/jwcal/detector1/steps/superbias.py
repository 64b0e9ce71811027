"""Bias subtraction."""

import numpy as np

from jwcal.core.blocks import integration_blocks
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import SuperbiasReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.kernels.subtract import subtract_plane


class SuperbiasParameters(StepParameters):
    """superbias has no parameters of its own."""


@step(
    "superbias", params=SuperbiasParameters, references=(SuperbiasReference,), official="jwst.superbias.SuperBiasStep"
)
def subtract_superbias(ramp: Ramp, params: SuperbiasParameters, refs: ReferenceSet) -> Ramp:
    """Subtract the bias pattern (DN) from every group and from the zero frame.

    Pixels without a bias (NaN) are left as they are; flags of the reference go to PIXELDQ.  Zero-frame pixels that
    hold 0, which means no value, stay 0.
    """
    del params
    bias = refs.get(SuperbiasReference)
    if bias is None:
        raise Skip("no superbias reference")
    planes = bias.data.reshape(-1, *bias.data.shape[-2:])
    if len(planes) == 1:
        for part in integration_blocks(ramp):
            subtract_plane(ramp.data[part].reshape(-1, *ramp.data.shape[-2:]), planes[0])
    else:
        for index, integration in enumerate(ramp.data):
            subtract_plane(integration, planes[index % len(planes)])
    if ramp.zeroframe is not None:
        for index, frame in enumerate(ramp.zeroframe):
            frame[...] = np.where(
                frame == 0, np.float32(0), frame - np.nan_to_num(planes[index % len(planes)], nan=0.0)
            )
    ramp.pixeldq |= bias.dq
    return ramp
