"""Where the pixels of a frame lie in detector coordinates, and lists of reference pixels there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Bool, UInt32
from jwcal.core.errors import InvalidKeyword
from jwcal.core.metadata import Metadata

FULL = 2048
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DetectorAxes:
    """Detector coordinates (from 0) of the rows and columns of a frame in the science orientation."""

    fast: Indices
    """Position along the fast axis, for each frame position along it."""
    slow: Indices
    fast_is_x: bool
    """Whether the fast axis is the frame's x axis."""

    @classmethod
    def of(cls, metadata: Metadata, ny: int, nx: int, *, size: int = FULL) -> "DetectorAxes":
        """Axes of a frame ``(ny, nx)`` of a detector of `size` pixels a side."""
        fast = _axis(metadata, "subarray.fastaxis")
        slow = _axis(metadata, "subarray.slowaxis")
        lengths = {"x": nx, "y": ny}
        starts = {name: int(metadata.require(f"subarray.{name}start")) - 1 for name in "xy"}

        def positions(name: str, direction: int) -> Indices:
            index = np.arange(lengths[name], dtype=np.int64) + starts[name]
            return index if direction > 0 else size - 1 - index

        names = ("x", "y") if abs(fast) == 1 else ("y", "x")
        return cls(positions(names[0], fast), positions(names[1], slow), abs(fast) == 1)

    def planes(self) -> tuple[Indices, Indices]:
        """(fast, slow) position of every pixel, arrays that broadcast to ``(ny, nx)``."""
        if self.fast_is_x:
            return self.fast[None, :], self.slow[:, None]
        return self.fast[:, None], self.slow[None, :]

    def lines(self, along_fast: NDArray[np.float64], along_slow: NDArray[np.float64]) -> tuple[Any, Any]:
        """The same as (along x ``(1, nx)``, along y ``(ny,)``)."""
        return (along_fast[None], along_slow) if self.fast_is_x else (along_slow[None], along_fast)


@dataclass(frozen=True, slots=True)
class PixelSets:
    """Lists of pixels, one after the other."""

    rows: Indices
    columns: Indices
    bounds: Indices

    @classmethod
    def of(cls, masks: list[Bool], dq: UInt32, unusable: int, axes: DetectorAxes | None = None) -> "PixelSets":
        """The pixels of each mask ``(ny, nx)`` whose DQ has no bit of `unusable`, in the order they are read out.

        Without `axes` the frame is in that order itself.  (Order matters to sums in single precision.)
        """
        good = (dq & np.uint32(unusable)) == 0
        found = [_nonzero(mask, good) for mask in masks]
        if axes is not None:
            found = [_in_order_of_readout(rows, columns, axes) for rows, columns in found]
        counts = [len(rows) for rows, _ in found]
        return cls(
            np.concatenate([rows for rows, _ in found]).astype(np.int64),
            np.concatenate([columns for _, columns in found]).astype(np.int64),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )


def _nonzero(mask: Bool, good: Bool) -> tuple[Indices, Indices]:
    """Rows and columns of a mask's good pixels; the rows and columns around all of them are found first."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return rows, columns[:0]
    inside = np.ix_(rows, columns)
    y, x = np.nonzero(mask[inside] & good[inside])
    return rows[y], columns[x]


def _in_order_of_readout(rows: Indices, columns: Indices, axes: DetectorAxes) -> tuple[Indices, Indices]:
    along_fast, along_slow = (columns, rows) if axes.fast_is_x else (rows, columns)
    order = np.lexsort((axes.fast[along_fast], axes.slow[along_slow]))
    return rows[order], columns[order]


def _axis(metadata: Metadata, path: str) -> int:
    value = int(metadata.require(path))
    if abs(value) not in (1, 2):
        raise InvalidKeyword(
            f"{path.split('.')[1].upper()} is {value}",
            file=metadata.source,
            keyword=path.split(".")[1].upper(),
            remedy="set it to 1, -1, 2 or -2",
        )
    return value
