"""Weighted least-squares line fits to ramps, in double precision; rows in parallel.

A ramp is split into segments at flagged groups.  Each is fitted with weights that depend on its signal-to-noise
ratio, and the slopes are averaged with the inverse of their read-noise variance.
"""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.selection import median

DO_NOT_USE = np.uint8(1)
SATURATED = np.uint8(2)
JUMP_DET = np.uint8(4)
PERSISTENCE = np.uint8(32)
CHARGELOSS = np.uint8(128)
_DNU = np.uint32(1)
_SAT = np.uint32(2)
_INVALID = np.uint32(3)
_NO_GAIN = np.uint32((1 << 19) | 1)
_NOT_PERSISTENCE = np.uint8(255 - 32)

LARGE = 1e6
"""A variance this large or larger counts as unknown and is stored as zero."""

NORMAL = 0
FIRST_GROUP_ONLY = 1
ZEROFRAME = 2

_BUFFER = 1 << 20


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
                        if (groupdq[i, g, y, x] & _NOT_PERSISTENCE) == 0:
                            good += 1
                if good != 1:
                    return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def find_segments(flags, starts, ends):
    """Runs of good groups ``[start, end)``; returns (segments kept, segments counted).

    A run that follows a group flagged as a jump and nothing else begins with that group.  Runs of a single group
    are kept only where there is no longer one, and then the first of them; the rest still count.
    """
    n = 0
    longest = 0
    start = -1
    for g in range(flags.size + 1):
        good = g < flags.size and (flags[g] & _NOT_PERSISTENCE) == 0
        if good and start < 0:
            start = g
            if g > 0 and (flags[g - 1] & _NOT_PERSISTENCE) == JUMP_DET:
                start = g - 1
        elif not good and start >= 0:
            if g - start > 1 or longest <= 1:
                starts[n] = start
                ends[n] = g
                longest = max(longest, g - start)
                n += 1
            start = -1
    if n < 2:
        return n, n
    if longest < 2:
        return 1, n
    kept = 0
    for k in range(n):
        if ends[k] - starts[k] > 1:
            starts[kept] = starts[k]
            ends[kept] = ends[k]
            kept += 1
    return kept, kept


@njit(nogil=True, cache=True, error_model="numpy")
def _power(signal_to_noise):
    if signal_to_noise < 5.0:
        return 0.0
    if signal_to_noise < 10.0:
        return 0.4
    if signal_to_noise < 20.0:
        return 1.0
    if signal_to_noise < 50.0:
        return 3.0
    if signal_to_noise < 100.0:
        return 6.0
    return 10.0


@njit(nogil=True, cache=True, error_model="numpy")
def _raised(distance, power):
    """A distance from the middle of the segment, between 0 and 1, to one of the powers above; single precision."""
    if power == 0.0:
        return 1.0
    if power == 1.0:
        return np.float64(distance)
    if power < 1.0:
        return np.float64(np.float32(np.float64(distance) ** np.float64(np.float32(power))))
    square = np.float64(distance) * distance
    result = square * distance
    if power == 6.0:
        result *= result
    elif power == 10.0:
        result = square * square
        result *= result * square
    return np.float64(np.float32(result))


@njit(nogil=True, cache=True, error_model="numpy")
def read_variance(length, read_noise, gain, time):
    """Variance of a segment's slope by read noise (DN/s)^2; `read_noise` in electrons, `time` in s."""
    noise = read_noise / time
    if length < 3:
        return 12.0 * noise * noise / (6.0 * gain * gain)
    if gain <= 0.0 or np.isnan(gain):
        return 0.0
    n = np.float64(length)
    return 12.0 * noise * noise / ((n * n * n - n) * gain * gain)


