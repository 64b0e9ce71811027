"""Linearity polynomials over ramps; rows in parallel."""

import numpy as np
from numba import njit, prange

SATURATED = np.uint8(2)
NO_LIN_CORR = np.uint32(1 << 20)
_TILE = 256


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def find_usable(coeffs, dq, usable, pixeldq):
    """Set `usable` where coefficients ``(ncoeffs, ny, nx)`` can be used, and NO_LIN_CORR elsewhere."""
    ncoeffs, ny, nx = coeffs.shape
    for y in prange(ny):
        good, flags, linear = usable[y], dq[y], coeffs[1, y]
        for x in range(nx):
            good[x] = ((flags[x] & NO_LIN_CORR) == 0) & (linear[x] != 0)
        for k in range(ncoeffs):
            term = coeffs[k, y]
            for x in range(nx):
                good[x] &= term[x] == term[x]
        for x in range(nx):
            pixeldq[y, x] |= np.uint32(0) if good[x] else NO_LIN_CORR


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def make_identity(coeffs, usable, clean):
    """Copy `coeffs` to `clean`, with the identity where they are not `usable`."""
    ncoeffs, ny, nx = coeffs.shape
    for y in prange(ny):
        for k in range(ncoeffs):
            for x in range(nx):
                identity = np.float32(1.0) if k == 1 else np.float32(0.0)
                clean[k, y, x] = coeffs[k, y, x] if usable[y, x] else identity


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def correct_groups(data, groupdq, coeffs, usable):
    """Apply the polynomial ``(ncoeffs, ny, nx)``, where `usable`, to every unsaturated group ``(ngroups, ny, nx)``."""
    ngroups, ny, nx = data.shape
    ncoeffs = coeffs.shape[0]
    for y in prange(ny):
        result = np.empty(nx, np.float32)
        for group in range(ngroups):
            row = data[group, y]
            _multiply(coeffs[ncoeffs - 1, y], row, result)
            for k in range(ncoeffs - 2, 0, -1):
                _add_and_multiply(result, coeffs[k, y], row)
            _finish(result, coeffs[0, y], usable[y], groupdq[group, y], row)


@njit(nogil=True, cache=True, error_model="numpy")
def _multiply(factor, values, result):
    for x in range(result.size):
        result[x] = factor[x] * values[x]


@njit(nogil=True, cache=True, error_model="numpy")
def _add_and_multiply(result, term, factor):
    for x in range(result.size):
        result[x] = (result[x] + term[x]) * factor[x]


@njit(nogil=True, cache=True, error_model="numpy")
def _finish(result, constant, good, flags, row):
    for x in range(row.size):
        corrected = result[x] + constant[x]
        row[x] = corrected if good[x] & ((flags[x] & SATURATED) == 0) else row[x]


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _polynomial32(value, saturated, coeffs, x):
    if saturated:
        return value
    result = coeffs[coeffs.shape[0] - 1, x] * value
    for k in range(coeffs.shape[0] - 2, 0, -1):
        result = np.float32(np.float32(result + coeffs[k, x]) * value)
    return np.float32(result + coeffs[0, x])


@njit(nogil=True, cache=True, error_model="numpy")
def _polynomial_row(values, coeffs, result):
    """Polynomial ``(ncoeffs, n)`` of the first ``n`` values in double precision."""
    ncoeffs, n = coeffs.shape
    top, constant = coeffs[ncoeffs - 1], coeffs[0]
    for x in range(n):
        result[x] = top[x] * values[x]
    for k in range(ncoeffs - 2, 0, -1):
        term = coeffs[k]
        for x in range(n):
            result[x] = (result[x] + term[x]) * values[x]
    for x in range(n):
        result[x] = result[x] + constant[x]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def correct_reads(data, groupdq, coeffs, inverse, nframes, mean_reads):
    """Correct the reads behind each averaged group of ``(ngroups, ny, nx)``.

    `mean_reads` holds the mean 1-based read number of each group.
    """
    ngroups, ny, nx = data.shape
    for y in prange(ny):
        first = np.empty(_TILE, np.float64)
        rate = np.empty(_TILE, np.float64)
        reads = np.empty((nframes, _TILE), np.float64)
        linear = np.empty(_TILE, np.float64)
        mean = np.empty(_TILE, np.float64)
        for x0 in range(0, nx, _TILE):
            n = min(_TILE, nx - x0)
            forward, backward = coeffs[:, y, x0 : x0 + n], inverse[:, y, x0 : x0 + n]
            for x in range(n):
                good = -1
                for group in range(ngroups):
                    if (groupdq[group, y, x0 + x] & SATURATED) == 0:
                        good += 1
                last = max(good, 2) - 1
                start = _polynomial32(data[0, y, x0 + x], (groupdq[0, y, x0 + x] & SATURATED) != 0, forward, x)
                end = _polynomial32(data[last, y, x0 + x], (groupdq[last, y, x0 + x] & SATURATED) != 0, forward, x)
                first[x] = start
                rate[x] = np.float64(np.float32(end - start)) / (mean_reads[last] - mean_reads[0])
            for group in range(ngroups):
                row, flags = data[group, y, x0 : x0 + n], groupdq[group, y, x0 : x0 + n]
                for x in range(n):
                    mean[x] = 0.0
                for frame in range(nframes):
                    since = np.float64(1 + frame + group * nframes) - mean_reads[0]
                    read = reads[frame]
                    for x in range(n):
                        linear[x] = first[x] + rate[x] * since
                    _polynomial_row(linear, backward, read)
                    for x in range(n):
                        mean[x] += read[x]
                for x in range(n):
                    mean[x] = row[x] - mean[x] / nframes
                for frame in range(nframes):
                    read = reads[frame]
                    for x in range(n):
                        read[x] += mean[x]
                for x in range(n):
                    mean[x] = 0.0
                for frame in range(nframes):
                    _polynomial_row(reads[frame], forward, linear)
                    for x in range(n):
                        mean[x] += linear[x]
                for x in range(n):
                    row[x] = row[x] if (flags[x] & SATURATED) != 0 else np.float32(mean[x] / nframes)
