"""What is true of an exposure, and how near a product comes to it."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from jwcal.core.dqflags import DO_NOT_USE, JUMP_DET, SATURATED
from jwcal.observatory.files import replaced

SIZE_EDGES = (4.0, 6.0, 10.0, 20.0, 100.0, float("inf"))
"""Sizes of hits in sigma that `JumpScore` tells apart."""
_UNRELIABLE = (1 << 10) | (1 << 11) | (1 << 14) | (1 << 15) | (1 << 26) | (1 << 27) | (1 << 31)
"""Dead, hot, RC, telegraph, open and reference pixels are not judged."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Science orientation; IRS2's interleaved pixels are left out."""

    electrons: NDArray[np.float32]
    """Light on each pixel, e-/s."""
    slope: NDArray[np.float32]
    """What a pipeline should find, DN/s: light over gain, mean over the integrations, without dark."""
    cosmic_rays: NDArray[np.void]
    """``integration, group, y, x, electrons, visible``; 0-based; group: the first that shows the charge, of which it
    sees the share `visible` when it averages several frames."""
    stars: NDArray[np.void]
    """``x, y, flux`` (0-based, e-/s)."""
    events: NDArray[np.void]
    """Snowballs and showers: ``kind, integration, group, y, x, radius``."""
    light_curve: NDArray[np.float64]
    """Factor on the light by integration."""
    mode: str
    seed: int
    gain: float
    """Mean, e-/DN."""
    read_noise: float
    """Of one group, e-."""
    group_time: float
    """s."""


@dataclass(frozen=True, slots=True)
class SlopeScore:
    """How near a rate image comes to the truth."""

    bias: float
    """Median residual, DN/s."""
    relative_bias: float
    """Median residual over slope among the brightest pixels."""
    scatter: float
    """Robust standard deviation of the residuals, DN/s."""
    pull_width: float
    """Robust standard deviation of residual over ERR: 1 where errors are honest."""
    reduced_chi_square: float
    """Mean squared pull with the worst percent clipped."""
    chi_square_about_drift: float
    """The same, residuals taken about the median of the pixels that drift together: ERR does not know of drifts."""
    pixels: int


@dataclass(frozen=True, slots=True)
class JumpScore:
    """How well cosmic rays were found."""

    completeness: float
    """Share of detectable hits that were flagged."""
    hits: int
    false_alarm_rate: float
    """Share of good samples, away from any hit, that were flagged."""
    samples: int
    by_size: tuple[tuple[float, float, int, int], ...]
    """Between these sizes in sigma: hits, and those found."""


def write_truth(truth: Truth, path: Path) -> None:
    """Write as FITS."""
    primary = fits.PrimaryHDU()
    primary.header["MODE"] = truth.mode
    primary.header["SEED"] = truth.seed
    primary.header["GAIN"] = (truth.gain, "[e-/DN] mean")
    primary.header["RDNOISE"] = (truth.read_noise, "[e-] of one group")
    primary.header["TGROUP"] = (truth.group_time, "[s]")
    hdus = [
        primary,
        fits.ImageHDU(truth.electrons, name="ELECTRONS"),
        fits.ImageHDU(truth.slope, name="SLOPE"),
        fits.BinTableHDU(truth.cosmic_rays, name="COSMIC_RAYS"),
        fits.BinTableHDU(truth.stars, name="STARS"),
        fits.BinTableHDU(truth.events, name="EVENTS"),
        fits.ImageHDU(truth.light_curve, name="LIGHT_CURVE"),
    ]
    with replaced(path) as temporary:
        fits.HDUList(hdus).writeto(temporary, overwrite=True)


def read_truth(path: Path) -> Truth:
    """Read what `write_truth` wrote."""
    with fits.open(path, memmap=False) as hdus:

        def native(name: str) -> NDArray[Any]:
            data = np.asarray(hdus[name].data)
            return data.astype(data.dtype.newbyteorder("="))

        header = hdus[0].header
        return Truth(
            electrons=native("ELECTRONS"),
            slope=native("SLOPE"),
            cosmic_rays=native("COSMIC_RAYS"),
            stars=native("STARS"),
            events=native("EVENTS"),
            light_curve=native("LIGHT_CURVE"),
            mode=str(header["MODE"]),
            seed=int(header["SEED"]),
            gain=float(header["GAIN"]),
            read_noise=float(header["RDNOISE"]),
            group_time=float(header["TGROUP"]),
        )


def _spread(values: NDArray[Any]) -> float:
    low, high = np.percentile(values, [15.865, 84.135])
    return float(high - low) / 2


