"""Ellipses that stand for large events: what they contain, and how they grow."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ellipse:
    """Centre and axis lengths in pixels, orientation in degrees as scikit-image defines it."""

    x: float
    y: float
    minor: float
    major: float
    angle: float

    def contains(self, x: float, y: float) -> bool:
        """Whether a point lies inside, the long axis being laid along the rotated x."""
        turn = np.radians(180 - self.angle)
        dx, dy = x - self.x, y - self.y
        along = dx * np.cos(turn) - dy * np.sin(turn)
        across = dx * np.sin(turn) + dy * np.cos(turn)
        long, short = max(self.minor, self.major) / 2, min(self.minor, self.major) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return bool(
                np.float64(along) ** 2 / np.float64(long) ** 2 + np.float64(across) ** 2 / np.float64(short) ** 2 <= 1
            )


def cover(
    shape: tuple[int, int], x: float, y: float, width: float, height: float, angle: float
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Window of a frame of `shape` around an ellipse with full axes `width`, `height`, and its pixels in it."""
    column, row = round(x), round(y)
    reach = max(round(width / 2), round(height / 2)) + 2
    x0, x1 = max(column - reach, 0), min(column + reach + 1, shape[1])
    y0, y1 = max(row - reach, 0), min(row + reach + 1, shape[0])
    inside = np.zeros((y1 - y0, x1 - x0), bool)
    short, long = round(width / 2), round(height / 2)
    if short != 0 and long != 0:
        from skimage import draw

        rows, columns = draw.ellipse(row - y0, column - x0, long, short, inside.shape, np.radians(angle))
        inside[rows, columns] = True
    return (slice(y0, y1), slice(x0, x1)), inside


def grown_axes(shape: Ellipse, factor: float, limit: float) -> tuple[int, int]:
    """Full axes after growth: the shorter times `factor`, the longer by as many pixels."""
    width, height = shape.minor, shape.major
    if height < width:
        width, height = width + (factor - 1) * height, height * factor
    else:
        width, height = width * factor, height + (factor - 1) * width
    return 2 * round(min(width, limit) / 2), 2 * round(min(height, limit) / 2)


def flagged_groups(first: int, extra: int, ngroups: int) -> Iterator[int]:
    """Groups from `first` to `extra` later, within the ramp."""
    yield from range(first, min(first + extra + 1, ngroups))
