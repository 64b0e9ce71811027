"""What is true of each pixel: the maps that references publish and exposures obey."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float32, UInt32
from jwcal.core.dqflags import PIXEL_FLAGS
from jwcal.observatory.mode import Mode
from jwcal.observatory.randomness import smooth_field, stream

BUILT = 20211225
"""Seed of the detectors: they are the same in every world."""

Mask = NDArray[np.bool_]

COUPLING = np.array([[0.0002, 0.0050, 0.0002], [0.0055, 0.0, 0.0055], [0.0002, 0.0050, 0.0002]])
"""Interpixel capacitance: what a pixel's neighbours see of its signal."""
COUPLING[1, 1] = 1.0 - COUPLING.sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Maps of the pixels that a mode reads ``(ny, nx)``, science frame."""

    reference: Mask
    """Reference pixels: electronics without a photodiode."""
    dead: Mask
    hot: Mask
    open: Mask
    beside_open: Mask
    low_efficiency: Mask
    rc: Mask
    telegraph: Mask
    bad_reference: Mask
    unknown_saturation: Mask
    unknown_linearity: Mask
    unknown_gain: Mask
    unknown_flat: Mask
    unreliable_dark: Mask
    gain: Float32
    cds_noise: Float32
    bias: Float32
    quadratic: Float32
    cubic: Float32
    """Linear signal = raw + quadratic raw^2 + cubic raw^3 (from the bias; MIRI: from zero)."""
    well: Float32
    """DN above the bias where saturation starts."""
    flat: Float32
    dark: Float32
    """e-/s."""

    def flags(self) -> UInt32:
        """Published bad-pixel flags, standard bits."""
        dq = np.zeros(self.gain.shape, np.uint32)
        for where, names in (
            (self.dead, ("DEAD", "DO_NOT_USE")),
            (self.open, ("OPEN", "DO_NOT_USE")),
            (self.beside_open, ("ADJ_OPEN",)),
            (self.hot, ("HOT",)),
            (self.hot & (self.dark > 100), ("DO_NOT_USE",)),
            (self.low_efficiency, ("LOW_QE",)),
            (self.rc, ("RC",)),
            (self.telegraph, ("TELEGRAPH",)),
            (self.bad_reference, ("BAD_REF_PIXEL", "DO_NOT_USE")),
            (self.reference, ("REFERENCE_PIXEL",)),
        ):
            for name in names:
                dq[where] |= np.uint32(PIXEL_FLAGS[name])
        return dq

    def linearised(self, raw: Float32) -> Float32:
        """Linear signal of a raw one."""
        return np.asarray(raw * (1 + raw * (self.quadratic + self.cubic * raw)), np.float32)

    def response(self, linear: Float32) -> Float32:
        """Raw signal of a linear one: three Newton steps from the second-order inverse."""
        raw = linear * (1 - linear * self.quadratic)
        for _ in range(3):
            value = raw * (1 + raw * (self.quadratic + self.cubic * raw)) - linear
            raw -= value / (1 + raw * (2 * self.quadratic + 3 * self.cubic * raw))
        return np.asarray(raw, np.float32)


@lru_cache(maxsize=1)
def pixels(mode: Mode) -> Pixels:
    """The pixels a mode reads; the last answer is kept."""
    return _build(mode)


def reference_pixels(mode: Mode) -> Mask:
    """Where the frame shows reference pixels: four columns at the sides, and rows except on MIRI."""
    ny, nx = mode.detector.shape
    y = np.arange(mode.shape[0]) + mode.corner[1] - 1
    x = np.arange(mode.shape[1]) + mode.corner[0] - 1
    columns = (x < 4) | (x >= nx - 4)
    rows = (y < 4) | (y >= ny - 4) if mode.instrument != "MIRI" else np.zeros(y.shape, bool)
    return np.asarray(rows[:, None] | columns[None, :])


def _build(mode: Mode) -> Pixels:
    detector, shape = mode.detector, mode.shape
    rng = stream(BUILT, mode.site)
    miri = mode.instrument == "MIRI"
    reference = reference_pixels(mode)

    def pick(fraction: float, *, of_reference: bool = False) -> Mask:
        chosen = np.zeros(shape, bool)
        count = max(2, int(fraction * chosen.size))
        chosen[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = True
        return chosen & (reference if of_reference else ~reference)

    dead, hot, low, open_ = pick(4e-4), pick(1.5e-3), pick(3e-4), pick(5e-5)
    beside = np.zeros(shape, bool)
    beside[1:] |= open_[:-1]
    beside[:-1] |= open_[1:]
    beside[:, 1:] |= open_[:, :-1]
    beside[:, :-1] |= open_[:, 1:]
    beside &= ~open_ & ~reference
    telegraph = pick(3e-4)
    gain = (detector.gain * (1 + smooth_field(rng, shape, 128, 0.015))).astype(np.float32)
    noise = detector.cds_noise * np.exp(0.08 * rng.standard_normal(shape, dtype=np.float32))
    noise[telegraph] *= 4.0
    bias = detector.bias + smooth_field(rng, shape, 64, 250.0) + 60 * rng.standard_normal(shape, dtype=np.float32)
    bias += _output_levels(mode)
    quadratic = 4e-7 * (1 + smooth_field(rng, shape, 128, 0.10)) * (1 + 0.03 * _noise(rng, shape))
    cubic = 6e-12 * (1 + 0.02 * _noise(rng, shape))
    if miri:
        quadratic, cubic = 3 * quadratic, 2 * cubic
    quadratic[reference] = cubic[reference] = 0
    well = detector.well * (1 + smooth_field(rng, shape, 128, 0.02)) * (1 + 0.01 * _noise(rng, shape))
    flat = 1 + smooth_field(rng, shape, 96, 0.03) + 0.006 * _noise(rng, shape)
    flat[low] *= 0.5
    flat[beside] *= 1.15
    flat[open_] = 0.05
    flat[dead] = 0.01
    dark = detector.dark * np.exp(0.3 * _noise(rng, shape))
    dark[hot] = 10 ** rng.uniform(0.0, 2.5, int(hot.sum()))
    dark[reference] = 0
    return Pixels(
        reference=reference,
        dead=dead,
        hot=hot,
        open=open_,
        beside_open=beside,
        low_efficiency=low,
        rc=pick(2e-4),
        telegraph=telegraph,
        bad_reference=pick(1e-4, of_reference=True),
        unknown_saturation=pick(2e-5),
        unknown_linearity=pick(5e-5),
        unknown_gain=pick(1e-5),
        unknown_flat=pick(1e-4),
        unreliable_dark=pick(3e-4),
        gain=gain,
        cds_noise=noise.astype(np.float32),
        bias=bias.astype(np.float32),
        quadratic=quadratic.astype(np.float32),
        cubic=cubic.astype(np.float32),
        well=well.astype(np.float32),
        flat=flat.astype(np.float32),
        dark=dark.astype(np.float32),
    )


def _noise(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    return rng.standard_normal(shape, dtype=np.float32)


def _output_levels(mode: Mode) -> Float32:
    """Level of each output: four stripes across the fast axis, four interleaved columns on MIRI."""
    _ny, nx = mode.shape
    if mode.instrument == "MIRI":
        return np.asarray(60.0 * (np.arange(nx) % 4)[None, :], np.float32)
    if not mode.is_full:
        return np.zeros((1, 1), np.float32)
    levels = np.repeat(np.array([0.0, 180.0, -90.0, 130.0], np.float32), 512)
    return np.asarray(levels[None, :] if abs(mode.detector.fast) == 1 else levels[:, None], np.float32)
