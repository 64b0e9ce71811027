"""Interpixel capacitance."""

import numpy as np

from jwcal.core.blocks import integration_blocks
from jwcal.core.data import Ramp
from jwcal.core.errors import RefusedCorrection
from jwcal.core.metadata import Metadata
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import IpcReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.irs2_layout import normal_rows
from jwcal.detector1.kernels.capacitance import convolve_frames


class IpcParameters(StepParameters):
    """ipc has no parameters of its own."""


@step("ipc", params=IpcParameters, references=(IpcReference,), official="jwst.ipc.IPCStep")
def correct_capacitance(ramp: Ramp, params: IpcParameters, refs: ReferenceSet) -> Ramp:
    """Undo the spread of charge between neighbouring pixels by convolution with a deconvolution kernel.

    Every science frame is convolved with the kernel of the reference, one for all pixels or one for each.  Reference
    pixels are left alone and do not contribute; beyond the edge the signal counts as zero.
    """
    del params
    reference = refs.get(IpcReference)
    if reference is None:
        raise Skip("no ipc reference")
    by_pixel = reference.data.ndim == 4
    kernel = reference.data if by_pixel else reference.data[:, :, None, None]
    rows = normal_rows(ramp.metadata, ramp.data.shape[-2])
    y0, y1, x0, x1 = science_window(ramp.metadata, rows.size, ramp.data.shape[-1])
    if y1 <= y0 or x1 <= x0:
        raise RefusedCorrection(
            "by its corner and size the frame holds reference pixels only: stripes cannot be corrected for interpixel "
            "capacitance",
            file=ramp.metadata.source,
            remedy="skip ipc",
        )
    for part in integration_blocks(ramp):
        frames = ramp.data[part].reshape(-1, *ramp.data.shape[-2:])
        convolve_frames(frames, np.ascontiguousarray(kernel), by_pixel, rows, y0, y1, x0, x1)
    return ramp


def science_window(metadata: Metadata, ny: int, nx: int) -> tuple[int, int, int, int]:
    """First and last (exclusive) row and column inside the border of reference pixels."""
    x_start = int(metadata.require("subarray.xstart")) - 1
    y_start = int(metadata.require("subarray.ystart")) - 1
    last = 1028 if metadata.instrument == "MIRI" else 2044
    left, right = max(0, 4 - x_start), max(0, x_start + nx - last)
    if metadata.instrument == "MIRI":
        return 0, ny, left, nx - right
    bottom, top = max(0, 4 - y_start), max(0, y_start + ny - 2044)
    return bottom, ny - top, left, nx - right
