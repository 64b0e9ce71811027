"""Per-segment results of the line fits, for the optional ``fitopt`` product; rows in parallel."""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.ramp_fit import (
    JUMP_DET,
    SATURATED,
    find_segments,
    fit_segment,
    load,
    median_rate_of_pixel,
    ramp_flags,
)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def count_details(data, groupdq, zeroframe, times, groups, suppress, segments, jumps):
    """Most segments and most jumps of a ramp in each row, into ``segments`` and ``jumps`` ``(ny,)``."""
    nints, ngroups, ny, nx = data.shape
    used = groups[1] - groups[0]
    for y in prange(ny):
        values = np.empty((1, nints, ngroups), np.float32)
        raw = np.empty((1, nints, ngroups), np.uint8)
        flags = np.empty((nints, used), np.uint8)
        work = np.empty(used, np.float64)
        starts = np.empty(used + 1, np.int64)
        ends = np.empty(used + 1, np.int64)
        kinds = np.empty(nints, np.int64)
        for x in range(nx):
            load(data, groupdq, y, x, x + 1, values, raw)
            median_rate_of_pixel(values[0], raw[0], zeroframe, y, x, groups, suppress, times, kinds, flags, work)
            for i in range(nints):
                hits = 0
                for g in range(1, used):
                    if flags[i, g] & JUMP_DET:
                        hits += 1
                jumps[y] = max(jumps[y], hits)
                ramp_flags(flags[i], kinds[i])
                if (flags[i, 0] & SATURATED) == 0:
                    _, counted = find_segments(flags[i], starts, ends)
                    segments[y] = max(segments[y], counted)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def fit_details(
    data, groupdq, zeroframe, gain, read_noise, dark, times, groups, suppress, slopes, pedestal_time, details
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
        values = np.empty((1, nints, ngroups), np.float32)
        raw = np.empty((1, nints, ngroups), np.uint8)
        flags = np.empty((nints, used), np.uint8)
        work = np.empty(used, np.float64)
        starts = np.empty(used + 1, np.int64)
        ends = np.empty(used + 1, np.int64)
        kinds = np.empty(nints, np.int64)
        for x in range(nx):
            load(data, groupdq, y, x, x + 1, values, raw)
            middle = median_rate_of_pixel(
                values[0], raw[0], zeroframe, y, x, groups, suppress, times, kinds, flags, work
            )
            current = np.float64(dark[y, x])
            if middle > 0.0:
                current = middle + current
            for i in range(nints):
                ramp = values[0, i, start:stop]
                n = 0
                for g in range(1, used):
                    if flags[i, g] & JUMP_DET:
                        crmag[i, n, y, x] = np.float64(ramp[g]) - np.float64(ramp[g - 1])
                        n += 1
                _, unusable, _ = ramp_flags(flags[i], kinds[i])
                ground = ramp[0] - np.float64(slopes[i, y, x]) * pedestal_time
                pedestal[i, y, x] = 0.0 if np.isnan(ground) else ground
                if unusable == used or (flags[i, 0] & SATURATED) != 0:
                    continue
                kept, _ = find_segments(flags[i], starts, ends)
                for k in range(kept):
                    s, vp, vr, ss, b, sb = fit_segment(
                        ramp,
                        starts[k],
                        ends[k],
                        np.float64(gain[y, x]),
                        np.float64(read_noise[y, x]),
                        current,
                        times[0],
                        times[kinds[i]],
                    )
                    slope[i, k, y, x] = s
                    sigslope[i, k, y, x] = ss
                    var_p[i, k, y, x] = vp
                    var_r[i, k, y, x] = vr
                    yint[i, k, y, x] = b
                    sigyint[i, k, y, x] = sb
                    weights[i, k, y, x] = 1.0 / vr
