"""Ordinary least squares on the segments of ramps: preparation, fit, optional results."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwcal.core import dqflags
from jwcal.core.array_types import Float32, Float64
from jwcal.core.blocks import integration_blocks, of_integrations, row_blocks
from jwcal.core.data import Ramp, RateCube, RateImage, SideProduct
from jwcal.detector1.kernels import networks, ramp_fit_details
from jwcal.detector1.kernels import ramp_fit as kernels
from jwcal.detector1.kernels.flags import planes_mostly_with
from jwcal.detector1.kernels.segments import POWERS

_NO_ZEROFRAME = np.zeros((0, 0, 0), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Rates of the exposure and of its integrations; None for both where nothing can be fitted."""

    rate: RateImage | None
    rateints: RateCube | None
    side_products: dict[str, SideProduct] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups ``[start, stop)`` of a ramp that are fitted."""

    start: int
    stop: int
    clear_first_jump: bool
    """Whether a jump in the first of them means nothing, its predecessor having been dropped."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter((self.start, self.stop, self.clear_first_jump))


def fit_least_squares(
    ramp: Ramp,
    gain: Float32,
    read_noise: Float32,
    *,
    suppress_one_group: bool = True,
    optional_results: bool = False,
) -> Fit:
    """Fit straight lines to the ramps, which stay as they are.

    `gain` in e-/DN, `read_noise` (CDS) in DN, both ``(ny, nx)``.
    """
    suppress = suppress_one_group and ramp.ngroups > 1
    groups = usable_groups(ramp, suppress=suppress)
    if groups is None:
        return Fit(rate=None, rateints=None)
    times = integration_times(ramp)
    nframes = ramp.metadata.require_number("exposure.nframes", positive=True)
    noise = np.asarray(read_noise * (gain / np.float32(np.sqrt(2.0 * nframes))), np.float32)
    dark = np.zeros_like(gain) if ramp.average_dark_current is None else ramp.average_dark_current
    rate, rateints = _empty_results(ramp)
    table = slope_coefficients(groups.stop - groups.start)
    chosen = (times, tuple(groups), suppress)
    sorting = _networks(ramp, groups)
    for block in row_blocks(ramp):
        rows = block.rows
        whole = _planes(rateints)
        fitted = whole if ramp.scratch is None else [np.empty((ramp.nints, *p[0, rows].shape), p.dtype) for p in whole]
        kernels.fit_ramps(
            block.data,
            block.groupdq,
            ramp.pixeldq[rows],
            _NO_ZEROFRAME if block.zeroframe is None or suppress else block.zeroframe,
            gain[rows],
            noise[rows],
            dark[rows],
            table,
            *sorting,
            *chosen,
            tuple(plane[rows] for plane in _planes(rate)),
            tuple(fitted),
        )
        if ramp.scratch is not None:
            for index in range(ramp.nints):
                for plane, part in zip(whole, fitted, strict=True):
                    plane[index, rows] = part[index]
                ramp.scratch.trim()
    side: dict[str, SideProduct] = {}
    if optional_results:
        zeroframe = _NO_ZEROFRAME if ramp.zeroframe is None or suppress else ramp.zeroframe
        inputs = (ramp.data, ramp.groupdq, zeroframe)
        nints, _, ny, nx = ramp.data.shape
        segments, jumps = np.zeros(ny, np.int64), np.zeros(ny, np.int64)
        ramp_fit_details.count_details(*inputs, *chosen, segments, jumps)
        names = ("slope", "sigslope", "var_poisson", "var_rnoise", "yint", "sigyint", "weights")
        arrays = {name: np.zeros((nints, int(segments.max()), ny, nx), np.float32) for name in names}
        arrays["pedestal"] = np.zeros((nints, ny, nx), np.float32)
        arrays["crmag"] = np.zeros((nints, int(jumps.max()), ny, nx), np.float32)
        ramp_fit_details.fit_details(
            *inputs, gain, noise, dark, table, *chosen, rateints.data, _pedestal_time(ramp), tuple(arrays.values())
        )
        side["fitopt"] = SideProduct(model="RampFitOutputModel", arrays=arrays)
    return Fit(rate=rate, rateints=rateints, side_products=side)


