"""Flag arithmetic on group-level DQ, rows in parallel."""

import numpy as np
from numba import njit, prange

DO_NOT_USE = np.uint8(1)
SATURATED = np.uint8(2)
CHARGELOSS = np.uint8(128)
FLUX_ESTIMATED = np.uint32(1 << 28)
_ROWS_APART = 16


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def set_group_flags(groupdq, plane):
    """OR ``(ny, nx)`` into every group of ``(ngroups, ny, nx)``."""
    ngroups, ny, nx = groupdq.shape
    for y in prange(ny):
        for group in range(ngroups):
            for x in range(nx):
                groupdq[group, y, x] |= plane[y, x]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def first_above(data, groupdq, threshold, first):
    """First group of each pixel with data above `threshold` whose flags are not exactly DO_NOT_USE."""
    ngroups, ny, nx = data.shape
    for y in prange(ny):
        for x in range(nx):
            first[y, x] = ngroups
        for group in range(ngroups - 1, -1, -1):
            for x in range(nx):
                if data[group, y, x] > threshold and groupdq[group, y, x] != DO_NOT_USE:
                    first[y, x] = group


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def flag_from_first(groupdq, first, flags):
    """Set `flags` from the first group of each pixel, or of an edge neighbour, to the end of the ramp."""
    ngroups, ny, nx = groupdq.shape
    for y in prange(ny):
        for x in range(nx):
            start = first[y, x]
            if y > 0:
                start = min(start, first[y - 1, x])
            if y < ny - 1:
                start = min(start, first[y + 1, x])
            if x > 0:
                start = min(start, first[y, x - 1])
            if x < nx - 1:
                start = min(start, first[y, x + 1])
            for group in range(start, ngroups):
                groupdq[group, y, x] |= flags


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def skip_first_groups(groupdq, skip, lowered, none_left):
    """Flag the first `skip` groups of ``(nints, ngroups, ny, nx)`` unusable, fewer where they saturate early.

    A pixel that is saturated in the group after the skipped ones (but not in its first) skips one group less, again
    and again.  `lowered` and `none_left` ``(ny, nx)`` say where any integration skips fewer, and none.
    """
    nints, ngroups, ny, nx = groupdq.shape
    for y in prange(ny):
        for i in range(nints):
            for x in range(nx):
                n = skip
                if (groupdq[i, 0, y, x] & SATURATED) == 0:
                    test = skip + 1
                    while test >= 1 and (groupdq[i, test, y, x] & SATURATED) != 0:
                        n = max(n - 1, 0)
                        test -= 1
                if n < skip:
                    lowered[y, x] = True
                if n == 0:
                    none_left[y, x] = True
                for group in range(min(n, ngroups)):
                    groupdq[i, group, y, x] |= DO_NOT_USE


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def open_windows(data, groupdq, windows, start, group_time, length, threshold, flag):
    """Walk the groups ``(ngroups, ny, nx)`` in time: open, close and apply persistence windows (end times in s)."""
    ngroups, ny, nx = data.shape
    for y in prange(ny):
        for x in range(nx):
            saturated = 0
            now = start
            for group in range(ngroups):
                now = now + group_time
                end = now + length
                if windows[y, x] < now:
                    windows[y, x] = 0.0
                if (groupdq[group, y, x] & SATURATED) != 0:
                    saturated += 1
                if saturated == 1:
                    windows[y, x] = end
                if data[group, y, x] > threshold and not windows[y, x] > 0.0:
                    windows[y, x] = end
                if windows[y, x] != 0.0 and windows[y, x] - end > 0.0:
                    windows[y, x] = 0.0
                if windows[y, x] > 0.0:
                    groupdq[group, y, x] |= flag


@njit(nogil=True, cache=True, error_model="numpy")
def planes_with(groupdq, flag):
    """Which planes ``(nints, ngroups)`` of ``(nints, ngroups, ny, nx)`` have one of the bits `flag` in every pixel."""
    nints, ngroups, ny, nx = groupdq.shape
    out = np.ones((nints, ngroups), np.bool_)
    for i in range(nints):
        for g in range(ngroups):
            plane = groupdq[i, g]
            for y in range(ny):
                for x in range(nx):
                    if (plane[y, x] & flag) == 0:
                        out[i, g] = False
                        break
                if not out[i, g]:
                    break
    return out


@njit(nogil=True, cache=True, error_model="numpy")
def planes_mostly_with(groupdq, flag):
    """Which planes ``(nints, ngroups)`` have one of the bits `flag` in most pixels, judged by every sixteenth row."""
    nints, ngroups, ny, nx = groupdq.shape
    out = np.empty((nints, ngroups), np.bool_)
    for i in range(nints):
        for g in range(ngroups):
            count, total = 0, 0
            for y in range((ny // 2) % _ROWS_APART, ny, _ROWS_APART):
                row = groupdq[i, g, y]
                for x in range(nx):
                    count += 1 if (row[x] & flag) != 0 else 0
                total += nx
            out[i, g] = 2 * count > total
    return out
