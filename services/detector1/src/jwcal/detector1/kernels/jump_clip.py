"""Sigma clipping of the differences of long time series ``(nints, ngroups, ny, nx)`` for jumps; rows in parallel.

The differences of a pixel lie together in a work array ``(sets, size)``: those of one group over the integrations, or
all of them in one set.  A median is found by sorting only where bounds for it do not decide already.
"""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.jump import DO_NOT_USE, JUMP_DET, SATURATED, SPREAD, noise_of
from jwcal.detector1.kernels.selection import median

_UNUSABLE = DO_NOT_USE | SATURATED
_ROUNDS = 5
_REACHES = (0.06, 0.2)
"""Half widths of the bounds for a median about the mean that are tried, in standard deviations."""
_FINITE = np.float64(np.finfo(np.float32).max)
_WIDTH = 64
"""Pixels of a tile."""
_TURNED = 8
"""Integrations turned at a time."""


@njit(nogil=True, cache=True, error_model="numpy")
def _load(data, groupdq, gain, y, x0, pixels, by_group, previous, part, series, flagged):
    """Differences (electrons) of a row's pixels from `x0` to `series` ``(pixels, sets, size)``; NaN if unusable.

    `flagged` ``(nints, ngroups)`` tells where a pixel is flagged JUMP_DET already.  The differences are turned by way
    of `part` ``(ngroups - 1, integrations, pixels)``, which fits into the nearest cache.
    """
    nints, ngroups = data.shape[0], data.shape[1]
    factor = gain[y, x0 : x0 + pixels]
    for start in range(0, nints, _TURNED):
        n = min(_TURNED, nints - start)
        for k in range(n):
            row = data[start + k, 0, y, x0 : x0 + pixels]
            flags = groupdq[start + k, 0, y, x0 : x0 + pixels]
            together = np.uint8(0)
            for p in range(pixels):
                value = np.float32(row[p] * factor[p])
                previous[p] = np.float32(np.nan) if (flags[p] & _UNUSABLE) != 0 else value
                together |= flags[p]
            flagged[start + k, 0] = (together & JUMP_DET) != 0
            for g in range(ngroups - 1):
                row = data[start + k, g + 1, y, x0 : x0 + pixels]
                flags = groupdq[start + k, g + 1, y, x0 : x0 + pixels]
                out = part[g, k]
                together = np.uint8(0)
                for p in range(pixels):
                    value = np.float32(row[p] * factor[p])
                    value = np.float32(np.nan) if (flags[p] & _UNUSABLE) != 0 else value
                    out[p] = value - previous[p]
                    previous[p] = value
                    together |= flags[p]
                flagged[start + k, g + 1] = (together & JUMP_DET) != 0
        for g in range(ngroups - 1):
            source = part[g]
            for p in range(pixels):
                if by_group:
                    out = series[p, g, start : start + n]
                    for k in range(n):
                        out[k] = source[k, p]
                else:
                    out = series[p, 0]
                    for k in range(n):
                        out[(start + k) * (ngroups - 1) + g] = source[k, p]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})
def _moments(values, low, high):
    """(Number, mean, sum of squares about it) of the values within ``[low, high]``."""
    count, total, squares = np.int32(0), 0.0, 0.0
    for k in range(values.size):
        value = np.float64(values[k])
        inside = (value >= low) & (value <= high)
        count += np.int32(inside)
        total += value if inside else 0.0
    if count == 0:
        return 0, np.nan, np.nan
    mean = total / count
    for k in range(values.size):
        value = np.float64(values[k])
        distance = value - mean
        squares += distance * distance if (value >= low) & (value <= high) else 0.0
    return np.int64(count), mean, squares


@njit(nogil=True, cache=True, error_model="numpy")
def _count_from(values, low, high, floor, ceiling):
    """How many of the values within ``[low, high]`` are at least `floor`, and how many at most `ceiling`."""
    above, below = np.int32(0), np.int32(0)
    for k in range(values.size):
        value = np.float64(values[k])
        inside = (value >= low) & (value <= high)
        above += np.int32(inside & (value >= floor))
        below += np.int32(inside & (value <= ceiling))
    return above, below


@njit(nogil=True, cache=True, error_model="numpy")
def _count_within(values, low, high):
    """How many values lie within ``[low, high]``."""
    count = np.int32(0)
    for k in range(values.size):
        value = np.float64(values[k])
        count += np.int32((value >= low) & (value <= high))
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _bounds(values, count, low, high, mean, spread):
    """Bounds for the median of the `count` values within ``[low, high]``, in single precision; NaN if there are none.

    Half of the values must lie on either side of them.
    """
    half = count // 2 + 1
    for reach in _REACHES:
        floor, ceiling = np.float32(mean - reach * spread), np.float32(mean + reach * spread)
        above, below = _count_from(values, low, high, floor, ceiling)
        if above >= half and below >= half:
            return np.float64(floor), np.float64(ceiling)
    return np.nan, np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def _median_within(values, low, high, work):
    n = 0
    for value in values:
        if low <= np.float64(value) <= high:
            work[n] = value
            n += 1
    return median(work, n)