@cache
def slope_coefficients(ngroups: int) -> Float64:
    """Coefficients ``(ngroups + 1, 6, ngroups)`` that combine the values of a segment to its slope per group.

    By length of the segment (from 3) and class of its weights ``|(i - m) / m|^p``, which are rounded to single
    precision as the official fit does.
    """
    table = np.zeros((ngroups + 1, len(POWERS), ngroups))
    for length in range(3, ngroups + 1):
        x = np.arange(length, dtype=np.float64)
        middle = (length - 1) / 2
        distance = np.abs((x - middle) / middle).astype(np.float32)
        for index, power in enumerate(POWERS):
            weight = (distance ** np.float32(power)).astype(np.float64)
            sw, swx, swxx = weight.sum(), (weight * x).sum(), (weight * x * x).sum()
            table[length, index, :length] = weight * (sw * x - swx) / (sw * swxx - swx * swx)
    return table


def _networks(ramp: Ramp, groups: Groups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each integration the groups usable in most pixels, and where the comparators for their differences lie.

    No comparators, ``begin == end``, where there are too few groups or too many.
    """
    ranges = np.zeros((ramp.nints, 4), np.int64)
    kept = [networks.network(0, ())]
    places: dict[int, tuple[int, int]] = {}
    unusable = of_integrations(ramp, lambda groupdq: planes_mostly_with(groupdq, np.uint8(dqflags.DO_NOT_USE)))
    usable = ~unusable[:, groups.start : groups.stop]
    for integration, good in zip(ranges, usable, strict=True):
        used = np.flatnonzero(good)
        first, last = (
            (groups.start + int(used[0]), groups.start + int(used[-1]) + 1) if used.size else (groups.stop,) * 2
        )
        n = last - first - 1
        if 2 <= n <= networks.LONGEST and n not in places:
            begin = sum(len(comparators) for comparators in kept)
            kept.append(networks.network(n, networks.median_ranks(n)))
            places[n] = (begin, begin + len(kept[-1]))
        integration[:] = first, last, *places.get(n, (0, 0))
    return ranges, np.concatenate(kept)


def usable_groups(ramp: Ramp, *, suppress: bool) -> Groups | None:
    """The groups to fit; None where nothing can be.

    Nothing can be fitted if the first group of every ramp is saturated.  MIRI ramps lose leading groups, and a last
    one, that are DO_NOT_USE everywhere, and need two groups then.
    """
    ngroups = ramp.ngroups
    saturated = np.uint8(dqflags.SATURATED)
    if all(kernels.every_sample_has(ramp.groupdq[b], saturated, 0, False) for b in integration_blocks(ramp)):
        return None
    if ramp.metadata.instrument != "MIRI" or ngroups == 1:
        return Groups(0, ngroups, False)

    def unused(group: int) -> bool:
        flag = np.uint8(dqflags.DO_NOT_USE)
        return all(
            kernels.every_sample_has(ramp.groupdq[block], flag, group, suppress) for block in integration_blocks(ramp)
        )

    start = 0
    while start < ngroups and unused(start):
        start += 1
    stop = ngroups - 1 if start < ngroups and unused(ngroups - 1) else ngroups
    return Groups(start, stop, start > 0) if stop - start > 1 else None


def integration_times(ramp: Ramp) -> tuple[float, float, float]:
    """Integration time (s) of a group, of a lone first group and of a zeroframe, from single-precision keywords."""
    group_time = np.float32(ramp.metadata.require_number("exposure.group_time", positive=True))
    frame_time = np.float32(ramp.metadata.require_number("exposure.frame_time", positive=True))
    nframes = ramp.metadata.require_number("exposure.nframes", positive=True)
    return float(group_time), (nframes + 1.0) * float(frame_time) / 2.0, float(frame_time)


def _pedestal_time(ramp: Ramp) -> float:
    """Groups between reset and the mean of the first group."""
    nframes = ramp.metadata.require_number("exposure.nframes", positive=True)
    dropped = float(ramp.metadata.get("exposure.drop_frames1", 0))
    return ((nframes + 1.0) / 2.0 + dropped) / (nframes + float(ramp.metadata.get("exposure.groupgap", 0)))


def _empty_results(ramp: Ramp) -> tuple[RateImage, RateCube]:
    nints, _, ny, nx = ramp.data.shape
    names = ("data", "err", "var_poisson", "var_rnoise")
    image: dict[str, Any] = {name: np.empty((ny, nx), np.float32) for name in names}
    cube: dict[str, Any] = {name: ramp.new_array((nints, ny, nx), np.float32) for name in names}
    rate = RateImage(**image, dq=np.empty((ny, nx), np.uint32), metadata=ramp.metadata)
    rateints = RateCube(**cube, dq=ramp.new_array((nints, ny, nx), np.uint32), metadata=ramp.metadata.copy())
    return rate, rateints


def _planes(rates: RateImage | RateCube) -> tuple[Any, ...]:
    return rates.data, rates.err, rates.var_poisson, rates.var_rnoise, rates.dq
