"""Showers: faint extended emission after energetic cosmic rays in MIRI.

Source: Regan 2024, JWST-STScI-008545, "Detection and Flagging of Showers and Snowballs in JWST".
"""

import warnings
from typing import Protocol

import numpy as np

from jwcal.core import dqflags
from jwcal.core.array_types import Bool, Float32, Float64, UInt8
from jwcal.core.data import Ramp
from jwcal.detector1.kernels.flags import planes_with
from jwcal.detector1.large_events.ellipses import Ellipse, cover, flagged_groups, grown_axes
from jwcal.detector1.large_events.regions import find_regions

_SATURATED = np.uint8(dqflags.SATURATED)
_JUMP = np.uint8(dqflags.JUMP_DET)
_DO_NOT_USE = np.uint8(dqflags.DO_NOT_USE)
_INVALID = np.uint8(dqflags.SATURATED | dqflags.JUMP_DET | dqflags.DO_NOT_USE)
_EXACT = np.array([_SATURATED, _JUMP, _DO_NOT_USE, _JUMP | _DO_NOT_USE, _SATURATED | _DO_NOT_USE], np.uint8)
_ONE = np.uint8(1)
_AMPLITUDE_PER_GROUP_TIME = 6.0  # the official step never hands its parameter on; this is what it computes with
_MIN_DIFFERENCES = 10


class ShowerParameters(Protocol):
    """The parameters of jump that concern showers."""

    extend_snr_threshold: float
    extend_min_area: int
    extend_inner_radius: float
    extend_outer_radius: float
    extend_ellipse_expand_ratio: float
    time_masked_after_shower: float
    max_extended_radius: int
    minimum_sigclip_groups: int


def flag_showers(ramp: Ramp, params: ShowerParameters, gain: Float32, noise: Float32, group_time: float) -> int:
    """Flag showers in a ramp (modified in place); returns their number.

    Differences in units of their noise are smoothed with a ring; connected regions above a threshold become ellipses
    that are flagged in their group and for some time after.  Pixels whose mean rate that changes too much keep their
    former flags.
    """
    nints, ngroups = ramp.data.shape[:2]
    before = ramp.groupdq.copy()
    unusable = int(planes_with(before, _DO_NOT_USE).sum())
    if nints * (ngroups - 1) - unusable < _MIN_DIFFERENCES:
        return 0
    work = before.copy()
    reference_pixels = ramp.pixeldq == np.uint32(dqflags.REFERENCE_PIXEL)
    differences = _differences(ramp.data * gain, before)
    work[:, :, reference_pixels] = _DO_NOT_USE
    middle, sigma = _expected(differences, noise, ramp, params)
    found: list[tuple[int, int, list[Ellipse]]] = []
    from astropy.convolution import Ring2DKernel  # takes a second to import

    ring = Ring2DKernel(params.extend_inner_radius, params.extend_outer_radius).array
    firsts = np.argmin(planes_with(work, _DO_NOT_USE), axis=1)  # usable group of each integration, or 0
    for index, first in enumerate(firsts):
        for group in range(first + 1, ngroups):
            column = group - 1 if middle.ndim == 3 else Ellipsis
            with np.errstate(divide="ignore", invalid="ignore"):  # a pixel may not scatter at all
                ratio = np.abs(differences[index, group - 1] - middle[column]) / sigma[column]
            masked = ((work[index, group] | ramp.pixeldq) & _INVALID) != 0
            ratio[masked] = np.nan
            bright = _smoothed(ratio, ring) > params.extend_snr_threshold
            showers = find_regions(bright.view(np.uint8), _ONE, params.extend_min_area).ellipses()
            if showers:
                found.append((index, group, showers))
    after = int(params.time_masked_after_shower // group_time)
    for index, group, showers in found:
        for shower in showers:
            _flag(work[index], group, after, shower, params)
    _restore_bright(ramp.data * gain, before, work, _AMPLITUDE_PER_GROUP_TIME * group_time)
    ramp.groupdq[...] = work
    return sum(len(showers) for _, _, showers in found)


def _differences(electrons: Float32, flags: UInt8) -> Float32:
    """Differences of groups, NaN where the flags of either are exactly one of the usual combinations."""
    electrons[np.isin(flags, _EXACT)] = np.nan
    return np.diff(electrons, axis=1)


def _expected(differences: Float32, noise: Float32, ramp: Ramp, params: ShowerParameters) -> tuple[Float64, Float64]:
    """Typical difference and its noise: of each pixel, or of each pixel and group when there are many integrations."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if ramp.nints >= params.minimum_sigclip_groups:
            from astropy.stats import sigma_clipped_stats

            _, middle, sigma = sigma_clipped_stats(differences, sigma=5, axis=0)
            return middle, sigma
        middle = np.nanmedian(differences, axis=(0, 1))
        nframes = int(ramp.metadata.require("exposure.nframes"))
        return middle, np.sqrt(np.abs(middle) + noise**2 / nframes)


def _smoothed(ratio: Float64, ring: Float64) -> Float64:
    """Mean over the ring of what is finite; NaN where there is nothing, or the pixel itself is NaN."""
    from scipy.signal import oaconvolve  # takes a second to import

    good: Bool = np.isfinite(ratio)
    values = np.where(good, ratio, 0.0).astype(ratio.dtype)
    total = oaconvolve(values, ring, mode="same")
    margin = ring.shape[0] // 2
    weights = np.ones((good.shape[0] + ring.shape[0] - 1, good.shape[1] + ring.shape[1] - 1))
    weights[margin:-margin, margin:-margin] = good
    norm = oaconvolve(weights, ring, mode="valid")
    with np.errstate(all="ignore"):
        smooth: Float64 = total / norm
    smooth[~(good & (norm > 0.001 * np.mean(ring)))] = np.nan
    return smooth


def _flag(flags: UInt8, group: int, after: int, shower: Ellipse, params: ShowerParameters) -> None:
    ngroups, ny, nx = flags.shape
    width, height = grown_axes(shower, params.extend_ellipse_expand_ratio, 2 * params.max_extended_radius)
    window, inside = cover((ny, nx), shower.x, shower.y, width, height, shower.angle)
    for later in flagged_groups(group, after, ngroups):
        part = flags[later][window]
        inside &= (part & _SATURATED) == 0
        part[inside] |= _JUMP


def _restore_bright(electrons: Float32, before: UInt8, after: UInt8, limit: float) -> None:
    """Give pixels their former flags back where the mean difference changed by more than `limit`, or got lost."""
    for index, signal in enumerate(electrons):
        change = np.abs(_mean_difference(signal, before[index]) - _mean_difference(signal, after[index]))
        undone = ~np.isfinite(change) | (change > limit)
        after[index][:, undone] = before[index][:, undone]


def _mean_difference(signal: Float32, flags: UInt8) -> Float32:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        usable = np.where((flags & _INVALID) != 0, np.float32(np.nan), signal)
        mean: Float32 = np.nanmean(np.diff(usable, axis=0), axis=0)
    return mean
