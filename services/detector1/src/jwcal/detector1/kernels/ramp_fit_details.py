"""Per-segment results of the line fits, for the optional ``fitopt`` product; rows in parallel."""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.flagged_ramps import JUMP_DET, SATURATED, load, median_rate, ramp_flags, stored
from jwcal.detector1.kernels.segments import POWERS, find_segments, fit_segment, segment_class


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def count_details(data, groupdq, zeroframe, times, groups, suppress, segments, jumps):
    """Most segments and most jumps of a ramp in each row, into ``segments`` and ``jumps`` ``(ny,)``."""
    nints, ngroups, ny, nx = data.shape
    used = groups[1] - groups[0]
    for y in prange(ny):
        values = np.empty((nints * ngroups, 1), np.float32)
        raw = np.empty((nints * ngroups, 1), np.uint8)
        flags = np.empty((nints * used, 1), np.uint8)
        starts = np.empty(used + 1, np.int64)
        ends = np.empty(used + 1, np.int64)
        kinds = np.empty((nints, 1), np.int64)
        column = np.empty(used, np.float64)
        for x in range(nx):
            load(data, groupdq, y, x, x + 1, values, raw)
            for i in range(nints):
                median_rate(values, raw, 0, i, ngroups, zeroframe, y, x, groups, suppress, times, kinds, flags, column)
                hits = 0
                for g in range(1, used):
                    if flags[i * used + g, 0] & JUMP_DET:
                        hits += 1
                jumps[y] = max(jumps[y], hits)
                ramp_flags(flags, 0, i * used, used, kinds[i, 0])
                if (flags[i * used, 0] & SATURATED) == 0:
                    _, counted = find_segments(flags, 0, i * used, used, starts, ends)
                    segments[y] = max(segments[y], counted)


@njit(nogil=True, cache=True, error_model="numpy")
def _line(values, at, start, length, gain, read_noise):
    """Sigma of the slope (per group), intercept (DN) and its sigma, of a segment that begins at group `start`."""
    if length == 1:
        return 0.0, 0.0, 0.0
    if length == 2:
        sigma = 1.41421356 * read_noise
        second = start + 1.0
        first = np.float64(values[at + start, 0])
        return sigma, np.float64(values[at + start + 1, 0]) * (1.0 - second) + first * second, sigma
    power = POWERS[segment_class(values, 0, at + start, length, gain, read_noise)]
    middle = (length - 1) / 2.0
    sw = 0.0
    swx = 0.0
    swxx = 0.0
    swy = 0.0
    swxy = 0.0
    for k in range(length):
        distance = np.float64(np.float32(np.abs((k - middle) / middle)))
        weight = np.float64(np.float32(distance**power)) / (read_noise * read_noise)
        x = np.float64(k + start)
        y = np.float64(values[at + start + k, 0])
        y = 0.0 if np.isnan(y) else y
        sw += weight
        swx += weight * x
        swxx += weight * x * x
        swy += weight * y
        swxy += weight * x * y
    inverse = 1.0 / (sw * swxx - swx * swx)
    return np.sqrt(sw * inverse), (swxx * swy - swx * swxy) * inverse, np.sqrt(swxx * inverse)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def fit_details(
    data, groupdq, zeroframe, gain, read_noise, dark, table, times, groups, suppress, slopes, pedestal_time, details
):
    """Fill the fitopt arrays.

    `slopes` are those of the integrations ``(nints, ny, nx)``; `details` is the tuple (slope, sigslope,
    var_poisson, var_rnoise, yint, sigyint, weights ``(nints, nsegments, ny, nx)``, pedestal ``(nints, ny, nx)``, crmag
    ``(nints, njumps, ny, nx)``), zero on entry.
    """
    nints, ngroups, ny, nx = data.shape
    start, stop, _ = groups
    used = stop - start
    slope, sigslope, var_p, var_r, yint, sigyint, weights, pedestal, crmag = details
    for y in prange(ny):
        values = np.empty((nints * ngroups, 1), np.float32)
        raw = np.empty((nints * ngroups, 1), np.uint8)
        flags = np.empty((nints * used, 1), np.uint8)
        starts = np.empty(used + 1, np.int64)
        ends = np.empty(used + 1, np.int64)
        kinds = np.empty((nints, 1), np.int64)
        column = np.empty(used, np.float64)
        measured = np.empty(nints, np.float64)  # first groups, which a zeroframe may replace
        for x in range(nx):
            load(data, groupdq, y, x, x + 1, values, raw)
            for i in range(nints):
                measured[i] = values[i * ngroups + start, 0]
            middle = 0.0
            for i in range(nints):
                middle += median_rate(
                    values, raw, 0, i, ngroups, zeroframe, y, x, groups, suppress, times, kinds, flags, column
                )
            middle /= nints
            current = np.float64(dark[y, x])
            if middle > 0.0:
                current = middle + current
            for i in range(nints):
                at = i * ngroups + start
                n = 0
                for g in range(1, used):
                    if flags[i * used + g, 0] & JUMP_DET:
                        before = measured[i] if g == 1 else np.float64(values[at + g - 1, 0])
                        crmag[i, n, y, x] = np.float64(values[at + g, 0]) - before
                        n += 1
                _, unusable, _ = ramp_flags(flags, 0, i * used, used, kinds[i, 0])
                if unusable == used or (flags[i * used, 0] & SATURATED) != 0:
                    pedestal[i, y, x] = 0.0
                    continue
                kept, _ = find_segments(flags, 0, i * used, used, starts, ends)
                inverse = 0.0
                weighted = 0.0
                for k in range(kept):
                    e_per_dn = np.float64(gain[y, x])
                    noise = np.float64(read_noise[y, x])
                    length = ends[k] - starts[k]
                    s, vp, vr = fit_segment(
                        values, 0, at + starts[k], length, table, e_per_dn, noise, current, times[0], times[kinds[i, 0]]
                    )
                    ss, b, sb = _line(values, at, starts[k], length, e_per_dn, noise)
                    slope[i, k, y, x] = s
                    sigslope[i, k, y, x] = ss
                    var_p[i, k, y, x] = vp
                    var_r[i, k, y, x] = vr
                    yint[i, k, y, x] = b
                    sigyint[i, k, y, x] = sb
                    weights[i, k, y, x] = 1.0 / vr
                    inverse += 1.0 / vr
                    weighted += s / vr
                mean = weighted * stored(1.0 / inverse) if kept > 0 else 0.0
                ground = values[at, 0] - mean * pedestal_time
                unknown = np.isnan(slopes[i, y, x]) or np.isnan(ground)
                pedestal[i, y, x] = 0.0 if unknown else ground
