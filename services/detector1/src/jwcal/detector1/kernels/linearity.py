"""Linearity polynomials over ramps; rows in parallel."""

import numpy as np
from numba import njit, prange

SATURATED = np.uint8(2)
NO_LIN_CORR = np.uint32(1 << 20)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def prepare_coefficients(coeffs, dq, clean, pixeldq):
    """Copy usable coefficients to `clean`; identity (and NO_LIN_CORR) where they are not usable."""
    ncoeffs, ny, nx = coeffs.shape
    for y in prange(ny):
        for x in range(nx):
            flagged = (dq[y, x] & NO_LIN_CORR) != 0
            invalid = False
            if not flagged:
                for k in range(ncoeffs):
                    if np.isnan(coeffs[k, y, x]):
                        invalid = True
                if coeffs[1, y, x] == 0:
                    invalid = True
            if invalid:
                pixeldq[y, x] |= NO_LIN_CORR
            for k in range(ncoeffs):
                if flagged or invalid:
                    clean[k, y, x] = np.float32(1.0) if k == 1 else np.float32(0.0)
                else:
                    clean[k, y, x] = coeffs[k, y, x]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def correct_groups(data, groupdq, coeffs):
    """Apply the polynomial ``(ncoeffs, ny, nx)`` to every unsaturated group of ``(ngroups, ny, nx)``."""
    ngroups, ny, nx = data.shape
    ncoeffs = coeffs.shape[0]
    for y in prange(ny):
        result = np.empty(nx, np.float32)
        for group in range(ngroups):
            row = data[group, y]
            top = coeffs[ncoeffs - 1, y]
            for x in range(nx):
                result[x] = top[x] * row[x]
            for k in range(ncoeffs - 2, 0, -1):
                term = coeffs[k, y]
                for x in range(nx):
                    result[x] = (result[x] + term[x]) * row[x]
            constant = coeffs[0, y]
            for x in range(nx):
                if (groupdq[group, y, x] & SATURATED) == 0:
                    row[x] = result[x] + constant[x]


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _polynomial32(value, saturated, coeffs, y, x):
    if saturated:
        return value
    result = coeffs[coeffs.shape[0] - 1, y, x] * value
    for k in range(coeffs.shape[0] - 2, 0, -1):
        result = np.float32(np.float32(result + coeffs[k, y, x]) * value)
    return np.float32(result + coeffs[0, y, x])


@njit(nogil=True, cache=True, error_model="numpy")
def _polynomial_row(values, coeffs, y, result):
    """Polynomial of a row in double precision."""
    nx = values.size
    ncoeffs = coeffs.shape[0]
    top = coeffs[ncoeffs - 1, y]
    for x in range(nx):
        result[x] = top[x] * values[x]
    for k in range(ncoeffs - 2, 0, -1):
        term = coeffs[k, y]
        for x in range(nx):
            result[x] = (result[x] + term[x]) * values[x]
    constant = coeffs[0, y]
    for x in range(nx):
        result[x] = result[x] + constant[x]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def correct_reads(data, groupdq, coeffs, inverse, nframes, mean_reads):
    """Correct the reads behind each averaged group of ``(ngroups, ny, nx)``.

    `mean_reads` holds the mean 1-based read number of each group.
    """
    ngroups, ny, nx = data.shape
    for y in prange(ny):
        first = np.empty(nx, np.float64)
        rate = np.empty(nx, np.float64)
        reads = np.empty((nframes, nx), np.float64)
        linear = np.empty(nx, np.float64)
        mean = np.empty(nx, np.float64)
        for x in range(nx):
            good = -1
            for group in range(ngroups):
                if (groupdq[group, y, x] & SATURATED) == 0:
                    good += 1
            last = max(good, 2) - 1
            start = _polynomial32(data[0, y, x], (groupdq[0, y, x] & SATURATED) != 0, coeffs, y, x)
            end = _polynomial32(data[last, y, x], (groupdq[last, y, x] & SATURATED) != 0, coeffs, y, x)
            first[x] = start
            rate[x] = np.float64(np.float32(end - start)) / (mean_reads[last] - mean_reads[0])
        for group in range(ngroups):
            for x in range(nx):
                mean[x] = 0.0
            for frame in range(nframes):
                since = np.float64(1 + frame + group * nframes) - mean_reads[0]
                for x in range(nx):
                    linear[x] = first[x] + rate[x] * since
                _polynomial_row(linear, inverse, y, reads[frame])
                for x in range(nx):
                    mean[x] += reads[frame, x]
            for x in range(nx):
                mean[x] = data[group, y, x] - mean[x] / nframes
            for frame in range(nframes):
                for x in range(nx):
                    reads[frame, x] += mean[x]
            for x in range(nx):
                mean[x] = 0.0
            for frame in range(nframes):
                _polynomial_row(reads[frame], coeffs, y, linear)
                for x in range(nx):
                    mean[x] += linear[x]
            for x in range(nx):
                if (groupdq[group, y, x] & SATURATED) == 0:
                    data[group, y, x] = np.float32(mean[x] / nframes)
