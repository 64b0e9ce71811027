"""Initial data quality: the bad-pixel mask."""

from pathlib import Path

import numpy as np

from jwcal.core import dqflags
from jwcal.core.array_types import UInt32
from jwcal.core.blocks import integration_blocks
from jwcal.core.data import GuiderRamp, Ramp
from jwcal.core.errors import InvalidData
from jwcal.core.products.planes import read_dq_plane
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import MaskReference
from jwcal.core.step import ReadFile, Skip, StepParameters, step
from jwcal.detector1.kernels.flags import set_group_flags


class DQInitParameters(StepParameters):
    """Parameters of dq_init."""

    user_supplied_dq: ReadFile | None = None
    """FITS file with a DQ plane that is combined with the mask reference."""


@step("dq_init", params=DQInitParameters, references=(MaskReference,), official="jwst.dq_init.DQInitStep")
def initialize_dq(product: Ramp | GuiderRamp, params: DQInitParameters, refs: ReferenceSet) -> Ramp | GuiderRamp:
    """Combine the bad-pixel mask with the data quality of an exposure.

    PIXELDQ (DQ of a guide-star exposure) takes every flag of the mask; in ramps DO_NOT_USE is set in every group too.
    """
    mask = refs.get(MaskReference)
    if mask is None:
        raise Skip("no mask reference")
    plane = mask.dq
    if params.user_supplied_dq is not None:
        plane = plane | _user_plane(Path(params.user_supplied_dq), plane)
    if isinstance(product, GuiderRamp):
        product.dq |= plane
        return product
    if product.pixeldq.shape != plane.shape:
        product.pixeldq = np.zeros(plane.shape, np.uint32)
    product.pixeldq |= plane
    unusable = (plane & np.uint32(dqflags.DO_NOT_USE)).astype(np.uint8).reshape(-1, *plane.shape[-2:])
    if len(unusable) == 1:
        for part in integration_blocks(product):
            set_group_flags(product.groupdq[part].reshape(-1, *plane.shape[-2:]), unusable[0])
    else:
        for index, groupdq in enumerate(product.groupdq):
            set_group_flags(groupdq, unusable[index % len(unusable)])
    return product


def _user_plane(path: Path, mask: UInt32) -> UInt32:
    plane = read_dq_plane(path)
    if plane.shape != mask.shape:
        raise InvalidData(
            f"its DQ plane has shape {plane.shape}, the exposure {mask.shape}",
            file=path,
            remedy="give a plane of the exposure's shape",
        )
    return plane
