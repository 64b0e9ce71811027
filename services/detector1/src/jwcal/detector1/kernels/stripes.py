"""Medians along the lines of an image, in parallel."""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.selection import median

_TILE = 16


@njit(nogil=True, cache=True, error_model="numpy")
def _rounded(value, image):
    """A value in the precision of the image."""
    work = np.empty(1, image.dtype)
    work[0] = value
    return work[0]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_row_medians(image, mask, channels):
    """Subtract from every row of each of `channels` blocks of columns the median of its usable pixels."""
    ny, nx = image.shape
    width = nx // channels
    for y in prange(ny):
        work = np.empty(width, image.dtype)
        for channel in range(channels):
            n = 0
            for x in range(channel * width, (channel + 1) * width):
                if mask[y, x]:
                    work[n] = image[y, x]
                    n += 1
            if n > 0:
                stripe = _rounded(median(work, n), image)
                for x in range(channel * width, (channel + 1) * width):
                    image[y, x] -= stripe


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_column_medians(image, mask, channels):
    """Subtract from every column of each of `channels` blocks of rows the median of its usable pixels."""
    ny, nx = image.shape
    height = ny // channels
    for tile in prange((nx + _TILE - 1) // _TILE):
        x0, x1 = tile * _TILE, min((tile + 1) * _TILE, nx)
        work = np.empty((_TILE, height), image.dtype)
        counts = np.empty(_TILE, np.int64)
        stripes = np.empty(_TILE, np.float64)
        for channel in range(channels):
            y0, y1 = channel * height, (channel + 1) * height
            counts[:] = 0
            for y in range(y0, y1):
                for x in range(x0, x1):
                    if mask[y, x]:
                        work[x - x0, counts[x - x0]] = image[y, x]
                        counts[x - x0] += 1
            for k in range(x1 - x0):
                stripes[k] = _rounded(median(work[k], counts[k]), image) if counts[k] > 0 else 0.0
            for y in range(y0, y1):
                for x in range(x0, x1):
                    image[y, x] -= stripes[x - x0]
