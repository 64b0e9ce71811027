"""Multistripe readout: which detector lines a frame is made of.

A line is a row or column across the slow axis, numbered from 0 in the order the detector can be read.  A frame starts
with ``reads1`` lines at the subarray's start (reference pixels, usually), passes over ``skips1`` and reads a stripe of
``reads2`` lines; more stripes follow until the frame is full.  Superstripe exposures move the stripe on by ``step``
lines after each integration: `positions` of them in turn make up one integration of the whole field.

Source: the keywords MSTR_* and SSTR_* of the JWST keyword dictionary.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwcal.core.errors import InvalidKeyword
from jwcal.core.metadata import Metadata

DETECTOR_LINES = 2048
"""Lines of the detectors that can be read in stripes."""
WHOLE_DETECTOR = ("SUB17STRIPE_SOSS", "SUB60STRIPE_SOSS", "SUB204STRIPE_SOSS", "SUB680STRIPE_SOSS")
"""Superstripe subarrays whose fields have all lines of the detector, read or not."""


@dataclass(frozen=True, slots=True)
class Stripe:
    """Neighbouring lines read one after the other."""

    frame: int
    """First line in the frame."""
    detector: int
    """First line on the detector."""
    lines: int


@dataclass(frozen=True, kw_only=True)
class StripeReadout:
    """How the lines of a frame were chosen."""

    reads1: int
    """Lines read at the start, before each stripe where `repeats`."""
    skips1: int
    """Lines passed over after them."""
    reads2: int
    """Lines of a stripe."""
    skips2: int
    """Lines between stripes."""
    repeats: bool
    """Whether every stripe starts again from the subarray's start."""
    interleaves: bool
    """Whether such a stripe lies beyond the one before, and does not read the same lines once more."""
    step: int = 0
    """Lines from one superstripe position to the next."""
    superstripes: int = 0
    """Superstripe positions of an integration; 0 where the stripe does not move."""
    start: int
    """Detector line where the readout starts."""
    length: int
    """Lines of the frame."""
    slow_is_y: bool
    """Whether lines are rows of the science frame."""
    backwards: bool
    """Whether the science frame counts lines against the readout."""

    @property
    def positions(self) -> int:
        """Kinds of frames: superstripe positions, or 1."""
        return max(1, self.superstripes)

    def stripes(self, position: int) -> tuple[Stripe, ...]:
        """The stripes of the frame at a superstripe position."""
        return tuple(stripe for stripe, leading in self._walk(position) if not leading)

    def _walk(self, position: int) -> Iterator[tuple[Stripe, bool]]:
        """The readout in order; True marks lines read at the start."""
        offset = self.skips1 + self.step * position
        frame, head, count = 0, self.start, 0
        while frame < self.length:
            if count == 0 or self.repeats:
                if self.reads1:
                    yield Stripe(frame, self.start, self.reads1), True
                frame += self.reads1
                head = self.start + self.reads1 + offset
                if count and self.interleaves:  # the superstripe position does not count here, officially
                    head = self.start + self.reads1 + self.skips1 + count * (self.reads2 + self.skips2)
            else:
                head += self.skips2
            yield Stripe(frame, head, self.reads2), False
            frame += self.reads2
            head += self.reads2
            count += 1

    def field(self, subarray: str) -> tuple[int, int]:
        """First detector line of the field that superstripes of a subarray make up, and its number of lines."""
        if subarray in WHOLE_DETECTOR:
            return 0, DETECTOR_LINES
        every = [stripe for position in range(self.positions) for stripe in self.stripes(position)]
        first = min(stripe.detector for stripe in every)
        return first, max(stripe.detector + stripe.lines for stripe in every) - first

    @cached_property
    def lines(self) -> NDArray[np.int64]:
        """Detector line of each frame line, ``(positions, length)`` in readout order."""
        found = np.empty((self.positions, self.length), np.int64)
        for position, row in enumerate(found):
            for stripe, _ in self._walk(position):
                row[stripe.frame : stripe.frame + stripe.lines] = stripe.detector + np.arange(stripe.lines)
        return found

    @cached_property
    def science_lines(self) -> NDArray[np.int64]:
        """The same in the order and numbering of the science frame."""
        return DETECTOR_LINES - 1 - self.lines[:, ::-1] if self.backwards else self.lines

    def in_readout_order(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of ``(..., ny, nx)`` as ``(..., line, position along the line)``, lines in readout order."""
        upright = array if self.slow_is_y else np.swapaxes(array, -2, -1)
        return upright[..., ::-1, :] if self.backwards else upright


def superstripe_positions(metadata: Metadata) -> int:
    """Superstripe positions of an integration; 0 for exposures of any other readout."""
    return 0 if metadata.get("subarray.num_superstripe") is None else _count(metadata, "num_superstripe")


def stripe_readout(metadata: Metadata, ny: int, nx: int) -> StripeReadout | None:
    """The stripe readout of an exposure whose frames are ``(ny, nx)``; None for ordinary frames.

    Raises
    ------
    MissingKeyword, InvalidKeyword
        A keyword of the readout is absent, or they do not fit the frame or the detector.
    """
    superstripes = superstripe_positions(metadata)
    if metadata.get("subarray.multistripe_reads1") is None and superstripes == 0:
        return None
    slow = int(metadata.require("subarray.slowaxis"))
    slow_is_y = abs(slow) == 2
    step = _count(metadata, "superstripe_step") if superstripes else 0
    reads2 = _count(metadata, "multistripe_reads2")
    if reads2 == 0:
        reads2 = step  # a superstripe as wide as its step
    readout = StripeReadout(
        reads1=_count(metadata, "multistripe_reads1"),
        skips1=_count(metadata, "multistripe_skips1"),
        reads2=reads2,
        skips2=_count(metadata, "multistripe_skips2"),
        repeats=_count(metadata, "repeat_stripe") > 0,
        interleaves=_count(metadata, "interleave_reads1") > 0,
        step=step,
        superstripes=_count(metadata, "num_superstripe"),
        start=_start(metadata, slow, "ystart" if slow_is_y else "xstart"),
        length=ny if slow_is_y else nx,
        slow_is_y=slow_is_y,
        backwards=slow < 0,
    )
    _check(readout, metadata)
    return readout


def _count(metadata: Metadata, name: str) -> int:
    return max(0, int(metadata.require_number(f"subarray.{name}")))


def _start(metadata: Metadata, slow: int, name: str) -> int:
    """Detector line of the first read.

    Stripes give the line that is read first, at the high end of the science frame where the slow axis runs against it.
    Early products say 1 there, and early DHS exposures whatever; both mean the detector's edge.
    """
    first = int(metadata.require(f"subarray.{name}"))
    if "DHS" in str(metadata.get("subarray.name", "")).upper() or (slow < 0 and first == 1):
        return 0
    return DETECTOR_LINES - first if slow < 0 else first - 1


def _check(readout: StripeReadout, metadata: Metadata) -> None:
    if readout.reads2 == 0:
        raise InvalidKeyword(
            "the stripes have no lines",
            file=metadata.source,
            keyword="MSTR_RD2",
            remedy="set MSTR_RD2, or SSTR_STP for superstripes as wide as their step",
        )
    last = readout.stripes(0)[-1]
    if last.frame + last.lines != readout.length:
        raise InvalidKeyword(
            f"stripes of {readout.reads1} + {readout.reads2} lines do not make up a frame of {readout.length}",
            file=metadata.source,
            keyword="MSTR_RD2",
            remedy="correct MSTR_RD1, MSTR_RD2 and MSTR_RPT",
        )
    if readout.lines.min() < 0 or readout.lines.max() >= DETECTOR_LINES:
        raise InvalidKeyword(
            f"stripes reach detector line {readout.lines.max()}",
            file=metadata.source,
            keyword="MSTR_SK1",
            remedy=f"correct MSTR_SK1, MSTR_SK2 and SSTR_STP: there are {DETECTOR_LINES} lines",
        )
