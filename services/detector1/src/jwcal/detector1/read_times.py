"""When the stripes of a frame are read, where a frame reads its stripe several times."""

import numpy as np

from jwcal.core.array_types import Float64
from jwcal.core.data import Ramp
from jwcal.core.stripes import StripeReadout

PIXEL_SECONDS = 10e-6
"""Time of one pixel on each output."""
_LINE_OVERHEAD = 12
"""Pixel times at the end of each line."""


def stripe_read_times(ramp: Ramp, readout: StripeReadout) -> Float64:
    """Times of the reads behind each stripe of each group in s, ``(ngroups * stripes, nframes)``.

    The first stripe of a group comes after the reset of one stripe with its overhead, the others after the time that
    their lines take; the frames that a group averages are a frame time apart.

    Source: JDox, "NIRCam Detector Subarrays", frame times of subarrays in one and four outputs.
    """
    metadata = ramp.metadata
    ny, nx = ramp.data.shape[-2:]
    pixels = nx if readout.slow_is_y else ny
    outputs = int(metadata.require_number("exposure.noutputs", positive=True))
    nframes = int(metadata.require_number("exposure.nframes", positive=True))
    gap = int(metadata.get("exposure.groupgap", 0))
    line = (pixels / outputs + _LINE_OVERHEAD) * PIXEL_SECONDS
    if outputs == 4:
        extra_lines, extra_time = 1, PIXEL_SECONDS
    else:
        extra_lines, extra_time = (2 if outputs == 1 and pixels >= 9 else 3), 0.0
    stripe = readout.reads1 + readout.reads2
    frame_time = line * (readout.length + extra_lines) + extra_time
    steps = np.full(len(readout.stripes(0)), line * stripe)
    steps[0] = line * (stripe + extra_lines) + extra_time
    group_time = steps.sum() + frame_time * (nframes - 1 + gap)
    first = (group_time * np.arange(ramp.ngroups)[:, None] + np.cumsum(steps)).reshape(-1)
    times: Float64 = first[:, None] + frame_time * np.arange(nframes)
    return times
