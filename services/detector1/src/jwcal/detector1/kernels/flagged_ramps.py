"""Least-squares fits to ramps with flags: segment by segment, one ramp at a time.  This is the rule of `ramp_fit`.

Work arrays hold the pixels of a tile, see there; `p` is the pixel, `i` the integration.
"""

import numpy as np
from numba import njit

from jwcal.detector1.kernels.segments import find_segments, fit_segment, read_variance
from jwcal.detector1.kernels.selection import median

DO_NOT_USE = np.uint8(1)
SATURATED = np.uint8(2)
JUMP_DET = np.uint8(4)
PERSISTENCE = np.uint8(32)
CHARGELOSS = np.uint8(128)
DNU = np.uint32(1)
SAT = np.uint32(2)
_INVALID = np.uint32(3)
NOT_PERSISTENCE = np.uint8(255 - 32)

LARGE = 1e6
"""A variance this large or larger counts as unknown and is stored as zero."""

NORMAL = 0
FIRST_GROUP_ONLY = 1
ZEROFRAME = 2


@njit(nogil=True, cache=True, error_model="numpy")
def load(data, groupdq, y, x0, x1, values, raw):
    """Copy the ramps of the pixels ``x0:x1`` of a row to the tile; saturated samples become NaN."""
    nints, ngroups = data.shape[0], data.shape[1]
    for i in range(nints):
        for g in range(ngroups):
            source, flags = data[i, g, y, x0:x1], groupdq[i, g, y, x0:x1]
            value, flag = values[i * ngroups + g], raw[i * ngroups + g]
            for p in range(x1 - x0):
                flag[p] = flags[p]
                value[p] = np.float32(np.nan) if (flags[p] & SATURATED) != 0 else source[p]


@njit(nogil=True, cache=True, error_model="numpy")
def prepare(values, raw, p, at, ngroups, zero, groups, suppress, flags, first):
    """Working flags of one ramp, cut to ``groups``; returns what kind of ramp it is.

    `zero` is the pixel's ZEROFRAME value, exactly 0 where there is none.  A ramp with one good group loses it if
    `suppress`; without, a lone first group and a usable zeroframe are fitted with a time of their own.
    """
    start, stop, clear_jump = groups
    good = 0
    for g in range(ngroups):
        if (raw[at + g, p] & NOT_PERSISTENCE) == 0:
            good += 1
    extra = DO_NOT_USE if suppress and good == 1 else np.uint8(0)
    for g in range(start, stop):
        flags[first + g - start, p] = raw[at + g, p] | extra
    if clear_jump:
        flags[first, p] &= np.uint8(255 - 4)
    if suppress:
        return NORMAL
    clean = 0
    for g in range(stop - start):
        if flags[first + g, p] == 0:
            clean += 1
    if clean == 1 and flags[first, p] == 0:
        return FIRST_GROUP_ONLY
    if clean == 0 and zero != 0.0:
        values[at + start, p] = zero
        return ZEROFRAME
    return NORMAL


@njit(nogil=True, cache=True, error_model="numpy")
def ramp_flags(flags, p, first, used, kind):
    """(Flags of all groups together, groups unusable, groups saturated); frees the first group for the zeroframe."""
    together = np.uint8(0)
    unusable = 0
    saturated = 0
    for g in range(used):
        flag = flags[first + g, p]
        together |= flag
        if flag & (DO_NOT_USE | SATURATED):
            unusable += 1
        if flag & SATURATED:
            saturated += 1
    if kind == ZEROFRAME:
        flags[first, p] = 0
        unusable -= 1
        if saturated == used:
            saturated -= 1
    return together, unusable, saturated


@njit(nogil=True, cache=True, error_model="numpy")
def stored(variance):
    """A variance as it is written: zero where it is unknown."""
    return 0.0 if variance >= LARGE else variance


@njit(nogil=True, cache=True, error_model="numpy")
def _noise_with_lost_groups(raw, p, at, groups, read_noise, gain, times, kind, flags, first, starts, ends):
    """Sum of inverse read-noise variances as if groups given up for charge migration had been used."""
    start, stop, _ = groups
    for g in range(start, stop):
        flag = raw[at + g, p]
        flags[first + g - start, p] = flag ^ (CHARGELOSS | DO_NOT_USE) if flag & CHARGELOSS else flag
    kept, _ = find_segments(flags, p, first, stop - start, starts, ends)
    total = 0.0
    for k in range(kept):
        length = ends[k] - starts[k]
        variance = read_variance(length, read_noise, gain, times[kind] if length == 1 else times[NORMAL])
        if variance > 0.0:
            total += 1.0 / variance
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def median_rate(values, raw, p, i, ngroups, zeroframe, y, x, groups, suppress, times, kinds, flags, column):
    """Median rate (DN/s) of a pixel in integration `i`, zero where there is none.

    Fills the ramp's element of `kinds` ``(nints, pixels)`` and its working `flags`; `column` takes its differences.
    """
    start, stop, _ = groups
    used = stop - start
    at = i * ngroups
    zero = zeroframe[i, y, x] if zeroframe.shape[0] > 0 else np.float32(0.0)
    kind = prepare(values, raw, p, at, ngroups, zero, groups, suppress, flags, i * used)
    kinds[i, p] = kind
    at += start
    if used == 1:
        return values[at, p] / times[FIRST_GROUP_ONLY]
    n = 0
    for g in range(1, used):
        before, here = flags[i * used + g - 1, p], flags[i * used + g, p]
        difference = values[at + g, p] / times[NORMAL] - values[at + g - 1, p] / times[NORMAL]
        if ((before | here) & DO_NOT_USE) == 0 and (here & JUMP_DET) == 0 and not np.isnan(difference):
            column[n] = difference
            n += 1
    if kind != NORMAL:
        rate = values[at, p] / times[kind]
    elif n == 0:
        rate = np.nan if flags[i * used, p] & DO_NOT_USE else values[at, p] / times[NORMAL]
    else:
        rate = median(column, n)
    return 0.0 if np.isnan(rate) else rate


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_integration(values, p, at, kept, starts, ends, table, gain, read_noise, current, times, kind):
    """Sums over the segments of 1 / Poisson, 1 / read and 1 / total variance, and of slope / read variance."""
    inverse_p = 0.0
    inverse_r = 0.0
    inverse_e = 0.0
    weighted = 0.0
    for k in range(kept):
        slope, variance_p, variance_r = fit_segment(
            values,
            p,
            at + starts[k],
            ends[k] - starts[k],
            table,
            gain,
            read_noise,
            current,
            times[NORMAL],
            times[kind],
        )
        inverse_r += 1.0 / variance_r
        if variance_p > 0.0:
            inverse_p += 1.0 / variance_p
        inverse_e += 1.0 / (variance_p + variance_r)
        weighted += slope / variance_r
    return inverse_p, inverse_r, inverse_e, weighted