@njit(nogil=True, cache=True, error_model="numpy")
def fit_segment(values, start, end, gain, read_noise, current, group_time, single_time):
    """Slope (DN/s), its Poisson and read-noise variance, its sigma, intercept (DN) and the intercept's sigma.

    `current` is the rate (DN/s) that sets the Poisson noise, `single_time` the integration time of a lone group.
    """
    length = end - start
    if length == 1:
        slope = values[start] / single_time
        return slope, current / (single_time * gain), read_variance(1, read_noise, gain, single_time), 0.0, 0.0, 0.0
    if length == 2:
        first = np.float64(values[start])
        second = np.float64(values[start + 1])
        sigma = 1.41421356 * read_noise
        at = start + 1.0
        intercept = second * (1.0 - at) + first * at
        return (
            (second - first) / group_time,
            current / (group_time * gain),
            read_variance(2, read_noise, gain, group_time),
            sigma,
            intercept,
            sigma,
        )
    signal = np.float64(values[end - 1]) - np.float64(values[start])
    variance = read_noise * read_noise + signal * gain
    ratio = 0.0
    if not (variance <= 0.0 or gain == 0.0):
        ratio = signal * gain / np.sqrt(variance)
        if ratio < 0.0:
            ratio = 0.0
    power = _power(ratio)
    middle = (length - 1) / 2.0
    inverse_middle = 1.0 / middle
    inverse_variance = 1.0 / (read_noise * read_noise)
    sw = 0.0
    swx = 0.0
    swxx = 0.0
    swy = 0.0
    swxy = 0.0
    for k in range(length):
        weight = _raised(np.float32(np.abs((k - middle) * inverse_middle)), power) * inverse_variance
        x = np.float64(k + start)
        y = np.float64(values[start + k])
        if np.isnan(y):
            y = 0.0
        wx = x * weight
        sw += weight
        swx += wx
        swxx += x * wx
        swy += y * weight
        swxy += y * wx
    inverse = 1.0 / (sw * swxx - swx * swx)
    return (
        (sw * swxy - swx * swy) * inverse / group_time,
        current / (group_time * gain * (length - 1.0)),
        read_variance(length, read_noise, gain, group_time),
        np.sqrt(sw * inverse),
        (swxx * swy - swx * swxy) * inverse,
        np.sqrt(swxx * inverse),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _median_rate(values, flags, kind, times, work):
    """Median of the differences of one ramp, DN/s; zero where there is none."""
    if kind != NORMAL:
        rate = values[0] / times[kind]
    else:
        n = 0
        before = np.nan
        first = np.nan
        for g in range(values.size):
            here = np.nan if flags[g] & DO_NOT_USE else values[g] / times[NORMAL]
            if g == 0:
                first = here
            elif (flags[g] & JUMP_DET) == 0 and not np.isnan(here - before):
                work[n] = here - before
                n += 1
            before = here
        rate = first if n == 0 else median(work, n)
    return 0.0 if np.isnan(rate) else rate


@njit(nogil=True, cache=True, error_model="numpy")
def load(data, groupdq, y, x0, x1, values, raw):
    """Copy the ramps of the pixels ``x0:x1`` of a row to ``(pixel, nints, ngroups)``; saturated samples become NaN."""
    nints, ngroups = data.shape[0], data.shape[1]
    for i in range(nints):
        for g in range(ngroups):
            for x in range(x0, x1):
                flags = groupdq[i, g, y, x]
                raw[x - x0, i, g] = flags
                values[x - x0, i, g] = np.nan if flags & SATURATED else data[i, g, y, x]


@njit(nogil=True, cache=True, error_model="numpy")
def prepare(values, raw, zero, groups, suppress, flags):
    """Working flags of one ramp, cut to ``groups``, and what kind of ramp it is.

    `zero` is the pixel's ZEROFRAME value, exactly 0 where there is none.  A ramp with one good group loses it if
    `suppress`; without, a lone first group and a usable zeroframe are fitted with a time of their own.
    """
    start, stop, clear_jump = groups
    good = 0
    for g in range(raw.size):
        if (raw[g] & _NOT_PERSISTENCE) == 0:
            good += 1
    extra = DO_NOT_USE if suppress and good == 1 else np.uint8(0)
    clean = 0
    for g in range(start, stop):
        flags[g - start] = raw[g] | extra
    if clear_jump:
        flags[0] &= np.uint8(255 - 4)
    if suppress:
        return NORMAL
    for g in range(stop - start):
        if flags[g] == 0:
            clean += 1
    if clean == 1 and flags[0] == 0:
        return FIRST_GROUP_ONLY
    if clean == 0 and zero != 0.0:
        values[start] = zero
        return ZEROFRAME
    return NORMAL


@njit(nogil=True, cache=True, error_model="numpy")
def ramp_flags(flags, kind):
    """(Flags of all groups together, groups unusable, groups saturated); frees the first group for the zeroframe."""
    together = np.uint8(0)
    unusable = 0
    saturated = 0
    for g in range(flags.size):
        flag = flags[g]
        together |= flag
        if flag & (DO_NOT_USE | SATURATED):
            unusable += 1
        if flag & SATURATED:
            saturated += 1
    if kind == ZEROFRAME:
        flags[0] = 0
        unusable -= 1
        if saturated == flags.size:
            saturated -= 1
    return together, unusable, saturated


@njit(nogil=True, cache=True, error_model="numpy")
def _stored(variance):
    """A variance as it is written: zero where it is unknown."""
    return 0.0 if variance >= LARGE else variance


@njit(nogil=True, cache=True, error_model="numpy")
def _noise_with_lost_groups(raw, groups, read_noise, gain, times, kind, flags, starts, ends):
    """Sum of inverse read-noise variances as if groups given up for charge migration had been used."""
    start, stop, _ = groups
    for g in range(start, stop):
        flag = raw[g]
        flags[g - start] = flag ^ (CHARGELOSS | DO_NOT_USE) if flag & CHARGELOSS else flag
    kept, _ = find_segments(flags, starts, ends)
    total = 0.0
    for k in range(kept):
        length = ends[k] - starts[k]
        variance = read_variance(length, read_noise, gain, times[kind] if length == 1 else times[0])
        if variance > 0.0:
            total += 1.0 / variance
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def median_rate_of_pixel(values, raw, zeroframe, y, x, groups, suppress, times, kinds, flags, work):
    """Mean over integrations of the median rate; fills `kinds` and the working `flags` ``(nints, ngroups)``."""
    start, stop, _ = groups
    nints = values.shape[0]
    total = 0.0
    for i in range(nints):
        zero = np.float32(0.0) if zeroframe.shape[0] == 0 else zeroframe[i, y, x]
        kinds[i] = prepare(values[i], raw[i], zero, groups, suppress, flags[i])
        if stop - start == 1:
            total += values[i, start] / times[FIRST_GROUP_ONLY]
        else:
            total += _median_rate(values[i, start:stop], flags[i], kinds[i], times, work)
    return total / nints


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_integration(values, kept, starts, ends, gain, read_noise, current, times, kind):
    """Sums over the segments of 1 / Poisson, 1 / read and 1 / total variance, and of slope / read variance."""
    inverse_p = 0.0
    inverse_r = 0.0
    inverse_e = 0.0
    weighted = 0.0
    for k in range(kept):
        slope, variance_p, variance_r, _, _, _ = fit_segment(
            values, starts[k], ends[k], gain, read_noise, current, times[NORMAL], times[kind]
        )
        inverse_r += 1.0 / variance_r
        if variance_p > 0.0:
            inverse_p += 1.0 / variance_p
        inverse_e += 1.0 / (variance_p + variance_r)
        weighted += slope / variance_r
    return inverse_p, inverse_r, inverse_e, weighted


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def fit_ramps(data, groupdq, pixeldq, zeroframe, gain, read_noise, dark, times, groups, suppress, rate, rateints):
    """Fit every ramp of ``(nints, ngroups, ny, nx)``.

    `read_noise` is the noise of one group in electrons, `dark` (e-/s) adds to the Poisson variance, `times` are the
    integration times (s) of a group by kind of ramp, `groups` is (first, end, drop jumps of the first).  `rate` and
    `rateints` are tuples (slope, error, Poisson variance, read variance, DQ) that are filled.
    """
    nints, ngroups, ny, nx = data.shape
    start, stop, _ = groups
    used = stop - start
    out, err, var_p, var_r, dq = rate
    int_out, int_err, int_var_p, int_var_r, int_dq = rateints
    tile = max(8, min(64, _BUFFER // (nints * ngroups)))
    for y in prange(ny):
        values = np.empty((tile, nints, ngroups), np.float32)
        raw = np.empty((tile, nints, ngroups), np.uint8)
        flags = np.empty((nints, used), np.uint8)
        work = np.empty(used, np.float64)
        starts = np.empty(used + 1, np.int64)
        ends = np.empty(used + 1, np.int64)
        kinds = np.empty(nints, np.int64)
        for x0 in range(0, nx, tile):
            x1 = min(x0 + tile, nx)
            load(data, groupdq, y, x0, x1, values, raw)
            for x in range(x0, x1):
                ramp, ramp_raw = values[x - x0], raw[x - x0]
                e_per_dn = np.float64(gain[y, x])
                noise = np.float64(read_noise[y, x])
                base = pixeldq[y, x]
                if e_per_dn <= 0.0 or np.isnan(e_per_dn):
                    base |= _NO_GAIN
                middle = median_rate_of_pixel(
                    ramp, ramp_raw, zeroframe, y, x, groups, suppress, times, kinds, flags, work
                )
                current = np.float64(dark[y, x])
                if middle > 0.0:
                    current = middle + current
                sum_slope = 0.0
                sum_p = 0.0
                sum_r = 0.0
                all_flags = base
                not_used = 0
                saturated_ints = 0
                any_saturated = False
                any_lost = False
                for i in range(nints):
                    together, unusable, saturated = ramp_flags(flags[i], kinds[i])
                    flag = base | np.uint32(together & (JUMP_DET | PERSISTENCE))
                    all_flags |= np.uint32(together & (JUMP_DET | PERSISTENCE))
                    any_lost |= (together & CHARGELOSS) != 0
                    slope = 0.0
                    poisson = 0.0
                    read = 0.0
                    error = 0.0
                    kept = 0
                    if flags[i, 0] & SATURATED:
                        flag |= _INVALID
                        slope = np.nan
                    else:
                        kept, _ = find_segments(flags[i], starts, ends)
                    if unusable == used:
                        flag |= _DNU
                        if saturated == used:
                            flag |= _SAT
                    elif kept > 0:
                        inv_p, inv_r, inv_e, weighted = _fit_integration(
                            ramp[i, start:stop], kept, starts, ends, e_per_dn, noise, current, times, kinds[i]
                        )
                        if inv_p > 0.0:
                            poisson = _stored(1.0 / inv_p)
                            sum_p += inv_p
                        read = _stored(1.0 / inv_r)
                        sum_r += inv_r
                        sum_slope += weighted
                        if flag & _INVALID:
                            poisson = 0.0
                            read = 0.0
                        else:
                            slope = weighted * read
                            error = 0.0 if 1.0 / inv_e > LARGE else np.sqrt(1.0 / inv_e)
                    if flag & _DNU:
                        not_used += 1
                        slope = np.nan
                    if flag & _SAT:
                        saturated_ints += 1
                        slope = np.nan
                    if saturated > 0:
                        flag |= _SAT
                        any_saturated = True
                    int_out[i, y, x] = slope
                    int_err[i, y, x] = error
                    int_var_p[i, y, x] = poisson
                    int_var_r[i, y, x] = read
                    int_dq[i, y, x] = flag
                if not_used == nints:
                    all_flags |= _DNU
                if saturated_ints == nints:
                    all_flags |= _SAT
                poisson = _stored(1.0 / sum_p) if sum_p > 0.0 else 0.0
                read = _stored(1.0 / sum_r) if sum_r > 0.0 else sum_r
                if all_flags & _INVALID:
                    out[y, x] = np.nan
                    err[y, x] = 0.0
                    poisson = 0.0
                    read = 0.0
                else:
                    out[y, x] = sum_slope * read
                    err[y, x] = np.sqrt(poisson + read)
                if any_saturated:
                    all_flags |= _SAT
                if any_lost:
                    total = 0.0
                    for i in range(nints):
                        lost = False
                        for g in range(used):
                            lost |= (ramp_raw[i, start + g] & CHARGELOSS) != 0
                        if lost:
                            one = _noise_with_lost_groups(
                                ramp_raw[i], groups, noise, e_per_dn, times, kinds[i], flags[i], starts, ends
                            )
                            int_var_r[i, y, x] = _stored(1.0 / one)
                            total += one
                        elif int_var_r[i, y, x] > 0.0:
                            total += 1.0 / np.float64(int_var_r[i, y, x])
                    if total > 0.0:
                        read = _stored(1.0 / total)
                var_p[y, x] = poisson
                var_r[y, x] = read
                dq[y, x] = all_flags
