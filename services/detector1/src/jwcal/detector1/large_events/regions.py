"""Connected regions of flags and the ellipses that stand for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float64, UInt8
from jwcal.detector1.kernels import regions as kernels
from jwcal.detector1.large_events.ellipses import Ellipse

_SMALLEST_RING = 8
"""Pixels it takes to enclose a hole."""


@dataclass(frozen=True, slots=True)
class Regions:
    """The 8-connected regions of a mask that fill at least a given area."""

    table: NDArray[np.int64]
    """A row for each, with the columns of `jwcal.detector1.kernels.regions`."""
    _numbers: NDArray[np.int64]
    _runs: tuple[Any, Any, Any, Any]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def y(self) -> Float64:
        """Rows of the centroids."""
        rows: Float64 = self.table[:, kernels.SUM_Y] / self.table[:, kernels.AREA]
        return rows

    @property
    def x(self) -> Float64:
        """Columns of the centroids."""
        columns: Float64 = self.table[:, kernels.SUM_X] / self.table[:, kernels.AREA]
        return columns

    @property
    def largest_axis(self) -> Float64:
        """Upper limits of the lengths of the ellipses' axes, in pixels."""
        area = self.table[:, kernels.AREA]
        spread = (
            (self.table[:, kernels.SUM_YY] + self.table[:, kernels.SUM_XX]) / area - self.y**2 - self.x**2
        )  # trace of the inertia tensor
        limits: Float64 = 4 * np.sqrt(np.maximum(spread, 0)) + 1.01
        return limits

    def ellipses(self, which: Iterable[int] | None = None) -> list[Ellipse]:
        """Ellipses with the second moments of the regions, each axis less one pixel."""
        found = []
        for index in range(len(self)) if which is None else which:
            minor, major, angle = _shape(*_key(self.mask(index)))
            found.append(
                Ellipse(x=float(self.x[index]), y=float(self.y[index]), minor=minor - 1, major=major - 1, angle=angle)
            )
        return found

    def mask(self, index: int) -> NDArray[np.bool_]:
        """The pixels of a region in its bounding box."""
        return _mask(self._runs, int(self._numbers[index]), self.table[index])


def find_regions(
    plane: UInt8, flag: np.uint8, min_area: float, *, without: tuple[UInt8, np.uint8] | None = None
) -> Regions:
    """Regions where `plane` ``(ny, nx)`` has `flag`, and the plane of `without` does not have the flag beside it.

    Holes count for the area; they are those that corners do not open either.
    """
    other, excluded = (plane, np.uint8(0)) if without is None else without
    firsts, starts, stops = kernels.find_runs(plane, flag, other, excluded)
    of_run, count = kernels.join_runs(firsts, starts, stops)
    runs = (firsts, starts, stops, of_run)
    table = kernels.measure(firsts, starts, stops, of_run, count)
    area = table[:, kernels.AREA]
    box = (table[:, kernels.Y1] - table[:, kernels.Y0]) * (table[:, kernels.X1] - table[:, kernels.X0])
    large = area >= min_area
    for number in np.flatnonzero(~large & (box >= min_area) & (area >= _SMALLEST_RING)):
        large[number] = _filled_area(_mask(runs, int(number), table[number])) >= min_area
    numbers = np.flatnonzero(large)
    return Regions(table[numbers], numbers, runs)


def _mask(runs: tuple[Any, Any, Any, Any], number: int, row: NDArray[np.int64]) -> NDArray[np.bool_]:
    y0, y1, x0, x1 = row[kernels.Y0 : kernels.X1 + 1]
    mask = np.zeros((y1 - y0, x1 - x0), bool)
    kernels.draw(*runs, number, y0, x0, mask)
    return mask


def _filled_area(mask: NDArray[np.bool_]) -> int:
    from scipy.ndimage import binary_fill_holes  # takes a while to import

    return int(np.count_nonzero(binary_fill_holes(mask, np.ones((3, 3)))))


def _key(mask: NDArray[np.bool_]) -> tuple[tuple[int, ...], bytes]:
    return mask.shape, mask.tobytes()


@lru_cache(maxsize=4096)
def _shape(shape: tuple[int, ...], pixels: bytes) -> tuple[float, float, float]:
    """Lengths of the minor and major axis (pixels) and orientation (degrees) of a mask; most hits look alike."""
    from skimage.measure import regionprops  # takes half a second to import

    (region,) = regionprops(np.frombuffer(pixels, np.uint8).reshape(shape))
    return (
        float(region.axis_minor_length),
        float(region.axis_major_length),
        float(np.degrees(region.orientation)),
    )
