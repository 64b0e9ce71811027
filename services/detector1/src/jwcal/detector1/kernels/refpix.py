"""Statistics of reference pixels, and their subtraction."""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.selection import median


@njit(nogil=True, cache=True, error_model="numpy")
def clipped_mean(values, n, limit):
    """Mean of the first `n` values after dropping those beyond `limit` sigma until none is left; NaN for none.

    The limits themselves are kept.  The values are reordered.
    """
    if n == 0:
        return np.nan
    while True:
        total = 0.0
        for i in range(n):
            total += values[i]
        mean = total / n
        squares = 0.0
        for i in range(n):
            squares += (values[i] - mean) ** 2
        sigma = np.sqrt(squares / n)
        if sigma == 0.0:
            return mean
        low, high = mean - limit * sigma, mean + limit * sigma
        kept = 0
        for i in range(n):
            if low <= values[i] <= high:
                values[kept] = values[i]
                kept += 1
        if kept == n or kept == 0:
            return mean if kept else np.nan
        n = kept


@njit("float32(float32[:], int64, int64)", nogil=True, cache=True, error_model="numpy")
def _pairwise_sum(values, start, n):
    """Sum in single precision in the order that numpy adds (Higham 1993, pairwise summation with eight lanes)."""
    if n < 8:
        total = np.float32(0.0)
        for i in range(start, start + n):
            total += values[i]
        return total
    if n > 128:
        half = n // 2
        half -= half % 8
        return _pairwise_sum(values, start, half) + _pairwise_sum(values, start + half, n - half)
    lanes = values[start : start + 8].copy()
    blocks = n - n % 8
    for i in range(8, blocks, 8):
        for k in range(8):
            lanes[k] += values[start + i + k]
    total = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    for i in range(start + blocks, start + n):
        total += values[i]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def clipped_mean_single(values, n, limit):
    """The same in single precision throughout, bit for bit what numpy makes of a float32 array."""
    if n == 0:
        return np.nan
    squares = np.empty(n, np.float32)
    while True:
        mean = np.float32(_pairwise_sum(values, 0, n) / np.float32(n))
        for i in range(n):
            distance = np.float32(values[i] - mean)
            squares[i] = np.float32(distance * distance)
        sigma = np.float32(np.sqrt(np.float32(_pairwise_sum(squares, 0, n) / np.float32(n))))
        if sigma == 0.0:
            return np.float64(mean)
        reach = np.float32(sigma * np.float32(limit))
        low, high = np.float32(mean - reach), np.float32(mean + reach)
        kept = 0
        for i in range(n):
            if low <= values[i] <= high:
                values[kept] = values[i]
                kept += 1
        if kept == n or kept == 0:
            return np.float64(mean) if kept else np.nan
        n = kept


@njit(nogil=True, cache=True, error_model="numpy")
def clipped_means(plane, rows, columns, bounds, limit, single, means):
    """Clipped mean of each set of pixels: set k has the pixels ``bounds[k]`` to ``bounds[k + 1]`` of the lists."""
    work = np.empty(rows.size, np.float64)
    work_single = np.empty(rows.size, np.float32)
    for k in range(means.size):
        n = 0
        for i in range(bounds[k], bounds[k + 1]):
            work[n] = plane[rows[i], columns[i]]
            work_single[n] = plane[rows[i], columns[i]]
            n += 1
        means[k] = clipped_mean_single(work_single, n, limit) if single else clipped_mean(work, n, limit)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def running_median(values, usable, length, result):
    """Median over `length` lines of ``(n, width)`` round each, mirrored at the ends; an even window reaches one line
    less above than below.

    NaN where all are bad, or where a usable one is NaN.
    """
    n, width = values.shape
    half = length // 2
    for line in prange(n):
        work = np.empty(length * width, np.float64)
        count = 0
        unknown = False
        for k in range(line - half, line - half + length):
            at = -k if k < 0 else k
            if at > n - 1:
                at = 2 * (n - 1) - at
            for j in range(width):
                if usable[at, j]:
                    work[count] = values[at, j]
                    count += 1
                    unknown |= np.isnan(values[at, j])
        result[line] = np.nan if unknown else median(work, count)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_lines(plane, along_x, along_y):
    """Subtract ``along_x[y mod p, x] + along_y[y]`` from ``(ny, nx)``, with ``along_x`` of shape ``(p, nx)``."""
    ny, nx = plane.shape
    period = along_x.shape[0]
    for y in prange(ny):
        for x in range(nx):
            plane[y, x] = np.float32(plane[y, x] - along_x[y % period, x] - along_y[y])


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_above(plane, first, along_x):
    """Subtract ``along_x[y mod p, x]`` from what `plane` holds above `first`, in single precision."""
    ny, nx = plane.shape
    period = along_x.shape[0]
    for y in prange(ny):
        for x in range(nx):
            above = np.float32(np.float32(plane[y, x] - first[y, x]) - np.float32(along_x[y % period, x]))
            plane[y, x] = np.float32(above + first[y, x])
