"""What is done to a simulated exposure before both pipelines take it: conditions that no mode has of itself."""

from typing import Any

import numpy as np

CEILING = np.uint16(65535)


def divided_by_two(hdus: Any) -> None:
    """Groups of four frames that the on-board software divided by two only."""
    hdus["SCI"].data = np.minimum(hdus["SCI"].data.astype(np.uint32) // 2, CEILING).astype(np.uint16)
    hdus[0].header["FRMDIVSR"] = 2


def saturated_blocks(hdus: Any) -> None:
    """Blocks that saturate in the first, second and third group, in the last, in one integration, and dead ones."""
    data = hdus["SCI"].data
    ngroups, ny = data.shape[1], data.shape[2]
    for index, first in enumerate((0, 1, 2, 3, ngroups - 1)):
        data[:, first:, 5:11, 20 + 12 * index : 28 + 12 * index] = CEILING
    data[0, :, 14:18, 20:40] = CEILING
    data[-1, 1:, 14:18, 45:60] = CEILING
    data[:, :, ny - 12 : ny - 9, 20:40] = 0
    data[:, 1, ny - 12 : ny - 9, 45:60] = 0


def saturated_from_the_start(hdus: Any) -> None:
    """Nothing to be measured."""
    hdus["SCI"].data[...] = CEILING


def without_integration_times(hdus: Any) -> None:
    """An empty table of the integrations' times."""
    hdus["INT_TIMES"].data = hdus["INT_TIMES"].data[:0]


def at_half_gain(hdus: Any) -> None:
    """A gain factor in the header."""
    hdus[0].header["GAINFACT"] = 2.16


def without_frame_divisor(hdus: Any) -> None:
    """FRMDIVSR was not recorded."""
    del hdus[0].header["FRMDIVSR"]
