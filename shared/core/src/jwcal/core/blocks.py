"""A ramp piece by piece: whole where it lies in memory, in blocks of bounded size where it lies in a scratch file.

Kernels that need all integrations of a pixel get blocks of rows, copied together; those that work integration by
integration get runs of integrations, which are views.  Results do not depend on the division.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float32, UInt8
from jwcal.core.data import Ramp


@dataclass(frozen=True, slots=True)
class RowBlock:
    """All integrations of some rows."""

    rows: slice
    data: Float32
    """``(nints, ngroups, rows, nx)``; for reading."""
    groupdq: UInt8
    """The same shape; what is written to it reaches the ramp when the next block is asked for."""
    zeroframe: Float32 | None
    """``(nints, rows, nx)``; for reading."""


def row_ranges(ramp: Ramp) -> Iterator[slice]:
    """The rows ``[start, stop)`` of each block."""
    nints, ngroups, ny, nx = ramp.data.shape
    count = ny if ramp.scratch is None else max(1, ramp.scratch.block_bytes // (5 * nints * ngroups * nx))
    for start in range(0, ny, count):
        yield slice(start, min(start + count, ny))


def row_blocks(ramp: Ramp) -> Iterator[RowBlock]:
    """The ramp by rows."""
    nints, ngroups, _, nx = ramp.data.shape
    for rows in row_ranges(ramp):
        if ramp.scratch is None:
            yield RowBlock(rows, ramp.data, ramp.groupdq, ramp.zeroframe)
            return
        shape = (nints, ngroups, rows.stop - rows.start, nx)
        data, groupdq = np.empty(shape, np.float32), np.empty(shape, np.uint8)
        for index in range(nints):
            data[index], groupdq[index] = ramp.data[index, :, rows], ramp.groupdq[index, :, rows]
            ramp.scratch.trim()
        zeroframe = None if ramp.zeroframe is None else np.ascontiguousarray(ramp.zeroframe[:, rows])
        yield RowBlock(rows, data, groupdq, zeroframe)
        for index in range(nints):
            ramp.groupdq[index, :, rows] = groupdq[index]
            ramp.scratch.trim()


def integration_blocks(ramp: Ramp) -> Iterator[slice]:
    """Runs of integrations ``[start, stop)``."""
    nints, ngroups, ny, nx = ramp.data.shape
    if ramp.scratch is None:
        yield slice(0, nints)
        return
    count = max(1, ramp.scratch.block_bytes // (5 * ngroups * ny * nx))
    for start in range(0, nints, count):
        yield slice(start, min(start + count, nints))
        ramp.scratch.trim()


def of_integrations(ramp: Ramp, judge: Callable[[UInt8], NDArray[Any]]) -> NDArray[Any]:
    """What `judge` says of the flags of each integration, ``(nints, ...)``, found run by run."""
    return np.concatenate([judge(ramp.groupdq[block]) for block in integration_blocks(ramp)])
