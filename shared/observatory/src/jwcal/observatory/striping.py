"""Frames of a multistripe mode: which pixels they show, and what calibrated products show."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float32
from jwcal.core.metadata import Metadata
from jwcal.core.stripes import DETECTOR_LINES, StripeReadout, stripe_readout
from jwcal.observatory.detector import Pixels
from jwcal.observatory.mode import Mode
from jwcal.observatory.scene import Scene, make_scene

Lines = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Striping:
    """The geometry of a multistripe mode; lines are those of the science frame, from 0."""

    mode: Mode
    readout: StripeReadout

    @classmethod
    def of(cls, mode: Mode) -> "Striping":
        """Striping of a mode that has stripes."""
        assert mode.stripes is not None
        metadata = Metadata()
        for path, value in mode.stripes.keywords().items():
            metadata.set(path, value)
        metadata.set("subarray.name", mode.subarray)
        metadata.set("subarray.slowaxis", mode.detector.slow)
        metadata.set("subarray.xstart", mode.corner[0])
        metadata.set("subarray.ystart", mode.corner[1])
        readout = stripe_readout(metadata, *mode.shape)
        assert readout is not None
        return cls(mode, readout)

    @property
    def reads(self) -> int:
        """Stripes of a frame, read one after the other."""
        return len(self.readout.stripes(0))

    @property
    def shares(self) -> NDArray[np.float64]:
        """Time from each read of a frame to the next, in units of the mean: the first comes after the frame's reset."""
        stripe = self.readout.reads1 * self.readout.repeats + self.readout.reads2
        lines = np.full(self.reads, float(stripe))
        lines[0] += 1 if self.mode.noutputs == 4 else 2
        shares: NDArray[np.float64] = lines / lines.mean()
        return shares

    @property
    def collated(self) -> bool:
        """Whether pipelines put the frames together."""
        return self.readout.superstripes > 0

    @property
    def product_lines(self) -> Lines:
        """The line of each line of a calibrated product."""
        if not self.collated:
            lines: Lines = self.readout.science_lines[0]
            return lines
        first, count = self.readout.field(self.mode.subarray)
        start = DETECTOR_LINES - first - count if self.readout.backwards else first
        return np.arange(start, start + count)

    @property
    def product_corner(self) -> tuple[int, int]:
        """x and y of a product's first pixel, 1-based; that of the frames where products are frames."""
        if not self.collated:
            return self.mode.corner
        start = int(self.product_lines[0]) + 1
        return (self.mode.corner[0], start) if self.readout.slow_is_y else (start, self.mode.corner[1])

    @property
    def product_groups(self) -> int:
        """Groups that pipelines make of each group: stripes read again become groups of their own."""
        return self.reads if self.collated else 1

    def read_at(self, position: int) -> Lines:
        """Which read of its frame each frame line comes from, at a superstripe position, in science order."""
        number = np.zeros(self.readout.length, np.int64)
        ends = [stripe.frame + stripe.lines for stripe in self.readout.stripes(position)]
        for end in ends[:-1]:
            number[end:] += 1
        return number[::-1] if self.readout.backwards else number

    def take(self, plane: NDArray[Any], lines: Lines) -> NDArray[Any]:
        """Lines of a whole detector's plane ``(ny, nx)``, along the fast axis as far as frames reach."""
        x, y = self.mode.corner[0] - 1, self.mode.corner[1] - 1
        if self.readout.slow_is_y:
            return plane[lines, x : x + self.mode.size[0]]
        return plane[y : y + self.mode.size[1], lines]

    def pixels(self, maps: Pixels, lines: Lines) -> Pixels:
        """The same of every map."""
        return replace(maps, **{field.name: self.take(getattr(maps, field.name), lines) for field in fields(maps)})

    def scene(self, rng: np.random.Generator, nints: int, exposure_time: float) -> tuple[Scene, Float32]:
        """A scene as products show it, and its light on the whole detector."""
        whole = self.mode.whole_detector
        if not self.collated:
            scene = make_scene(whole, rng, nints, exposure_time)
            return replace(scene, image=self.take(scene.image, self.product_lines)), scene.image
        nx, ny = self.mode.size
        size = (nx, self.product_lines.size) if self.readout.slow_is_y else (self.product_lines.size, ny)
        scene = make_scene(replace(whole, size=size), rng, nints, exposure_time)
        light = np.full(whole.shape, self.mode.sky, np.float32)
        x, y = self.product_corner[0] - 1, self.product_corner[1] - 1
        light[y : y + size[1], x : x + size[0]] = scene.image
        return scene, light