@njit(nogil=True, cache=True, error_model="numpy")
def _limits(values, threshold, work):
    """Limits beyond which the finite values are rejected, and (number, mean, sum of squares) of those last judged by.

    Standard deviation and median of what is left are taken up to five times.
    """
    low, high = -_FINITE, _FINITE  # what is still in: between the narrowest limits so far
    lower, upper = -np.inf, np.inf
    left, mean, squares = 0, np.nan, np.nan
    for _ in range(_ROUNDS):
        count, new_mean, new_squares = _moments(values, low, high)
        if count == 0:
            break
        left, mean, squares = count, new_mean, new_squares
        spread = np.sqrt(squares / count)
        reach = threshold * spread
        floor, ceiling = _bounds(values, count, low, high, mean, spread)
        pad = 1e-9 * (reach + np.abs(mean))
        decided = (
            floor <= ceiling
            and _count_within(values, floor - reach - pad, ceiling - reach + pad) == 0
            and _count_within(values, floor + reach - pad, ceiling + reach + pad) == 0
        )
        middle = mean if decided else _median_within(values, low, high, work)
        lower, upper = middle - reach, middle + reach
        low, high = max(low, lower), min(high, upper)
        if _count_within(values, low, high) == count:
            break
    return lower, upper, left, mean, squares


@njit(nogil=True, cache=True, error_model="numpy")
def _flag_beyond(groupdq, values, at, by_group, lower, upper, y, x, flagged):
    """Flag the finite values of a set that are beyond the limits; notes their groups in `flagged`."""
    nd = groupdq.shape[1] - 1
    for k in range(values.size):
        value = np.float64(values[k])
        if np.isfinite(value) and (value < lower or value > upper):
            i, g = (k, at) if by_group else (k // nd, k % nd)
            groupdq[i, g + 1, y, x] |= JUMP_DET
            flagged[i, g + 1] = True


@njit(nogil=True, cache=True, error_model="numpy")
def _size_is_within(difference, floor, ceiling, noise, nframes, low, high):
    """Whether a difference is between `low` and `high` sigma from a median within ``[floor, ceiling]``: 1 or 0.

    -1 where the bounds do not decide.
    """
    nearest = max(max(floor - difference, difference - ceiling), 0.0)
    farthest = max(np.abs(difference - floor), np.abs(difference - ceiling))
    smallest = 0.0 if floor <= 0.0 <= ceiling else min(np.abs(floor), np.abs(ceiling))
    variance = np.float64(np.float32(noise * noise)) / nframes
    least = nearest / np.sqrt(max(np.abs(floor), np.abs(ceiling)) + variance)
    most = farthest / np.sqrt(smallest + variance)
    if most < low * (1 - 1e-9) or least > high * (1 + 1e-9):
        return 0
    if least > low * (1 + 1e-9) and most < high * (1 - 1e-9):
        return 1
    return -1


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def clip_jumps(data, groupdq, gain, noise, nframes, by_group, threshold, spread, counts, marked):
    """Flag differences beyond `threshold` standard deviations; arguments and results as those of `find_jumps`.

    `by_group` clips each group over the integrations, otherwise all differences of a pixel are clipped together.
    """
    nints, ngroups, ny, nx = data.shape
    nd = ngroups - 1
    sets, size = (nd, nints) if by_group else (1, nints * nd)
    for y in prange(ny):
        series = np.empty((_WIDTH, sets, size), np.float32)
        work = np.empty(sets * size, np.float32)
        previous = np.empty(_WIDTH, np.float32)
        part = np.empty((nd, _TURNED, _WIDTH), np.float32)
        flagged = np.empty((nints, ngroups), np.bool_)
        inside = np.empty((3, _WIDTH), np.float64)
        floors = np.empty(_WIDTH, np.float64)
        ceilings = np.empty(_WIDTH, np.float64)
        medians = np.empty(_WIDTH, np.float64)
        known = np.empty((2, _WIDTH), np.bool_)
        found = 0
        for x0 in range(0, nx, _WIDTH):
            pixels = min(_WIDTH, nx - x0)
            _load(data, groupdq, gain, y, x0, pixels, by_group, previous, part, series, flagged)
            inside[:] = 0.0
            for p in range(pixels):
                for at in range(sets):
                    lower, upper, left, mean, squares = _limits(series[p, at], threshold, work)
                    if left > 0:
                        inside[0, p] += left
                        inside[1, p] += left * mean
                        inside[2, p] += squares
                    if _count_within(series[p, at], lower, upper) < _count_within(series[p, at], -_FINITE, _FINITE):
                        _flag_beyond(groupdq, series[p, at], at, by_group, lower, upper, y, x0 + p, flagged)
            known[:] = False
            for i in range(nints):
                for g in range(ngroups):
                    if not flagged[i, g]:
                        continue
                    flags = groupdq[i, g, y, x0 : x0 + pixels]
                    for p in range(pixels):
                        if (flags[p] & JUMP_DET) == 0:
                            continue
                        found += 1
                        if g == 0:
                            continue
                        every = series[p].reshape(-1)
                        difference = np.float64(every[(g - 1) * nints + i if by_group else i * nd + g - 1])
                        if not known[0, p]:
                            known[0, p] = True
                            mean, deviation = inside[1, p] / inside[0, p], np.sqrt(inside[2, p] / inside[0, p])
                            count = _count_within(every, -np.inf, np.inf)
                            floors[p], ceilings[p] = _bounds(every, count, -np.inf, np.inf, mean, deviation)
                        within = -1
                        if floors[p] <= ceilings[p]:
                            within = _size_is_within(
                                difference, floors[p], ceilings[p], noise[y, x0 + p], nframes, spread[0], spread[1]
                            )
                        if within < 0:
                            if not known[1, p]:
                                known[1, p] = True
                                medians[p] = _median_within(every, -np.inf, np.inf, work)
                            sigma = noise_of(medians[p], np.float32(noise[y, x0 + p] * noise[y, x0 + p]), nframes)
                            ratio = np.abs(difference - medians[p]) / sigma
                            within = 1 if spread[0] < ratio < spread[1] else 0
                        if within == 1:
                            groupdq[i, g, y, x0 + p] |= SPREAD
                            marked[i, g, y] = True
        counts[y] = found
