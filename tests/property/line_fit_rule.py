"""The rule of the line fits to ramps, for one pixel at a time in plain numpy."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float32, Float64, UInt8
from jwcal.core.dqflags import (
    CHARGELOSS,
    DO_NOT_USE,
    JUMP_DET,
    NO_GAIN_VALUE,
    PERSISTENCE,
    SATURATED,
)

UNKNOWN = 1e6
"""A variance from here on is stored as zero."""
POWERS = ((5, 0.0), (10, 0.4), (20, 1.0), (50, 3.0), (100, 6.0), (np.inf, 10.0))
"""Exponent of the weights below a signal-to-noise ratio."""


@dataclass(frozen=True)
class Pixel:
    """Everything that the fit of a pixel needs; `data` and `dq` are ``(nints, ngroups)``."""

    data: Float32
    dq: UInt8
    pixeldq: int
    zeroframe: Float32 | None
    gain: float
    noise: float
    """Of one group, electrons."""
    dark: float
    group_time: float
    lone_time: float
    frame_time: float
    start: int
    """The first of the groups ``[start, stop)`` that are used."""
    stop: int
    suppress: bool


@dataclass
class Rate:
    slope: float = 0.0
    err: float = 0.0
    var_p: float = 0.0
    var_r: float = 0.0
    dq: int = 0


@dataclass
class Integration(Rate):
    """Of one integration, with what the exposure sums up."""

    values: Float64 = field(default_factory=lambda: np.zeros(0))
    measured: Float64 = field(default_factory=lambda: np.zeros(0))
    """The values before a zeroframe took the first one's place."""
    flags: UInt8 = field(default_factory=lambda: np.zeros(0, np.uint8))
    together: int = 0
    """All flags of the ramp."""
    lone_time: float = 0.0
    """Integration time of a segment of one group."""
    segments: list[tuple[int, int]] = field(default_factory=list)
    fits: list[tuple[float, float, float]] = field(default_factory=list)
    """Slope, Poisson and read-noise variance of each segment."""
    found: int = 0
    """Segments; where all are single groups, those that are not fitted too."""
    sum_slope: float = 0.0
    sum_p: float = 0.0
    sum_r: float = 0.0


def find_segments(flags: UInt8) -> list[tuple[int, int]]:
    """Runs of groups without flags; a jump and nothing else before a run is its first group."""
    flags = flags & ~np.uint8(PERSISTENCE)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags == 0, [False]))))
    runs = edges.reshape(-1, 2).tolist()
    return [(a - 1 if a > 0 and flags[a - 1] == JUMP_DET else a, b) for a, b in runs]


