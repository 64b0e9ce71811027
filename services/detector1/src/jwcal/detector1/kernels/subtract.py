"""Subtraction of reference planes and ramps, in place, rows in parallel; memory is walked in its order."""

import numpy as np
from numba import njit, prange


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_plane(data, plane):
    """Subtract ``(ny, nx)`` from every group of ``(ngroups, ny, nx)``; NaN counts as zero."""
    ngroups, ny, _ = data.shape
    for line in prange(ngroups * ny):
        _subtract_row(data[line // ny, line % ny], plane[line % ny])


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_ramp(data, ramp, ngroups):
    """Subtract the first `ngroups` groups of ``(ng, ny, nx)`` from ``(ngroups', ny, nx)``; NaN counts as zero."""
    ny = data.shape[1]
    for line in prange(ngroups * ny):
        _subtract_row(data[line // ny, line % ny], ramp[line // ny, line % ny])


@njit(nogil=True, cache=True, error_model="numpy")
def _subtract_row(row, values):
    for x in range(row.size):
        value = values[x]
        row[x] -= np.float32(0.0) if np.isnan(value) else value


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_extrapolated_ramp(data, ramp):
    """As `subtract_ramp`, for a ramp shorter than the data: its last two groups give the slope of what follows."""
    ngroups, ny, nx = data.shape
    known = ramp.shape[0]
    for y in prange(ny):
        for group in range(ngroups):
            for x in range(nx):
                if group < known:
                    value = np.float64(ramp[group, y, x])
                else:
                    slope = np.float64(np.float32(ramp[known - 1, y, x] - ramp[known - 2, y, x]))
                    value = slope * (group - known + 1) + ramp[known - 1, y, x]
                if not np.isnan(value):
                    data[group, y, x] = np.float32(data[group, y, x] - value)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def average_frames(ramp, start, stop, out):
    """Mean of the groups `start` to `stop` of ``(ng, ny, nx)``; NaN counts as zero.

    Groups beyond the end are extrapolated from the last two, and the mean is then taken in double precision.
    """
    known, ny, nx = ramp.shape
    extrapolated = stop > known
    count = stop - start
    for y in prange(ny):
        for x in range(nx):
            if extrapolated:
                slope = np.float64(np.float32(ramp[known - 1, y, x] - ramp[known - 2, y, x]))
                total = 0.0
                for group in range(start, stop):
                    if group < known:
                        value = np.float64(ramp[group, y, x])
                    else:
                        value = slope * (group - known + 1) + ramp[known - 1, y, x]
                    if not np.isnan(value):
                        total += value
                out[y, x] = np.float32(total / count)
            else:
                single = np.float32(0.0)
                for group in range(start, stop):
                    value32 = ramp[group, y, x]
                    if not np.isnan(value32):
                        single += value32
                out[y, x] = single / np.float32(count)
