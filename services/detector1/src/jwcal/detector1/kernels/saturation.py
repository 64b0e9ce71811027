"""Saturation flags of ramps ``(nints, ngroups, ny, nx)``, with thresholds and biases ``(ny, nx)``."""

import numpy as np
from numba import njit, prange

SATURATED = np.uint8(2)
DO_NOT_USE = np.uint8(1)
AD_FLOOR = np.uint8(64)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def grow_inplace(mask, row_any, target, flag, radius):
    """Set `flag` in `target` wherever `mask` is set within a box of half-width `radius`."""
    ny, nx = mask.shape
    for y in prange(ny):
        first = max(0, y - radius)
        last = min(ny, y + radius + 1)
        found = False
        for row in range(first, last):
            if row_any[row]:
                found = True
        if not found:
            continue
        for row in range(first, last):
            if not row_any[row]:
                continue
            for x in range(nx):
                if mask[row, x]:
                    for column in range(max(0, x - radius), min(nx, x + radius + 1)):
                        target[y, column] |= flag


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def flag_ramps(data, dq, threshold, row_any):
    """Forward test of all groups of ``(nints, ngroups, ny, nx)``: flags saturated and A/D-floor pixels.

    `row_any` ``(nints, ngroups, ny)`` says where a row has saturated pixels.
    """
    nints, ngroups, ny, nx = data.shape
    for line in prange(nints * ny):
        i, y = line // ny, line % ny
        ever = np.zeros(nx, np.bool_)
        limits = threshold[y]
        for g in range(ngroups):
            values, flags = data[i, g, y], dq[i, g, y]
            together = np.uint8(0)
            for x in range(nx):
                ever[x] |= values[x] >= limits[x]
                flag = flags[x] | (SATURATED if ever[x] else np.uint8(0))
                flag |= AD_FLOOR | DO_NOT_USE if values[x] <= 0 else np.uint8(0)
                flags[x] = flag
                together |= flag
            row_any[i, g, y] = (together & SATURATED) != 0


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def partly_saturated(data, dq, next_dq, threshold, unchecked, dilution, mask, row_any):
    """Pixels whose last reads of the group must have saturated, since the next group is saturated."""
    ny, nx = data.shape
    for y in prange(ny):
        together = np.uint8(0)
        for x in range(nx):
            together |= next_dq[y, x]
        row_any[y] = False
        if (together & SATURATED) == 0:
            mask[y] = False
            continue
        any_set = False
        for x in range(nx):
            hit = False
            if (next_dq[y, x] & SATURATED) != 0 and (dq[y, x] & (SATURATED | DO_NOT_USE)) == 0:
                factor = 1.0 if unchecked[y, x] else dilution
                hit = np.float64(data[y, x]) >= np.float64(threshold[y, x]) * factor
            mask[y, x] = hit
            any_set |= hit
        row_any[y] = any_set


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def flag_second_group(data, dq, threshold, bias, mean_first, last_third, reads_second):
    """DO_NOT_USE in group 2 of pixels that saturate in group 3 and jump too far in group 2."""
    ny, nx = threshold.shape
    for y in prange(ny):
        together = np.uint8(0)
        for x in range(nx):
            together |= dq[2, y, x]
        if (together & SATURATED) == 0:
            continue
        for x in range(nx):
            if (dq[2, y, x] & SATURATED) == 0 or (dq[1, y, x] & SATURATED) != 0:
                continue
            first = data[0, y, x]
            above = np.float64(np.float32(first - bias[y, x]))
            expected = above / mean_first * last_third + np.float64(bias[y, x])
            if not expected < np.float64(threshold[y, x]):
                continue
            step = np.float32(data[1, y, x] - first)
            room = np.float32(np.float32(threshold[y, x] - first) / np.float32(reads_second))
            if step > room:
                dq[1, y, x] |= DO_NOT_USE
