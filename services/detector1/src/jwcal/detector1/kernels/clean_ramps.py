"""Line fits to ramps without any flag: one segment each, all pixels of a tile at once.

The arithmetic is that of `ramp_fit`, in the same order, so that a ramp gets the same rate either way.  Tiles are
``(nints * ngroups, pixels)``.
"""

import numpy as np
from numba import njit

from jwcal.detector1.kernels.networks import apply_network

_INVALID = np.uint32(3)
_LARGE = 1e6


@njit(nogil=True, cache=True, error_model="numpy")
def find_clean(values, raw, nints, ngroups, groups, gain, read_noise, pixeldq, pixels, clean):
    """Set `clean` where no fitted group has a flag, all are finite, and gain and noise can be used."""
    start, stop, _ = groups
    for p in range(pixels):
        clean[p] = (gain[p] > 0.0) & (read_noise[p] > 0.0) & ((pixeldq[p] & _INVALID) == 0)
    for i in range(nints):
        for g in range(start, stop):
            value, flags = values[i * ngroups + g], raw[i * ngroups + g]
            for p in range(pixels):
                clean[p] &= (flags[p] == 0) & (np.abs(value[p]) < np.float32(np.inf))


@njit(nogil=True, cache=True, error_model="numpy")
def clean_rates(values, nints, ngroups, groups, group_time, network, work, pixels, rates):
    """Mean over the integrations of the median difference of successive groups (DN/s), to `rates`."""
    start, stop, _ = groups
    n = stop - start - 1
    for p in range(pixels):
        rates[p] = 0.0
    for i in range(nints):
        for g in range(n):
            before, here = values[i * ngroups + start + g], values[i * ngroups + start + g + 1]
            out = work[g]
            for p in range(pixels):
                out[p] = here[p] / group_time - before[p] / group_time
        apply_network(work[:n], network)
        first, second = work[(n - 1) // 2], work[n // 2]
        for p in range(pixels):
            rates[p] += 0.5 * (first[p] + second[p])
    for p in range(pixels):
        rates[p] /= nints


@njit(nogil=True, cache=True, error_model="numpy")
def _classes(first, last, gain, read_noise, pixels, classes):
    """Weight class of each ramp by its signal-to-noise ratio; a set bit for each class that occurs."""
    present = 0
    for p in range(pixels):
        signal = np.float64(last[p]) - np.float64(first[p])
        noise = np.float64(read_noise[p])
        variance = noise * noise + signal * np.float64(gain[p])
        ratio = signal * np.float64(gain[p]) / np.sqrt(variance)
        kind = 0
        kind += 1 if ratio >= 5.0 else 0
        kind += 1 if ratio >= 10.0 else 0
        kind += 1 if ratio >= 20.0 else 0
        kind += 1 if ratio >= 50.0 else 0
        kind += 1 if ratio >= 100.0 else 0
        classes[p] = kind if variance > 0.0 else 0
    for p in range(pixels):
        present |= 1 << classes[p]
    return present


@njit(nogil=True, cache=True, error_model="numpy")
def _slopes(values, at, table, used, classes, present, pixels, total, slopes):
    """Slope per group of each ramp, by the coefficients of its class."""
    for kind in range(6):
        if (present & (1 << kind)) == 0:
            continue
        for p in range(pixels):
            total[p] = 0.0
        for k in range(used):
            coefficient = table[used, kind, k]
            value = values[at + k]
            for p in range(pixels):
                total[p] += coefficient * np.float64(value[p])
        for p in range(pixels):
            slopes[p] = total[p] if classes[p] == kind else slopes[p]


@njit(nogil=True, cache=True, error_model="numpy")
def fit_clean(
    values, nints, ngroups, groups, table, gain, read_noise, dark, pixeldq, group_time, rates, work, classes, pixels,
    y, x0, rate, rateints,
):  # fmt: skip
    """Fit every ramp of a tile as if it were clean, and store its results; `rates` are the median rates (DN/s)."""
    start, stop, _ = groups
    used = stop - start
    out, err, var_p, var_r, dq = rate
    int_out, int_err, int_var_p, int_var_r, int_dq = rateints
    poisson, read, error, total, slopes, sum_slope = work[0], work[1], work[2], work[3], work[4], work[5]
    inverse_p, inverse_r, sum_p, sum_r = work[6], work[7], work[8], work[9]
    n = np.float64(used)
    for p in range(pixels):
        current = np.float64(dark[p])
        current = rates[p] + current if rates[p] > 0.0 else current
        e_per_dn = np.float64(gain[p])
        variance_p = current / (group_time * e_per_dn * (used - 1.0))
        noise = np.float64(read_noise[p]) / group_time
        variance_r = 12.0 * noise * noise / ((n * n * n - n) * e_per_dn * e_per_dn)
        inverse_p[p] = 1.0 / variance_p if variance_p > 0.0 else 0.0
        inverse_r[p] = 1.0 / variance_r
        both = 1.0 / (1.0 / (variance_p + variance_r))
        error[p] = 0.0 if both > _LARGE else np.sqrt(both)
        stored = 1.0 / inverse_p[p]
        poisson[p] = 0.0 if (inverse_p[p] <= 0.0) | (stored >= _LARGE) else stored
        stored = 1.0 / inverse_r[p]
        read[p] = 0.0 if stored >= _LARGE else stored
        slopes[p] = 0.0
        sum_slope[p] = 0.0
        sum_p[p] = 0.0
        sum_r[p] = 0.0
    for i in range(nints):
        at = i * ngroups + start
        present = _classes(values[at], values[at + used - 1], gain, read_noise, pixels, classes)
        _slopes(values, at, table, used, classes, present, pixels, total, slopes)
        for p in range(pixels):
            noise = np.float64(read_noise[p]) / group_time
            e_per_dn = np.float64(gain[p])
            variance_r = 12.0 * noise * noise / ((n * n * n - n) * e_per_dn * e_per_dn)
            weighted = slopes[p] / group_time / variance_r
            sum_slope[p] += weighted
            sum_p[p] += inverse_p[p]
            sum_r[p] += inverse_r[p]
            int_out[i, y, x0 + p] = weighted * read[p]
        for p in range(pixels):
            int_err[i, y, x0 + p] = error[p]
            int_var_p[i, y, x0 + p] = poisson[p]
            int_var_r[i, y, x0 + p] = read[p]
            int_dq[i, y, x0 + p] = pixeldq[p]
    for p in range(pixels):
        stored = 1.0 / sum_p[p]
        variance_p = 0.0 if (sum_p[p] <= 0.0) | (stored >= _LARGE) else stored
        stored = 1.0 / sum_r[p]
        variance_r = 0.0 if stored >= _LARGE else stored
        out[y, x0 + p] = sum_slope[p] * variance_r
        err[y, x0 + p] = np.sqrt(variance_p + variance_r)
        var_p[y, x0 + p] = variance_p
        var_r[y, x0 + p] = variance_r
        dq[y, x0 + p] = pixeldq[p]
