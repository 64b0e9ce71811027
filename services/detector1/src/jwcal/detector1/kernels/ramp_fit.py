"""Weighted least-squares line fits to ramps, in double precision; rows in parallel.

A ramp is split into segments at flagged groups.  Each is fitted with weights that depend on its signal-to-noise
ratio, and the slopes are averaged with the inverse of their read-noise variance.  Times along a ramp are counted in
groups, so the slope of a segment is a fixed linear combination of its values, tabulated by length and weight class.

Work arrays hold the pixels of a tile: ``values`` and ``raw`` (flags) of shape ``(nints * ngroups, pixels)``, and the
working ``flags`` ``(nints * used, pixels)`` of the ``used`` groups that are fitted.  Ramps without any flag are fitted
a tile at a time by `clean_ramps`, the others one by one by `flagged_ramps`, which is the rule.
"""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.clean_ramps import average, find_clean, find_usable, fit_clean, noise_of_clean
from jwcal.detector1.kernels.clean_ramps import median_rates as clean_median_rates
from jwcal.detector1.kernels.flagged_ramps import (
    CHARGELOSS,
    DNU,
    JUMP_DET,
    NORMAL,
    NOT_PERSISTENCE,
    PERSISTENCE,
    SAT,
    average_flagged,
    fit_flagged,
    load,
    median_rate,
    restore_lost,
)

_NO_GAIN = np.uint32((1 << 19) | 1)
_WIDE, _NARROW = 128, 64
"""Pixels of a tile: whole cache lines of many planes, and work arrays that stay in the processor's cache."""
_FEW = 512
"""Samples of a pixel up to which tiles are wide."""
_BUFFER = 1 << 19
"""Samples of a tile, at most."""
_TOUCHED = np.int64(1) << 40
"""Mark of a pixel of which some ramp has flags, beside its DQ."""


