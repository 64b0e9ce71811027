"""Order statistics and moments of many values, of which few are ever looked at in order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Bool, Float64
from jwcal.detector1.kernels import buckets as kernels

Image = NDArray[np.float32] | NDArray[np.float64]


class Sample:
    """The finite values of an image ``(ny, nx)`` that a mask marks, as if sorted.

    They lie in buckets of ascending value; a bucket is sorted when a rank or a limit within it is asked for, and sums
    over buckets are known.  So clipping, which asks for a few ranks and limits again and again, costs next to nothing.
    """

    def __init__(self, image: Image, mask: Bool) -> None:
        plane = np.ascontiguousarray(image)
        self._width = 8 * plane.itemsize
        bits = plane.view(np.dtype(f"u{plane.itemsize}"))
        sign, shift = bits.dtype.type(1 << (self._width - 1)), bits.dtype.type(self._width - 16)
        counts = kernels.count(plane, bits, mask, sign, shift)
        self._bounds = np.concatenate(([0], np.cumsum(counts.sum(axis=0))))
        places = self._bounds[:-1] + np.cumsum(counts, axis=0) - counts
        self._values: Any = np.empty(int(self._bounds[-1]), plane.dtype)
        kernels.distribute(plane, bits, mask, sign, shift, places, self._values)
        self._sums: Float64 = np.empty((2, kernels.BUCKETS))
        kernels.add_up(self._values, self._bounds, self._sums[0], self._sums[1])
        self._sorted: set[int] = set()

    def whole(self) -> "Part":
        """All values."""
        return Part(self, 0, self._values.size)

    def at(self, rank: int) -> float:
        """The value of a rank, counted from 0."""
        bucket = self._bucket_at(rank)
        return float(self._bucket(bucket)[rank - self._bounds[bucket]])

    def count_below(self, limit: float, *, inclusive: bool) -> int:
        """Number of values less than `limit`, or equal to it if `inclusive`."""
        if np.isinf(limit):
            return self._values.size if limit > 0 else 0
        bucket = self._bucket_of(limit)
        values = self._bucket(bucket).astype(np.float64)
        return int(self._bounds[bucket] + np.searchsorted(values, limit, side="right" if inclusive else "left"))

    def sums(self, first: int, last: int) -> tuple[float, float]:
        """Sum, and sum of squares, of the values of the ranks ``[first, last)``."""
        low, high = self._bucket_at(first), self._bucket_at(last)
        if low == high:
            parts = [self._bucket(low)[first - self._bounds[low] : last - self._bounds[low]]]
        else:
            parts = [self._bucket(low)[first - self._bounds[low] :], self._bucket(high)[: last - self._bounds[high]]]
        total, squares = self._sums[:, low + 1 : high].sum(axis=1)
        for part in parts:
            wide = part.astype(np.float64)
            total += wide.sum()
            squares += (wide * wide).sum()
        return float(total), float(squares)

    def values(self, first: int, last: int) -> Float64:
        """The values of the ranks ``[first, last)``, in no order."""
        for rank in (first, last):  # the ends must lie at their ranks
            if rank < self._values.size:
                self.at(rank)
        return np.asarray(self._values[first:last], np.float64)

    def _bucket_at(self, rank: int) -> int:
        """The bucket that holds a rank; the last one for the number of values."""
        return min(int(np.searchsorted(self._bounds, rank, side="right")) - 1, kernels.BUCKETS - 1)

    def _bucket(self, bucket: int) -> Any:
        """The sorted values of a bucket."""
        values = self._values[self._bounds[bucket] : self._bounds[bucket + 1]]
        if bucket not in self._sorted:
            values.sort()
            self._sorted.add(bucket)
        return values

    def _bucket_of(self, limit: float) -> int:
        """The bucket of the value nearest to `limit`: no value of another lies between the two."""
        with np.errstate(over="ignore", under="ignore"):
            bits = int(np.array(limit + 0.0, self._values.dtype).view(f"u{self._width // 8}"))
        sign, every = 1 << (self._width - 1), (1 << self._width) - 1
        return ((~bits & every) if bits & sign else bits | sign) >> (self._width - 16)


@dataclass(frozen=True, slots=True)
class Part:
    """The values of a sample with the ranks ``[first, last)``."""

    sample: Sample
    first: int
    last: int

    @property
    def size(self) -> int:
        """Number of values."""
        return self.last - self.first

    @property
    def median(self) -> float:
        """Median; NaN for none."""
        if self.size == 0:
            return float("nan")
        low, high = self.first + (self.size - 1) // 2, self.first + self.size // 2
        return 0.5 * (self.sample.at(low) + self.sample.at(high))

    @property
    def mean(self) -> float:
        """Mean; NaN for none."""
        return self.sample.sums(self.first, self.last)[0] / self.size if self.size else float("nan")

    @property
    def sigma(self) -> float:
        """Standard deviation; NaN for none."""
        return self.spread_about(self.mean)

    def spread_about(self, center: float) -> float:
        """Root mean square distance from `center`; NaN for none."""
        if self.size == 0:
            return float("nan")
        total, squares = self.sample.sums(self.first, self.last)
        mean = total / self.size
        variance = max(squares / self.size - mean * mean, 0.0)
        return float(np.sqrt(variance + (mean - center) ** 2))

    def between(self, low: float, high: float) -> "Part":
        """The values from `low` to `high`, both included."""
        first = max(self.first, self.sample.count_below(low, inclusive=False))
        last = min(self.last, self.sample.count_below(high, inclusive=True))
        return Part(self.sample, first, max(first, last))

    def values(self) -> Float64:
        """The values, in no order."""
        return self.sample.values(self.first, self.last)
