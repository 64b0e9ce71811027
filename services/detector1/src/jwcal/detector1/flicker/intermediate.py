"""Optional products of the noise corrections: masks, backgrounds, corrections."""

from typing import Any

import numpy as np

from jwcal.core.array_types import Bool, Float32
from jwcal.core.data import Ramp, SideProduct


def keep(ramp: Ramp, suffix: str, data: Float32) -> None:
    """Save an array of the shape of the ramp, with the metadata that the ramp has now and empty flags."""
    arrays = {
        "data": data,
        "pixeldq": np.zeros(data.shape[-2:], np.uint32),
        "groupdq": np.zeros(data.shape, np.uint8),
    }
    ramp.side_products[suffix] = SideProduct(model="RampModel", arrays=arrays, metadata=ramp.metadata.copy())


def keep_mask(ramp: Ramp, suffix: str, mask: Bool, *, of_draft: bool = True) -> None:
    """Save a mask ``(ny, nx)`` or ``(nints, ny, nx)``; one made of the draft rate has the keywords of a rate."""
    metadata = ramp.metadata.copy()
    if of_draft:
        metadata.set("cal_step.ramp_fit", "COMPLETE")
        metadata.set("bunit_data", "DN/s")
        metadata.set("bunit_err", "DN/s")
    arrays: dict[str, Any] = {"data": mask.astype(np.float32)}
    model = "ImageModel"
    if mask.ndim == 3:
        arrays |= {"dq": np.zeros(mask.shape, np.uint32), "err": np.zeros(mask.shape, np.float32)}
        model = "CubeModel"
    ramp.side_products[suffix] = SideProduct(model=model, arrays=arrays, metadata=metadata)