@njit(nogil=True, cache=True, error_model="numpy")
def every_sample_has(groupdq, flag, group, suppress):
    """Whether `flag` is set in `group` of every ramp; with `suppress`, ramps with a single good group have it."""
    nints, ngroups, ny, nx = groupdq.shape
    for i in range(nints):
        for y in range(ny):
            for x in range(nx):
                if groupdq[i, group, y, x] & flag:
                    continue
                good = 0
                if suppress:
                    for g in range(ngroups):
                        if (groupdq[i, g, y, x] & NOT_PERSISTENCE) == 0:
                            good += 1
                if good != 1:
                    return False
    return True


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def fit_ramps(
    data,
    groupdq,
    pixeldq,
    zeroframe,
    gain,
    read_noise,
    dark,
    table,
    ranges,
    network,
    times,
    groups,
    suppress,
    rate,
    rateints,
):
    """Fit every ramp of ``(nints, ngroups, ny, nx)``.

    `read_noise` is the noise of one group in electrons, `dark` (e-/s) adds to the Poisson variance, `table` holds
    the slope coefficients ``(length, class, group)``, `times` are the integration times (s) of a group by kind of
    ramp, `groups` is (first, end, drop jumps of the first).  `ranges` ``(nints, 4)`` says for each integration which
    groups ``[first, last)`` are usable in most pixels, and which comparators ``[begin, end)`` of `network` sort their
    differences to the median.  `rate` and `rateints` are tuples (slope, error, Poisson variance, read variance, DQ)
    that are filled.
    """
    nints, ngroups, ny, nx = data.shape
    start, stop, _ = groups
    used = stop - start
    int_out, int_err, int_var_p, int_var_r, int_dq = rateints
    width = _WIDE if nints * ngroups <= _FEW else max(8, min(_NARROW, _BUFFER // (nints * ngroups)))
    for y in prange(ny):
        values = np.zeros((nints * ngroups, width), np.float32)
        raw = np.zeros((nints * ngroups, width), np.uint8)
        flags = np.zeros((nints * used, width), np.uint8)
        kinds = np.zeros((nints, width), np.int64)
        clean = np.zeros((nints, width), np.bool_)
        usable = np.empty(width, np.bool_)
        column = np.empty(used, np.float64)
        work = np.empty((max(used, 2), width), np.float64)
        classes = np.empty(width, np.int64)
        starts = np.empty(used + 1, np.int64)
        ends = np.empty(used + 1, np.int64)
        one = np.empty(width, np.float64)
        current = np.empty(width, np.float64)
        fitted = np.empty((7, width), np.float64)
        results = (fitted[0], fitted[1], fitted[2], fitted[3], fitted[4], fitted[5], fitted[6])
        slope, error, poisson, read, inverse_p, inverse_r, weighted = results
        noise = np.empty((6, width), np.float64)
        noise_of_length = (noise[0], noise[1], noise[2], noise[3], noise[4], noise[5])
        sums = np.empty((3, width), np.float64)
        states = np.empty((5, width), np.int64)
        dq = np.empty(width, np.uint32)
        for x0 in range(0, nx, width):
            x1 = min(x0 + width, nx)
            n = x1 - x0
            gains, noises, base = gain[y, x0:x1], read_noise[y, x0:x1], pixeldq[y, x0:x1]
            load(data, groupdq, y, x0, x1, values, raw)
            find_usable(gains, noises, base, usable[:n])
            current[:] = 0.0
            for i in range(nints):
                first, last, begin, end = ranges[i]
                clean[i] = False
                if end > begin:
                    block = slice(i * ngroups, (i + 1) * ngroups)
                    find_clean(values[block], raw[block], start, stop, first, last, usable[:n], clean[i])
                    clean_median_rates(values[block], first, last, times[NORMAL], network[begin:end], work, one[:n])
                for p in range(n):
                    if not clean[i, p]:
                        one[p] = median_rate(
                            values,
                            raw,
                            p,
                            i,
                            ngroups,
                            zeroframe,
                            y,
                            x0 + p,
                            groups,
                            suppress,
                            times,
                            kinds,
                            flags,
                            column,
                        )
                for p in range(n):
                    current[p] += one[p]
            for p in range(n):
                middle = current[p] / nints
                extra = np.float64(dark[y, x0 + p])
                current[p] = middle + extra if middle > 0.0 else extra
            sums[:] = 0.0
            states[:] = 0
            known_length = 0
            for i in range(nints):
                first, last, begin, end = ranges[i]
                for p in range(n):
                    dq[p] = base[p]
                if end > begin:
                    if last - first != known_length:
                        known_length = last - first
                        noise_of_clean(known_length, gains, noises, current, times[NORMAL], noise_of_length)
                    block = slice(i * ngroups, (i + 1) * ngroups)
                    fit_clean(
                        values[block],
                        first,
                        last,
                        table,
                        gains,
                        noises,
                        noise_of_length,
                        times[NORMAL],
                        classes,
                        work,
                        results,
                    )
                for p in range(n):
                    if clean[i, p]:
                        continue
                    e_per_dn = np.float64(gains[p])
                    known = base[p] | _NO_GAIN if e_per_dn <= 0.0 or np.isnan(e_per_dn) else base[p]
                    flag, saturated, together = fit_flagged(
                        values,
                        flags,
                        p,
                        i,
                        ngroups,
                        groups,
                        table,
                        e_per_dn,
                        np.float64(noises[p]),
                        current[p],
                        times,
                        kinds[i, p],
                        known,
                        starts,
                        ends,
                        results,
                    )
                    states[0, p] |= np.int64(known | np.uint32(together & (JUMP_DET | PERSISTENCE))) | _TOUCHED
                    states[1, p] += 1 if flag & DNU else 0
                    states[2, p] += 1 if flag & SAT else 0
                    states[3, p] |= 1 if saturated > 0 else 0
                    states[4, p] |= 1 if together & CHARGELOSS else 0
                    dq[p] = flag | SAT if saturated > 0 else flag
                for p in range(n):
                    sums[0, p] += weighted[p]
                    sums[1, p] += inverse_p[p]
                    sums[2, p] += inverse_r[p]
                for p in range(n):
                    int_out[i, y, x0 + p] = slope[p]
                    int_err[i, y, x0 + p] = error[p]
                    int_var_p[i, y, x0 + p] = poisson[p]
                    int_var_r[i, y, x0 + p] = read[p]
                    int_dq[i, y, x0 + p] = dq[p]
            average(sums[0], sums[1], sums[2], base, y, x0, rate)
            for p in range(n):
                if states[0, p] == 0:
                    continue
                average_flagged(nints, sums, states, base[p], p, y, x0 + p, rate)
                if states[4, p]:
                    restore_lost(
                        raw,
                        p,
                        nints,
                        ngroups,
                        groups,
                        np.float64(noises[p]),
                        np.float64(gains[p]),
                        times,
                        kinds,
                        flags,
                        starts,
                        ends,
                        y,
                        x0 + p,
                        rate[3],
                        int_var_r,
                    )
