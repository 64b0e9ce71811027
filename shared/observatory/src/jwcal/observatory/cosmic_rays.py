"""Charge that does not come from the sky: particle tracks, snowballs, and MIRI's showers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jwcal.observatory.mode import Mode

EVENTS_PER_SECOND = 5.0
"""Hits per cm^2 and s at L2."""
PIXEL_AREA = {"MIRI": (25e-4) ** 2}
"""cm^2; 18 micrometre pixels elsewhere."""
SNOWBALLS_PER_PIXEL_SECOND = 4e-9
SHOWERS_PER_PIXEL_SECOND = 3e-8


@dataclass(frozen=True, slots=True)
class Deposit:
    """Charge of one frame: pixels and electrons."""

    y: NDArray[np.intp]
    x: NDArray[np.intp]
    electrons: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LargeEvent:
    """A snowball or a shower."""

    kind: str
    integration: int
    group: int
    y: float
    x: float
    radius: float


@dataclass(slots=True)
class Particles:
    """Draws the particles of an exposure, frame by frame, and remembers them."""

    mode: Mode
    rng: np.random.Generator
    frames: int
    """Frames of the whole exposure."""
    large: list[LargeEvent] = field(default_factory=list)
    _at: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ny, nx = self.mode.shape
        if self.mode.snowballs or self.mode.showers:
            rate = SNOWBALLS_PER_PIXEL_SECOND if self.mode.snowballs else SHOWERS_PER_PIXEL_SECOND
            count = max(1, self.rng.poisson(rate * ny * nx * self.frames * self.mode.frame_time))
            for frame in self.rng.integers(1, max(2, self.frames), count):
                self._at[int(frame)] = self._at.get(int(frame), 0) + 1

    def strike(self, frame: int, integration: int, group: int) -> Deposit:
        """What arrives during frame number `frame` of the exposure."""
        large = self._snowball if self.mode.snowballs else self._shower
        parts = [self._tracks(), *(large(integration, group) for _ in range(self._at.get(frame, 0)))]
        y = np.concatenate([part.y for part in parts])
        x = np.concatenate([part.x for part in parts])
        electrons = np.concatenate([part.electrons for part in parts])
        inside = (y >= 0) & (y < self.mode.shape[0]) & (x >= 0) & (x < self.mode.shape[1])
        return Deposit(y[inside], x[inside], electrons[inside])

    def _tracks(self) -> Deposit:
        ny, nx = self.mode.shape
        area = PIXEL_AREA.get(self.mode.instrument, (18e-4) ** 2)
        count = self.rng.poisson(EVENTS_PER_SECOND * area * ny * nx * self.mode.frame_time)
        length, angle = self.rng.exponential(2.0, count), self.rng.uniform(0, np.pi, count)
        charge = np.exp(self.rng.normal(7.2, 1.1, count)) * (0.4 if self.mode.instrument == "MIRI" else 1.0)
        y0, x0 = self.rng.uniform(0, ny, count), self.rng.uniform(0, nx, count)
        steps = np.maximum(1, (3 * length).astype(int))
        event = np.repeat(np.arange(count), steps)
        step = np.arange(event.size) - np.repeat(np.cumsum(steps) - steps, steps)
        along = length[event] * step / np.maximum(1, steps[event] - 1)
        y = np.floor(y0[event] + along * np.sin(angle[event])).astype(np.intp)
        x = np.floor(x0[event] + along * np.cos(angle[event])).astype(np.intp)
        return Deposit(y, x, charge[event] / steps[event] * np.maximum(1.0, 0.5 * length[event]))

    def _place(self) -> tuple[float, float]:
        ny, nx = self.mode.shape
        return float(self.rng.uniform(0, ny)), float(self.rng.uniform(0, nx))

    def _snowball(self, integration: int, group: int) -> Deposit:
        """A saturated core within a faint halo."""
        radius = float(self.rng.uniform(2.0, 3.5) if min(self.mode.shape) < 1000 else self.rng.uniform(4.0, 11.0))
        cy, cx = self._place()
        reach = int(4 * radius)
        dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        distance = np.hypot(dy, dx)
        halo = 1200.0 * np.exp(-(((distance - radius) / (0.7 * radius)) ** 2))
        electrons = np.where(distance <= radius, 2.5e5, halo).ravel()
        keep = electrons > 20
        self.large.append(LargeEvent("snowball", integration, group, cy, cx, radius))
        return Deposit(
            (int(cy) + dy).ravel()[keep].astype(np.intp), (int(cx) + dx).ravel()[keep].astype(np.intp), electrons[keep]
        )

    def _shower(self, integration: int, group: int) -> Deposit:
        """Faint light over some hundred pixels, stretched in a random direction."""
        limit = 0.12 * min(self.mode.shape)
        radius = float(self.rng.uniform(min(8.0, 0.5 * limit), min(35.0, limit)))
        cy, cx = self._place()
        ratio, angle = self.rng.uniform(0.4, 1.0), self.rng.uniform(0, np.pi)
        reach = int(2.5 * radius)
        dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        noise = self.mode.detector.cds_noise * self.mode.detector.gain
        faint = (
            self.rng.uniform(1.5, 3.0) * noise * np.exp(-0.5 * ((along / radius) ** 2 + (across / ratio / radius) ** 2))
        )
        electrons = faint.ravel()
        keep = electrons > 0.1 * noise
        self.large.append(LargeEvent("shower", integration, group, cy, cx, radius))
        return Deposit(
            (int(cy) + dy).ravel()[keep].astype(np.intp), (int(cx) + dx).ravel()[keep].astype(np.intp), electrons[keep]
        )
