"""Connected regions of flagged pixels ``(ny, nx)``, as runs along rows.

A pixel belongs to the mask where `plane` has `flag` and `other` has none of `excluded`.  Neighbours touch by edges or
corners.  Regions are numbered in the order in which a scan of the rows meets them.
"""

import numpy as np
from numba import njit, prange

AREA, Y0, Y1, X0, X1, SUM_Y, SUM_X, SUM_YY, SUM_YX, SUM_XX = range(10)
"""Columns of the table of regions: pixels, bounding box ``[Y0:Y1, X0:X1]``, sums of coordinates and products."""


@njit(nogil=True, cache=True, error_model="numpy")
def _scan(here, other, flag, excluded, starts, stops, at):
    """Runs of a row from index `at` of `starts` and `stops`; returns the index after the last."""
    begin = -1
    for x in range(here.size):
        inside = (here[x] & flag) != 0 and (other[x] & excluded) == 0
        if inside and begin < 0:
            begin = x
        elif not inside and begin >= 0:
            starts[at] = begin
            stops[at] = x
            at += 1
            begin = -1
    if begin >= 0:
        starts[at] = begin
        stops[at] = here.size
        at += 1
    return at


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def find_runs(plane, flag, other, excluded):
    """Runs of the mask: the index of each row's first run ``(ny + 1,)``, and every run's start and stop column."""
    ny, nx = plane.shape
    counts = np.zeros(ny + 1, np.int64)
    for y in prange(ny):
        together = np.uint8(0)
        for x in range(nx):
            together |= plane[y, x]
        if (together & flag) != 0:
            scratch = np.empty((2, nx // 2 + 1), np.int32)
            counts[y + 1] = _scan(plane[y], other[y], flag, excluded, scratch[0], scratch[1], 0)
    firsts = np.cumsum(counts)
    starts = np.empty(firsts[ny], np.int32)
    stops = np.empty(firsts[ny], np.int32)
    for y in prange(ny):
        if firsts[y + 1] > firsts[y]:
            _scan(plane[y], other[y], flag, excluded, starts, stops, firsts[y])
    return firsts, starts, stops


@njit(nogil=True, cache=True, error_model="numpy")
def _root(parents, run):
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@njit(nogil=True, cache=True, error_model="numpy")
def join_runs(firsts, starts, stops):
    """Region of each run, and the number of regions (union-find over the runs of successive rows)."""
    parents = np.arange(starts.size)
    for y in range(1, firsts.size - 1):
        above, last_above = firsts[y - 1], firsts[y]
        for run in range(firsts[y], firsts[y + 1]):
            while above < last_above and stops[above] < starts[run]:
                above += 1
            touching = above
            while touching < last_above and starts[touching] <= stops[run]:
                a, b = _root(parents, touching), _root(parents, run)
                parents[max(a, b)] = min(a, b)
                touching += 1
    regions = np.empty(starts.size, np.int64)
    count = 0
    for run in range(starts.size):
        root = _root(parents, run)
        if root == run:
            regions[run] = count
            count += 1
        else:
            regions[run] = regions[root]
    return regions, count


@njit(nogil=True, cache=True, error_model="numpy")
def measure(firsts, starts, stops, regions, count):
    """Table ``(count, 10)`` of the regions, columns as named above."""
    table = np.zeros((count, 10), np.int64)
    for y in range(firsts.size - 1):
        for run in range(firsts[y], firsts[y + 1]):
            row = table[regions[run]]
            a, b = np.int64(starts[run]), np.int64(stops[run])
            n = b - a
            total = (a + b - 1) * n // 2
            squares = (b - 1) * b * (2 * b - 1) // 6 - (a - 1) * a * (2 * a - 1) // 6
            if row[AREA] == 0:
                row[Y0] = y
                row[X0] = a
            row[AREA] += n
            row[Y1] = y + 1
            row[X0] = min(row[X0], a)
            row[X1] = max(row[X1], b)
            row[SUM_Y] += y * n
            row[SUM_X] += total
            row[SUM_YY] += y * y * n
            row[SUM_YX] += y * total
            row[SUM_XX] += squares
    return table


@njit(nogil=True, cache=True, error_model="numpy")
def draw(firsts, starts, stops, regions, region, y0, x0, mask):
    """Set the pixels of one region in `mask`, whose corner lies at row `y0` and column `x0`."""
    for y in range(y0, y0 + mask.shape[0]):
        for run in range(firsts[y], firsts[y + 1]):
            if regions[run] == region:
                mask[y - y0, starts[run] - x0 : stops[run] - x0] = True


@njit(nogil=True, cache=True, error_model="numpy")
def any_within(y, x, reach, other_y, other_x):
    """Whether any of the points `other` lies within `reach` of each point."""
    found = np.zeros(y.size, np.bool_)
    for k in range(y.size):
        limit = reach[k] * reach[k]
        for j in range(other_y.size):
            dy, dx = other_y[j] - y[k], other_x[j] - x[k]
            if dy * dy + dx * dx <= limit:
                found[k] = True
                break
    return found
