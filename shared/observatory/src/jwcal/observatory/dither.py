"""Dithers: exposures of one field, each with the telescope pointed a little elsewhere."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dither:
    """One exposure of a pattern."""

    number: int = 1
    """From 1; the exposure's number in its file name."""
    x: float = 0.0
    """Pixels by which the field is shifted on the detector."""
    y: float = 0.0
    points: int = 1
    """Exposures of the pattern."""


UNDITHERED = Dither()


def box(width: float = 8.25) -> tuple[Dither, ...]:
    """Four exposures at the corners of a parallelogram; the half pixels sample the stars more finely."""
    corners = ((0.0, 0.0), (width, 0.5), (width + 0.5, width + 0.25), (0.25, width))
    return tuple(Dither(number, x, y, len(corners)) for number, (x, y) in enumerate(corners, start=1))
