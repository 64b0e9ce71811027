"""Expose: from light to the raw numbers of a ramp, the calibration steps backwards."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve

from jwcal.core.array_types import Float32
from jwcal.observatory import interleaving, mid_infrared
from jwcal.observatory.cosmic_rays import LargeEvent, Particles
from jwcal.observatory.detector import COUPLING, Pixels
from jwcal.observatory.mode import Mode
from jwcal.observatory.noise import ReadoutNoise, interleaved_frame
from jwcal.observatory.scene import Scene

_CEILING = 1.015
"""A pixel holds this much more than where its saturation starts."""
_SPILL = 0.7
"""Share of the charge above the ceiling that moves to the neighbours; the rest recombines."""
_SPILL_STEPS = 12

HIT = np.dtype(
    [("integration", "i4"), ("group", "i4"), ("y", "i4"), ("x", "i4"), ("electrons", "f4"), ("visible", "f4")]
)


@dataclass(slots=True, kw_only=True)
class RawExposure:
    """Raw numbers and what is true about them."""

    data: NDArray[np.uint16]
    zeroframe: NDArray[np.uint16] | None = None
    refout: NDArray[np.uint16] | None = None
    hits: NDArray[np.void]
    """Cosmic-ray charge by integration, group (0-based, the first that shows it) and pixel,
    with the share of the charge that this first group sees when it averages several frames."""
    large: list[LargeEvent] = field(default_factory=list)


def expose(mode: Mode, pixels: Pixels, scene: Scene, ngroups: int, rng: np.random.Generator) -> RawExposure:
    """Take the exposure."""
    nints = scene.light_curve.size
    pattern = mode.pattern
    rows = interleaving.WIDTH if mode.is_irs2 else mode.shape[0]
    data = np.zeros((nints, ngroups, rows, mode.shape[1]), np.uint16)
    zeroframe = np.zeros((nints, *mode.shape), np.uint16) if mode.zeroframe else None
    refout = None
    if mode.instrument == "MIRI" and mode.is_full:
        refout = rng.integers(9900, 10100, (nints, ngroups, mode.shape[0], mode.shape[1] // 4), dtype=np.uint16)
    camera = Camera(mode, pixels, scene, ngroups, rng, Particles(mode, rng, nints * pattern.frames(ngroups)))
    for integration in range(nints):
        camera.begin(integration)
        for group in range(ngroups):
            signal, first_frame = camera.group(integration, group)
            data[integration, group] = digitised(camera.read(signal, integration, group))
            if zeroframe is not None and group == 0:
                zeroframe[integration] = digitised(first_frame + camera.noise.group(1))
    return RawExposure(
        data=data, zeroframe=zeroframe, refout=refout, hits=camera.recorded(), large=camera.particles.large
    )


def digitised(frame: Float32) -> NDArray[np.uint16]:
    """What the 16-bit converter makes of a frame in DN."""
    return np.clip(np.rint(frame), 0, 65535).astype(np.uint16)


class Camera:
    """The charge on the pixels and the electronics that read it."""

    def __init__(
        self,
        mode: Mode,
        pixels: Pixels,
        scene: Scene,
        ngroups: int,
        rng: np.random.Generator,
        particles: Particles,
    ) -> None:
        self._mode, self._pixels, self._rng, self._ngroups = mode, pixels, rng, ngroups
        self.particles = particles
        self._light = np.where(pixels.reference, 0, scene.image * pixels.flat)
        self._curve = scene.light_curve
        empty = pixels.bias if mode.instrument == "MIRI" else np.zeros_like(pixels.bias)
        full = pixels.linearised(empty + _CEILING * pixels.well)
        self._ceiling = (full - pixels.linearised(empty)) * pixels.gain
        self._charge = np.zeros(mode.shape, np.float32)
        self._frame = 0
        self._hits: list[NDArray[np.void]] = []
        self.noise = ReadoutNoise(mode, pixels, rng)
        self._emi = mid_infrared.Interference(mode, ngroups, rng) if mode.instrument == "MIRI" else None
        self._sample_levels = (mode.detector.bias + rng.normal(0, 200.0, interleaving.WIDTH)).astype(np.float32)

    def begin(self, integration: int) -> None:
        """Reset."""
        self._charge[:] = 0
        self.noise = ReadoutNoise(self._mode, self._pixels, self._rng)
        self._expected = (self._light * self._curve[integration] + self._pixels.dark) * self._mode.frame_time

    def group(self, integration: int, group: int, *, share: float = 1.0) -> tuple[Float32, Float32]:
        """Mean of the group's frames and its first frame, DN without noise.

        `share` of a frame time passes before each frame.
        """
        pattern = self._mode.pattern
        total = first = np.zeros(0, np.float32)
        for frame in range(pattern.nframes):
            passed = 1 + (pattern.groupgap if group and frame == 0 else 0)
            self._charge += self._rng.poisson(self._expected * (passed * share))
            for _ in range(passed):
                self._strike(integration, group, 1 - frame / pattern.nframes)
                self._frame += 1
            _spill_inplace(self._charge, self._ceiling, self._pixels.reference)
            raw = self._raw()
            first = first if frame else raw
            total = total + raw if frame else raw.copy()
        return total / np.float32(pattern.nframes), first

    def _strike(self, integration: int, group: int, visible: float) -> None:
        deposit = self.particles.strike(self._frame, integration, group)
        science = ~self._pixels.reference[deposit.y, deposit.x]
        y, x, electrons = deposit.y[science], deposit.x[science], deposit.electrons[science]
        np.add.at(self._charge, (y, x), electrons.astype(np.float32))
        hits = np.zeros(y.size, HIT)
        hits["integration"], hits["group"] = integration, group
        hits["y"], hits["x"], hits["electrons"], hits["visible"] = y, x, electrons, visible
        self._hits.append(hits)

    def _raw(self) -> Float32:
        """The frame in DN: gain, non-linearity, full well, bias, interpixel capacitance."""
        pixels = self._pixels
        linear = self._charge / pixels.gain
        limit = _CEILING * pixels.well
        if self._mode.instrument == "MIRI":  # not linear from zero, below the bias
            raw = np.minimum(pixels.response(linear + pixels.linearised(pixels.bias)), pixels.bias + limit)
        else:
            raw = np.minimum(pixels.response(linear), limit) + pixels.bias
        return _coupled(raw, pixels.reference)

    def read(self, signal: Float32, integration: int, group: int) -> Float32:
        """The group as it leaves the electronics, DN."""
        mode = self._mode
        self.noise.drift()
        out = signal + self.noise.group(mode.pattern.nframes)
        if mode.instrument == "MIRI":
            out += mid_infrared.reset_anomaly(mode, integration, group)
            out += np.float32(mid_infrared.end_effect(group, self._ngroups))
        if self._emi is not None:
            out += self._emi.signal(integration, group)
        if mode.is_irs2:
            return interleaved_frame(out, mode, self._rng, self._sample_levels)
        return out

    def recorded(self) -> NDArray[np.void]:
        """Hits summed by integration, group and pixel."""
        hits = np.concatenate(self._hits) if self._hits else np.zeros(0, HIT)
        place, inverse = np.unique(hits[["integration", "group", "y", "x"]], return_inverse=True)
        out = np.zeros(place.size, HIT)
        for name in ("integration", "group", "y", "x"):
            out[name] = place[name]
        out["electrons"] = np.bincount(inverse, hits["electrons"], minlength=place.size)
        seen = np.bincount(inverse, hits["electrons"] * hits["visible"], minlength=place.size)
        out["visible"] = seen / np.maximum(out["electrons"], 1e-6)
        return out


def _coupled(raw: Float32, reference: NDArray[np.bool_]) -> Float32:
    """Interpixel capacitance among the science pixels."""
    rows, columns = np.flatnonzero(~reference.all(axis=1)), np.flatnonzero(~reference.all(axis=0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    out = raw.copy()
    out[part] = convolve(raw[part], COUPLING.astype(np.float32), mode="nearest")
    return out


def _spill_inplace(charge: Float32, ceiling: Float32, reference: NDArray[np.bool_]) -> None:
    """Charge above a full pixel's ceiling flows to its four neighbours, a few pixels far."""
    y, x = np.nonzero(charge > ceiling)
    ny, nx = charge.shape
    for _ in range(_SPILL_STEPS):
        if not y.size:
            return
        excess = charge[y, x] - ceiling[y, x]
        charge[y, x] = ceiling[y, x]
        neighbours = np.concatenate([(y + dy) * nx + x + dx for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))])
        inside = np.concatenate([x < nx - 1, x > 0, y < ny - 1, y > 0])
        shares = np.tile(_SPILL / 4 * excess, 4)[inside]
        places = neighbours[inside]
        open_ = ~reference.ravel()[places]
        places, shares = places[open_], shares[open_]
        flat = charge.reshape(-1)
        np.add.at(flat, places, shares)
        places = np.unique(places)
        full = places[flat[places] > ceiling.reshape(-1)[places]]
        y, x = np.divmod(full, nx)
    charge[y, x] = np.minimum(charge[y, x], ceiling[y, x])
