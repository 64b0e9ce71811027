"""Where a frame lies on its detector, and how a reference is cut to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwcal.core.errors import InvalidReference
from jwcal.core.metadata import Metadata
from jwcal.core.stripes import DETECTOR_LINES, StripeReadout, stripe_readout


@dataclass(frozen=True, slots=True)
class Subarray:
    """Corner (1-based) and size of a frame on its full detector, in the science orientation."""

    xstart: int
    ystart: int
    xsize: int
    ysize: int
    name: str = ""
    stripes: StripeReadout | None = None
    """Which detector lines the frame holds, None for ordinary frames."""
    irs2: bool = False
    """Whether the frame holds interleaved reference pixels (3200 rows)."""
    stacked: bool = False
    """Whether the frame is a stack of image strips, which has no one place on the detector."""

    @classmethod
    def of_exposure(cls, metadata: Metadata, shape: tuple[int, ...]) -> "Subarray":
        """Subarray of an exposure whose frames have `shape` ``(..., ny, nx)``; the array's size wins."""
        return cls(
            xstart=int(metadata.require("subarray.xstart")),
            ystart=int(metadata.require("subarray.ystart")),
            xsize=int(shape[-1]),
            ysize=int(shape[-2]),
            name=str(metadata.get("subarray.name", "")),
            stripes=stripe_readout(metadata, int(shape[-2]), int(shape[-1])),
            irs2=metadata.is_irs2,
            stacked=metadata.get("exposure.type") == "FGS_ID-STACK",
        )

    def holds(self, target: "Subarray") -> bool:
        """Whether `target` lies in it."""
        x, y = target.xstart - self.xstart, target.ystart - self.ystart
        return x >= 0 and y >= 0 and x + target.xsize <= self.xsize and y + target.ysize <= self.ysize


def cut(plane: NDArray[Any], own: Subarray, target: Subarray, *, file: str) -> NDArray[Any]:
    """The part of `plane` ``(..., ny, nx)`` that covers `target`; `plane` itself where they match.

    Superstripe exposures get a plane for each position, ``(positions, ny, nx)``, and nothing matches them.
    """
    same_place = (own.xstart, own.ystart) == (target.xstart, target.ystart)
    superstripes = target.stripes is not None and target.stripes.superstripes > 0
    if same_place and plane.shape[-2:] == (target.ysize, target.xsize) and not superstripes:
        return plane
    if target.stripes is not None:
        return _cut_stripes(plane, own, target, target.stripes, file=file)
    if target.irs2 and plane.shape[-2:] == (2048, 2048) and (target.ysize, target.xsize) == (3200, 2048):
        return plane
    x, y = target.xstart - own.xstart, target.ystart - own.ystart
    if x < 0 or y < 0 or x + target.xsize > plane.shape[-1] or y + target.ysize > plane.shape[-2]:
        raise InvalidReference(
            f"covers {plane.shape[-1]} x {plane.shape[-2]} pixels from ({own.xstart}, {own.ystart}), "
            f"the exposure needs "
            f"{target.xsize} x {target.ysize} from ({target.xstart}, {target.ystart})",
            file=file,
            remedy="give a full-frame reference or one of this subarray",
        )
    return np.ascontiguousarray(plane[..., y : y + target.ysize, x : x + target.xsize])


def _cut_stripes(
    plane: NDArray[Any], own: Subarray, target: Subarray, stripes: StripeReadout, *, file: str
) -> NDArray[Any]:
    """The lines that a multistripe readout reads; `plane` must hold all of the detector's."""
    start, size = (
        (target.xstart - own.xstart, target.xsize) if stripes.slow_is_y else (target.ystart - own.ystart, target.ysize)
    )
    across, along = (-2, -1) if stripes.slow_is_y else (-1, -2)
    if plane.shape[across] != DETECTOR_LINES or start < 0 or start + size > plane.shape[along]:
        raise InvalidReference(
            f"covers {plane.shape[-1]} x {plane.shape[-2]} pixels from ({own.xstart}, {own.ystart}), "
            f"the exposure's stripes may lie anywhere on the detector",
            file=file,
            remedy="give a full-frame reference",
        )
    if stripes.superstripes and plane.ndim != 2:
        raise InvalidReference(
            f"has {plane.ndim} axes and cannot be cut to superstripes",
            file=file,
            remedy="let refpix run: it puts superstripes together",
        )
    part = np.s_[..., start : start + size] if stripes.slow_is_y else np.s_[..., start : start + size, :]
    lines = stripes.science_lines if stripes.superstripes else stripes.science_lines[0]
    taken = plane[part].take(lines, axis=across)
    if stripes.superstripes and not stripes.slow_is_y:
        taken = np.moveaxis(taken, 0, 1)
    return np.ascontiguousarray(taken)