def _drifting_together(mode: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """A label for each pixel: four interleaved outputs and two row parities of MIRI, the whole frame of others.

    MIRI's subarrays are not corrected by reference pixels, so each output's drift stays in its slopes.
    """
    y, x = np.indices(shape)
    return (x % 4 + 4 * (y % 2)) if mode.startswith("miri") else np.zeros(shape, np.int64)


def _clipped_mean_square(pull: NDArray[Any]) -> float:
    return float(np.mean(pull[np.abs(pull) <= np.percentile(np.abs(pull), 99)] ** 2))


def score_slopes(
    slope: NDArray[np.float32],
    error: NDArray[np.float32],
    dq: NDArray[np.uint32],
    truth: Truth,
    *,
    with_jumps: bool = False,
) -> SlopeScore:
    """Compare a rate image (DN/s) with the truth over pixels that nothing is wrong with.

    `with_jumps` takes those whose only fault is a jump instead.
    """
    bad = np.uint32(DO_NOT_USE | SATURATED | _UNRELIABLE)
    jumped = (dq & np.uint32(JUMP_DET)) != 0
    good = ((dq & bad) == 0) & (jumped == with_jumps) & np.isfinite(slope) & np.isfinite(error) & (error > 0)
    residual = (slope - truth.slope)[good].astype(float)
    expected = truth.slope[good].astype(float)
    pull = residual / error[good]
    bright = expected > np.percentile(expected, 99)
    labels = _drifting_together(truth.mode, slope.shape)[good]
    drift = np.array([np.median(residual[labels == label]) for label in range(labels.max() + 1)])
    return SlopeScore(
        bias=float(np.median(residual)),
        relative_bias=float(np.median(residual[bright] / expected[bright])) if bright.any() else float("nan"),
        scatter=_spread(residual),
        pull_width=_spread(pull),
        reduced_chi_square=_clipped_mean_square(pull),
        chi_square_about_drift=_clipped_mean_square((residual - drift[labels]) / error[good]),
        pixels=int(good.sum()),
    )


def score_rate(rate: Path, truth: Truth, *, with_jumps: bool = False) -> SlopeScore:
    """`score_slopes` of a ``_rate.fits`` product."""
    with fits.open(rate) as hdus:
        slope, error, dq = hdus["SCI"].data, hdus["ERR"].data, hdus["DQ"].data.astype(np.uint32)
        return score_slopes(slope, error, dq, truth, with_jumps=with_jumps)


def score_jumps(groupdq: NDArray[np.uint8], truth: Truth, *, sigma: float = 6.0) -> JumpScore:
    """Compare jump flags ``(nints, ngroups, ny, nx)`` with the hits.

    A hit counts when the larger of the two steps it makes exceeds `sigma` times the noise of a difference of two
    groups, read noise and light together, and its samples are usable.  It is found when its group or the next is
    flagged.  Flags within two pixels of any hit are no false alarms, since pipelines flag neighbours on purpose.
    """
    flagged = (groupdq & JUMP_DET) != 0
    usable = (groupdq & (DO_NOT_USE | SATURATED)) == 0
    nints, ngroups = groupdq.shape[:2]
    hits = _hits_within(truth, nints, ngroups)
    i, g, y, x = (hits[name] for name in ("integration", "group", "y", "x"))
    after = np.minimum(g + 1, ngroups - 1)
    judged = usable[i, g, y, x] & usable[i, g - 1, y, x]
    found = flagged[i, g, y, x] | flagged[i, after, y, x]
    near = np.zeros(flagged.shape, bool)
    near[i, g, y, x] = near[i, after, y, x] = True
    quiet = usable & ~maximum_filter(near, size=(1, 1, 5, 5))
    quiet[:, 0] = False
    return _score(_sizes(hits, truth)[judged], found[judged], flagged[quiet], sigma)


def score_ramps(dq: NDArray[np.uint32], groupdq: NDArray[np.uint8], truth: Truth, *, sigma: float = 6.0) -> JumpScore:
    """Compare the flags of whole ramps ``(nints, ny, nx)``, those of a ``_rateints.fits`` product, with the hits.

    As `score_jumps`, where only the ramp of a jump is known.  `groupdq` tells which samples are usable at all; ramps
    that saturate are not judged.
    """
    flagged = (dq & np.uint32(JUMP_DET)) != 0
    usable = (dq & np.uint32(DO_NOT_USE | SATURATED | _UNRELIABLE)) == 0
    hits = _hits_within(truth, *groupdq.shape[:2])
    i, g, y, x = (hits[name] for name in ("integration", "group", "y", "x"))
    near = np.zeros(flagged.shape, bool)
    near[i, y, x] = True
    quiet = usable & ~maximum_filter(near, size=(1, 5, 5))
    samples = (groupdq & (DO_NOT_USE | SATURATED)) == 0
    judged = usable[i, y, x] & samples[i, g, y, x] & samples[i, g - 1, y, x]
    return _score(_sizes(hits, truth)[judged], flagged[i, y, x][judged], flagged[quiet], sigma)


def _hits_within(truth: Truth, nints: int, ngroups: int) -> NDArray[np.void]:
    """Hits that make a step: not those before the first group."""
    hits = truth.cosmic_rays
    return hits[(hits["group"] >= 1) & (hits["group"] < ngroups) & (hits["integration"] < nints)]


def _sizes(hits: NDArray[np.void], truth: Truth) -> NDArray[np.float64]:
    """The larger of the two steps that each hit makes, over the noise of a difference of two groups."""
    light = np.maximum(truth.electrons, 0)[hits["y"], hits["x"]] * truth.group_time
    step = hits["electrons"] * np.maximum(hits["visible"], 1 - hits["visible"])
    return np.asarray(step / np.sqrt(2 * truth.read_noise**2 + light), np.float64)


def _score(sizes: NDArray[Any], found: NDArray[Any], alarms: NDArray[Any], sigma: float) -> JumpScore:
    strong = sizes > sigma
    by_size = []
    for low, high in pairwise(SIZE_EDGES):
        within = (sizes > low) & (sizes <= high)
        by_size.append((low, high, int(within.sum()), int(found[within].sum())))
    return JumpScore(
        completeness=float(found[strong].mean()) if strong.any() else float("nan"),
        hits=int(strong.sum()),
        false_alarm_rate=float(alarms.mean()) if alarms.size else float("nan"),
        samples=int(alarms.size),
        by_size=tuple(by_size),
    )
