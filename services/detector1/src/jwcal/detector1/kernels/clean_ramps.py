"""Line fits to ramps without any flag: one segment each, all pixels of a tile at once.

The arithmetic is that of `ramp_fit`, in the same order, so that a ramp gets the same rate either way.  Arguments are
the ramps of one integration: ``values`` and ``raw`` (flags) of shape ``(ngroups, pixels)``, of which the groups
``[first, last)`` are fitted, and one number a pixel of everything else.
"""

import numpy as np
from numba import njit

from jwcal.detector1.kernels.networks import apply_network

DO_NOT_USE = np.uint8(1)
_INVALID = np.uint32(3)
_LARGE = 1e6


@njit(nogil=True, cache=True, error_model="numpy")
def find_usable(gain, read_noise, pixeldq, usable):
    """Set `usable` where gain and noise allow a fit and the pixel has no flag that forbids one."""
    for p in range(gain.size):
        known = (gain[p] > 0.0) & (read_noise[p] > 0.0) & (read_noise[p] < np.float32(np.inf))
        usable[p] = known & ((pixeldq[p] & _INVALID) == 0)


@njit(nogil=True, cache=True, error_model="numpy")
def find_clean(values, raw, start, stop, first, last, usable, clean):
    """Set `clean` where `usable`, fitted groups are finite and have no flag, and the others of ``[start, stop)`` are
    DO_NOT_USE and nothing else."""
    pixels = usable.size
    for p in range(pixels):
        clean[p] = usable[p]
    for g in range(start, stop):
        value, flags = values[g], raw[g]
        if first <= g < last:
            for p in range(pixels):
                clean[p] &= (flags[p] == 0) & (np.abs(value[p]) < np.float32(np.inf))
        else:
            for p in range(pixels):
                clean[p] &= flags[p] == DO_NOT_USE


@njit(nogil=True, cache=True, error_model="numpy")
def median_rates(values, first, last, group_time, network, work, rates):
    """Median difference of successive groups (DN/s), to `rates`."""
    n = last - first - 1
    pixels = rates.size
    before, here = work[n], values[first]
    for p in range(pixels):
        before[p] = here[p] / group_time
    for g in range(n):
        here, out = values[first + g + 1], work[g]
        for p in range(pixels):
            rate = here[p] / group_time
            out[p] = rate - before[p]
            before[p] = rate
    apply_network(work[:n], network)
    low, high = work[(n - 1) // 2], work[n // 2]
    for p in range(pixels):
        rates[p] = 0.5 * (low[p] + high[p])


@njit(nogil=True, cache=True, error_model="numpy")
def _classes(first, last, gain, read_noise, classes):
    """Weight class of each ramp by its signal-to-noise ratio; a set bit for each class that occurs."""
    pixels = gain.size
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
def _slopes(values, first, length, table, classes, present, total, slopes):
    """Slope per group of each ramp, by the coefficients of its class."""
    pixels = slopes.size
    for kind in range(6):
        if (present & (1 << kind)) == 0:
            continue
        for p in range(pixels):
            total[p] = 0.0
        for k in range(length):
            coefficient = table[length, kind, k]
            value = values[first + k]
            for p in range(pixels):
                total[p] += coefficient * np.float64(value[p])
        for p in range(pixels):
            slopes[p] = total[p] if classes[p] == kind else slopes[p]


@njit(nogil=True, cache=True, error_model="numpy")
def noise_of_clean(length, gain, read_noise, current, group_time, noise):
    """What the noise of clean ramps of `length` groups is, whatever their values.

    `current` is the rate (DN/s) that sets the Poisson noise.  Fills `noise`: error, Poisson and read-noise variance
    as they are stored, both inverse, and the read-noise variance itself.
    """
    error, poisson, read, inverse_p, inverse_r, variances_r = noise
    n = np.float64(length)
    for p in range(gain.size):
        e_per_dn = np.float64(gain[p])
        variance_p = current[p] / (group_time * e_per_dn * (n - 1.0))
        noise_rate = np.float64(read_noise[p]) / group_time
        variance_r = 12.0 * noise_rate * noise_rate / ((n * n * n - n) * e_per_dn * e_per_dn)
        inverse_p[p] = 1.0 / variance_p if variance_p > 0.0 else 0.0
        inverse_r[p] = 1.0 / variance_r
        variances_r[p] = variance_r
        both = 1.0 / (1.0 / (variance_p + variance_r))
        error[p] = 0.0 if both > _LARGE else np.sqrt(both)
        stored = 1.0 / inverse_p[p]
        poisson[p] = 0.0 if (inverse_p[p] <= 0.0) | (stored >= _LARGE) else stored
        stored = 1.0 / inverse_r[p]
        read[p] = 0.0 if stored >= _LARGE else stored


@njit(nogil=True, cache=True, error_model="numpy")
def fit_clean(values, first, last, table, gain, read_noise, noise, group_time, classes, work, results):
    """Fit every ramp as if it were clean, with the `noise` of its length.

    Fills `results`: slope, error, Poisson and read-noise variance as they are stored, inverse variances, and the
    slope over its read-noise variance.
    """
    slope, weighted = results[0], results[6]
    read, variance_r = noise[2], noise[5]
    pixels = gain.size
    total, slopes = work[0], work[1, :pixels]
    present = _classes(values[first], values[last - 1], gain, read_noise, classes)
    for p in range(pixels):
        slopes[p] = 0.0
    _slopes(values, first, last - first, table, classes, present, total, slopes)
    for p in range(pixels):
        weighted[p] = slopes[p] / group_time / variance_r[p]
        slope[p] = weighted[p] * read[p]
    for k in range(5):
        out, known = results[k + 1], noise[k]
        for p in range(pixels):
            out[p] = known[p]


@njit(nogil=True, cache=True, error_model="numpy")
def average(sum_slope, sum_p, sum_r, pixeldq, y, x0, rate):
    """Store the averages over the integrations of pixels without any flag in their ramps."""
    out, err, var_p, var_r, dq = rate
    for p in range(pixeldq.size):
        stored = 1.0 / sum_p[p]
        variance_p = 0.0 if (sum_p[p] <= 0.0) | (stored >= _LARGE) else stored
        stored = 1.0 / sum_r[p]
        variance_r = 0.0 if stored >= _LARGE else stored
        out[y, x0 + p] = sum_slope[p] * variance_r
        err[y, x0 + p] = np.sqrt(variance_p + variance_r)
        var_p[y, x0 + p] = variance_p
        var_r[y, x0 + p] = variance_r
        dq[y, x0 + p] = pixeldq[p]
