"""Stripes of 1/f noise as medians along the slow readout."""

from jwcal.core.array_types import Bool, Float32
from jwcal.core.metadata import Metadata
from jwcal.detector1.kernels.stripes import subtract_column_medians, subtract_row_medians

_FULL = 2048
_CHANNELS = 4


def median_axis(metadata: Metadata) -> int:
    """Array axis along which medians are taken: along the fast readout, for MIRI along columns."""
    return 0 if metadata.instrument == "MIRI" else abs(int(metadata.require("subarray.slowaxis"))) - 1


def subtract_stripes(image: Float32, mask: Bool, axis: int, *, by_channel: bool = False) -> None:
    """Subtract the median of the usable pixels of each line along `axis` in place, by output if asked for."""
    channels = _CHANNELS if by_channel and image.shape[axis] == _FULL else 1
    if axis == 1:
        subtract_row_medians(image, mask, channels)
    else:
        subtract_column_medians(image, mask, channels)