@njit(nogil=True, cache=True, error_model="numpy")
def fit_flagged(
    values, flags, p, i, ngroups, groups, table, gain, read_noise, current, times, kind, base, starts, ends, results
):
    """Fit one ramp segment by segment; its element of `results`, and (its DQ, groups unusable, saturated, flags)."""
    start, stop, _ = groups
    used = stop - start
    slope, error, poisson, read, inverse_p, inverse_r, weighted = results
    for out in results:
        out[p] = 0.0
    together, unusable, saturated = ramp_flags(flags, p, i * used, used, kind)
    flag = base | np.uint32(together & (JUMP_DET | PERSISTENCE))
    kept = 0
    if flags[i * used, p] & SATURATED:
        flag |= _INVALID
        slope[p] = np.nan
    else:
        kept, _ = find_segments(flags, p, i * used, used, starts, ends)
    if unusable == used:
        flag |= DNU
        if saturated == used:
            flag |= SAT
    elif kept > 0:
        inv_p, inv_r, inv_e, total = _fit_integration(
            values, p, i * ngroups + start, kept, starts, ends, table, gain, read_noise, current, times, kind
        )
        if inv_p > 0.0:
            poisson[p] = stored(1.0 / inv_p)
            inverse_p[p] = inv_p
        read[p] = stored(1.0 / inv_r)
        inverse_r[p] = inv_r
        weighted[p] = total
        if flag & _INVALID:
            poisson[p] = 0.0
            read[p] = 0.0
        else:
            slope[p] = total * read[p]
            error[p] = 0.0 if 1.0 / inv_e > LARGE else np.sqrt(1.0 / inv_e)
    if flag & (DNU | SAT):
        slope[p] = np.nan
    return flag, saturated, together


@njit(nogil=True, cache=True, error_model="numpy")
def average_flagged(nints, sums, states, pixeldq, p, y, x, rate):
    """Store the average over the integrations of a pixel with flags in some ramp."""
    sum_slope, sum_p, sum_r = sums[0, p], sums[1, p], sums[2, p]
    flags, not_used, saturated_ints, any_saturated = states[0, p], states[1, p], states[2, p], states[3, p]
    out, err, var_p, var_r, dq = rate
    all_flags = np.uint32(flags) | pixeldq
    if not_used == nints:
        all_flags |= DNU
    if saturated_ints == nints:
        all_flags |= SAT
    poisson = stored(1.0 / sum_p) if sum_p > 0.0 else 0.0
    read = stored(1.0 / sum_r) if sum_r > 0.0 else sum_r
    if all_flags & _INVALID:
        out[y, x] = np.nan
        err[y, x] = 0.0
        poisson = 0.0
        read = 0.0
    else:
        out[y, x] = sum_slope * read
        err[y, x] = np.sqrt(poisson + read)
    if any_saturated:
        all_flags |= SAT
    var_p[y, x] = poisson
    var_r[y, x] = read
    dq[y, x] = all_flags


@njit(nogil=True, cache=True, error_model="numpy")
def restore_lost(
    raw, p, nints, ngroups, groups, noise, gain, times, kinds, flags, starts, ends, y, x, var_r, int_var_r
):
    """Read-noise variances of a pixel as if groups given up for charge migration had been used."""
    start, stop, _ = groups
    used = stop - start
    total = 0.0
    for i in range(nints):
        lost = False
        for g in range(used):
            lost |= (raw[i * ngroups + start + g, p] & CHARGELOSS) != 0
        if lost:
            one = _noise_with_lost_groups(
                raw, p, i * ngroups, groups, noise, gain, times, kinds[i, p], flags, i * used, starts, ends
            )
            int_var_r[i, y, x] = stored(1.0 / one)
            total += one
        elif int_var_r[i, y, x] > 0.0:
            total += 1.0 / np.float64(int_var_r[i, y, x])
    if total > 0.0:
        var_r[y, x] = stored(1.0 / total)