def to_fit(segments: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of two groups and more; where there are none, the first."""
    longer = [(a, b) for a, b in segments if b - a > 1]
    return longer or segments[:1]


def read_variance(n: int, noise: float, gain: float, time: float) -> float:
    divisor = 6 if n < 3 else n**3 - n
    return 12 * (noise / time) ** 2 / (divisor * gain**2)


def weights(values: Float64, gain: float, noise: float) -> Float64:
    """By the signal of a segment; distances and their powers are single precision, as in the official fit."""
    signal = values[-1] - values[0]
    variance = noise**2 + signal * gain
    ratio = 0.0 if variance <= 0 or gain == 0 else signal * gain / np.sqrt(variance)
    power = next((p for limit, p in POWERS if ratio < limit), POWERS[-1][1])
    middle = (len(values) - 1) / 2
    distance = np.abs((np.arange(len(values)) - middle) / middle).astype(np.float32)
    return (distance ** np.float32(power)).astype(np.float64)


def fit_segment(values: Float64, pixel: Pixel, current: float, lone_time: float) -> tuple[float, float, float]:
    """Slope (DN/s), Poisson and read-noise variance of a segment."""
    n, gain, noise, time = len(values), pixel.gain, pixel.noise, pixel.group_time
    if n == 1:
        return values[0] / lone_time, current / (lone_time * gain), read_variance(1, noise, gain, lone_time)
    if n == 2:
        return (values[1] - values[0]) / time, current / (time * gain), read_variance(2, noise, gain, time)
    w, x = weights(values, gain, noise) / noise**2, np.arange(n)
    y = np.where(np.isnan(values), 0, values)
    slope = (w.sum() * (w * x * y).sum() - (w * x).sum() * (w * y).sum()) / (
        w.sum() * (w * x * x).sum() - (w * x).sum() ** 2
    )
    return slope / time, current / (time * gain * (n - 1)), read_variance(n, noise, gain, time)


def stored(variance: float) -> float:
    return 0.0 if variance >= UNKNOWN else variance


def prepare(pixel: Pixel, i: int) -> Integration:
    """Values, flags and kind of one ramp."""
    values = np.where(pixel.dq[i] & SATURATED, np.nan, pixel.data[i].astype(np.float64))
    flags = pixel.dq[i].copy()
    if pixel.suppress and ((flags & ~np.uint8(PERSISTENCE)) == 0).sum() == 1:
        flags |= np.uint8(DO_NOT_USE)
    values, flags = values[pixel.start : pixel.stop].copy(), flags[pixel.start : pixel.stop]
    if pixel.start > 0:
        flags[0] &= ~np.uint8(JUMP_DET)
    measured = values.copy()
    ramp = Integration(
        values=values,
        measured=measured,
        flags=flags,
        lone_time=pixel.group_time,
        together=int(np.bitwise_or.reduce(flags)),
    )
    good = np.flatnonzero(flags == 0)
    if not pixel.suppress and good.tolist() == [0]:
        ramp.lone_time = pixel.lone_time
    elif not pixel.suppress and good.size == 0 and pixel.zeroframe is not None and pixel.zeroframe[i] != 0:
        values[0] = pixel.zeroframe[i]
        flags[0] = 0
        ramp.lone_time = pixel.frame_time
    return ramp


def median_rate(ramp: Integration, pixel: Pixel) -> float:
    """Median of the differences (DN/s) that no jump and no unusable group takes part in; 0 where there is none."""
    if len(ramp.values) == 1:
        return ramp.values[0] / pixel.lone_time
    if ramp.lone_time != pixel.group_time:
        rate = ramp.values[0] / ramp.lone_time
    else:
        values = np.where(ramp.flags & DO_NOT_USE, np.nan, ramp.values) / pixel.group_time
        differences = np.where(ramp.flags[1:] & JUMP_DET, np.nan, np.diff(values))
        differences = differences[~np.isnan(differences)]
        rate = np.median(differences) if differences.size else values[0]
    return 0.0 if np.isnan(rate) else rate


def fit_integration(ramp: Integration, pixel: Pixel, current: float) -> None:
    """Segments, their average and the DQ of one ramp."""
    saturated, unusable = ramp.flags & SATURATED > 0, ramp.flags & (DO_NOT_USE | SATURATED) > 0
    ramp.dq = pixel.pixeldq | (ramp.together & (JUMP_DET | PERSISTENCE))
    if not pixel.gain > 0:
        ramp.dq |= NO_GAIN_VALUE | DO_NOT_USE
    segments = find_segments(ramp.flags)
    if saturated[0]:
        ramp.dq |= DO_NOT_USE | SATURATED
        segments = []
    longer = [(a, b) for a, b in segments if b - a > 1]
    ramp.found = len(longer or segments)
    if unusable.all():
        ramp.dq |= DO_NOT_USE | (SATURATED if saturated.all() else 0)
    elif segments:
        ramp.segments = to_fit(segments)
        ramp.fits = [fit_segment(ramp.values[a:b], pixel, current, ramp.lone_time) for a, b in ramp.segments]
        slope, var_p, var_r = (np.array(column, np.float64) for column in zip(*ramp.fits, strict=True))
        ramp.sum_slope, ramp.sum_r = (slope / var_r).sum(), (1 / var_r).sum()
        ramp.sum_p = (1 / var_p[var_p > 0]).sum()
        if not ramp.dq & (DO_NOT_USE | SATURATED):
            ramp.var_p = stored(1 / ramp.sum_p) if ramp.sum_p > 0 else 0.0
            ramp.var_r = stored(1 / ramp.sum_r)
            ramp.slope = ramp.sum_slope * ramp.var_r
            ramp.err = np.sqrt(stored(1 / (1 / (var_p + var_r)).sum()))
    if ramp.dq & (DO_NOT_USE | SATURATED):
        ramp.slope = np.nan


def fit_pixel(pixel: Pixel) -> tuple[Rate, list[Integration]]:
    """Rates of the exposure and of its integrations."""
    ramps = [prepare(pixel, i) for i in range(len(pixel.data))]
    current = sum(median_rate(ramp, pixel) for ramp in ramps) / len(ramps)
    current = (current if current > 0 else 0.0) + pixel.dark
    for ramp in ramps:
        fit_integration(ramp, pixel, current)
    rate = Rate(dq=pixel.pixeldq)
    for ramp in ramps:
        rate.dq |= ramp.dq & ~(DO_NOT_USE | SATURATED) | (DO_NOT_USE if not pixel.gain > 0 else 0)
    for bit in (DO_NOT_USE, SATURATED):
        rate.dq |= bit if all(ramp.dq & bit for ramp in ramps) else 0
    sum_p, sum_r = sum(ramp.sum_p for ramp in ramps), sum(ramp.sum_r for ramp in ramps)
    if rate.dq & (DO_NOT_USE | SATURATED):
        rate.slope = np.nan
    else:
        rate.var_p = stored(1 / sum_p) if sum_p > 0 else 0.0
        rate.var_r = stored(1 / sum_r) if sum_r > 0 else sum_r
        rate.slope = sum(ramp.sum_slope for ramp in ramps) * rate.var_r
        rate.err = np.sqrt(rate.var_p + rate.var_r)
    for ramp in ramps:
        if (ramp.flags & SATURATED).any():
            ramp.dq |= SATURATED
            rate.dq |= SATURATED
    _as_if_no_charge_was_lost(pixel, ramps, rate)
    return rate, ramps


def _as_if_no_charge_was_lost(pixel: Pixel, ramps: list[Integration], rate: Rate) -> None:
    """Read-noise variances as if groups given up for charge migration had been used."""
    lost = [bool((pixel.dq[i, pixel.start : pixel.stop] & CHARGELOSS).any()) for i in range(len(ramps))]
    if not any(lost):
        return
    total = 0.0
    for i, ramp in enumerate(ramps):
        if lost[i]:
            flags = pixel.dq[i, pixel.start : pixel.stop]
            flags = np.where(flags & CHARGELOSS, flags & ~np.uint8(CHARGELOSS | DO_NOT_USE), flags)
            lengths = [b - a for a, b in to_fit(find_segments(flags))]
            times = [ramp.lone_time if n == 1 else pixel.group_time for n in lengths]
            one = sum(1 / read_variance(n, pixel.noise, pixel.gain, t) for n, t in zip(lengths, times, strict=True))
            ramp.var_r = stored(1 / np.float64(one))
            total += one
        elif ramp.var_r > 0:
            total += 1 / ramp.var_r
    if total > 0:
        rate.var_r = stored(1 / total)


def as_arrays(rates: NDArray[np.object_], name: str) -> Float64:
    """One attribute of many rates."""
    return np.array([getattr(rate, name) for rate in rates.ravel()], np.float64).reshape(rates.shape)
