"""Two-point-difference search for jumps in ramps ``(nints, ngroups, ny, nx)``; rows in parallel.

Differences are formed in single precision in electrons and judged in double precision.  Flagged samples that make
their neighbours suspicious carry the bit `SPREAD` until `spread_to_neighbours` has used and cleared it.

Most pixels have no unusable sample and no jump.  A tile of pixels is screened at once for those; the rest go one by
one through the rule itself.
"""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.jump_screens import ITERATIVE, load, screen
from jwcal.detector1.kernels.selection import insertion_sort, median

DO_NOT_USE = np.uint8(1)
SATURATED = np.uint8(2)
JUMP_DET = np.uint8(4)
SPREAD = np.uint8(16)
_UNUSABLE = np.uint8(3)
_WIDE, _NARROW = 128, 64
"""Pixels of a tile: whole cache lines of many planes, and a sorting network that stays in the processor's cache."""
_FEW = 512
"""Differences of a pixel up to which tiles are wide."""
_BUFFER = 1 << 19
"""Differences of a tile, at most."""


@njit(nogil=True, cache=True, error_model="numpy")
def _gather(values, work):
    """Copy the numbers among `values` to `work`; returns how many there are."""
    n = 0
    for value in values:
        if not np.isnan(value):
            work[n] = value
            n += 1
    return n


@njit(nogil=True, cache=True, error_model="numpy")
def noise_of(rate, read_variance, nframes):
    """Standard deviation of a difference; NaN, by which nothing stands out, where it is zero."""
    sigma = np.sqrt(np.abs(rate) + np.float64(read_variance) / nframes)
    return np.nan if sigma == 0.0 else sigma


@njit(nogil=True, cache=True, error_model="numpy")
def _mark(groupdq, i, g, y, x, ratio, low, high):
    """Note a flagged sample whose size makes its neighbours suspicious; True if it does."""
    if low < ratio < high:
        groupdq[i, g, y, x] |= SPREAD
        return True
    return False


@njit(nogil=True, cache=True, error_model="numpy")
def _flag_all_above(groupdq, differences, middle, sigma, threshold, y, x, nd, touched):
    """Flag every finite difference too far from the median; infinite ones shift the median all the same."""
    for k in range(differences.size):
        if np.isfinite(differences[k]) and np.abs(np.float64(differences[k]) - middle) / sigma > threshold:
            groupdq[k // nd, k % nd + 1, y, x] |= JUMP_DET
            touched[k // nd, k % nd + 1] = True


@njit(nogil=True, cache=True, error_model="numpy")
def _iterate(groupdq, differences, work, read_variance, nframes, thresholds, y, x, nd, touched):
    """Flag the largest outlier, look again without it, until none is left.

    `thresholds` holds the limits for two, three, and four or more usable differences.
    """
    total = differences.size
    for k in range(total):
        differences[k] = np.abs(differences[k])
    for step in range(total):
        n = _gather(differences, work)
        if n < 2:
            return
        insertion_sort(work, n)
        largest, smallest = work[n - 1], work[0]
        if n >= 4:
            kept = n
            while kept > 0 and work[kept - 1] == largest:
                kept -= 1
            middle = np.nan
            if kept > 0:
                middle = 0.5 * (np.float64(work[(kept - 1) // 2]) + np.float64(work[kept // 2]))
        elif n == 3:
            middle = np.float64(work[1])
        else:
            middle = np.float64(smallest)
        if step > 0:
            middle = np.float64(np.float32(middle))
        sigma = noise_of(middle, read_variance, nframes)
        threshold = thresholds[min(n, 4) - 2]
        above = np.abs(np.float64(np.float32(np.float64(largest) - middle))) / sigma
        below = np.abs(np.float64(np.float32(np.float64(smallest) - middle))) / sigma
        worst = max(above, below)
        if not worst > threshold:
            return
        for k in range(total):
            ratio = np.abs(np.float64(np.float32(np.float64(differences[k]) - middle))) / sigma
            if ratio == worst:
                groupdq[k // nd, k % nd + 1, y, x] |= JUMP_DET
                touched[k // nd, k % nd + 1] = True
                differences[k] = np.float32(np.nan)


@njit(nogil=True, cache=True, error_model="numpy")
def _search(groupdq, row, work, noise, nframes, method, thresholds, y, x, nd, touched):
    """Apply the rule to the differences of one pixel, which may be overwritten; notes planes with a flag in `touched`.

    Returns (whether known, median difference, its noise) of all differences.
    """
    if method == ITERATIVE:
        _iterate(groupdq, row, work, np.float32(noise * noise), nframes, thresholds, y, x, nd, touched)
        return False, 0.0, 0.0
    middle, sigma = _middle(row, work, noise, nframes)
    _flag_all_above(groupdq, row, middle, sigma, thresholds[2], y, x, nd, touched)
    return True, middle, sigma


@njit(nogil=True, cache=True, error_model="numpy")
def _middle(row, work, noise, nframes):
    """Median of the differences of a pixel and the noise of one."""
    middle = median(work, _gather(row, work))
    return middle, noise_of(middle, np.float32(noise * noise), nframes)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def find_jumps(data, groupdq, gain, noise, nframes, method, thresholds, spread, usable, idle, network, counts, marked):
    """Flag jumps; fills the number of jumps per row and the planes to spread.

    Parameters
    ----------
    gain, noise
        e-/DN and CDS read noise in e-, both ``(ny, nx)``.
    thresholds
        Limits in sigma for two, three, and four or more usable differences.
    spread
        Range of sizes in sigma that makes neighbours suspicious; empty (0, 0) for none.
    usable
        The differences, counted through the integrations, that are usable in most pixels; fewer than four screen none.
    idle
        The others.
    network
        Comparators that sort as many values: all of them (iterative search) or to the median (single pass).
    """
    nints, ngroups, ny, nx = data.shape
    nd = ngroups - 1
    total = nints * nd
    width = _WIDE if total <= _FEW else max(8, min(_NARROW, _BUFFER // total))
    for y in prange(ny):
        differences = np.empty((total, width), np.float32)
        previous = np.empty(width, np.float32)
        work = np.empty((max(usable.size + 2, 4), width), np.float32)
        sums = np.empty((2, width), np.float64)
        suspect = np.empty(width, np.bool_)
        known = np.empty(width, np.bool_)
        touched = np.empty((nints, ngroups), np.bool_)
        row = np.empty(total, np.float32)
        scratch = np.empty(total, np.float32)
        found = 0
        for x0 in range(0, nx, width):
            pixels = min(width, nx - x0)
            load(data, groupdq, gain, y, x0, pixels, previous, differences, touched)
            screen(
                differences,
                usable,
                idle,
                network,
                work,
                noise[y, x0 : x0 + pixels],
                nframes,
                method,
                thresholds,
                pixels,
                suspect,
            )
            for p in range(pixels):
                known[p] = False
                if suspect[p]:
                    row[:] = differences[:, p]
                    known[p], sums[0, p], sums[1, p] = _search(
                        groupdq,
                        row,
                        scratch,
                        noise[y, x0 + p],
                        nframes,
                        method,
                        thresholds,
                        y,
                        x0 + p,
                        nd,
                        touched,
                    )
            for i in range(nints):
                for g in range(ngroups):
                    if not touched[i, g]:
                        continue
                    flags = groupdq[i, g, y, x0 : x0 + pixels]
                    for p in range(pixels):
                        if (flags[p] & JUMP_DET) == 0:
                            continue
                        found += 1
                        if g == 0:
                            continue
                        difference = np.float64(differences[i * nd + g - 1, p])
                        if not known[p]:
                            row[:] = differences[:, p]
                            sums[0, p], sums[1, p] = _middle(row, scratch, noise[y, x0 + p], nframes)
                            known[p] = True
                        ratio = np.abs(difference - sums[0, p]) / sums[1, p]
                        if _mark(groupdq, i, g, y, x0 + p, ratio, spread[0], spread[1]):
                            marked[i, g, y] = True
        counts[y] = found


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def clear_jumps(plane):
    """Clear flags that are exactly JUMP_DET in a plane whose every pixel is flagged."""
    for y in prange(plane.shape[0]):
        for x in range(plane.shape[1]):
            if (plane[y, x] & ~SPREAD) == JUMP_DET:
                plane[y, x] = 0


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def spread_to_neighbours(groupdq, marked):
    """Set JUMP_DET in the four neighbours of marked samples where they are usable."""
    nints, ngroups, ny, nx = groupdq.shape
    for y in prange(ny):
        for i in range(nints):
            for g in range(1, ngroups):
                here = marked[i, g, y]
                above = y > 0 and marked[i, g, y - 1]
                below = y < ny - 1 and marked[i, g, y + 1]
                if not (here or above or below):
                    continue
                for x in range(nx):
                    if (groupdq[i, g, y, x] & _UNUSABLE) != 0:
                        continue
                    hit = above and (groupdq[i, g, y - 1, x] & SPREAD) != 0
                    hit = hit or (below and (groupdq[i, g, y + 1, x] & SPREAD) != 0)
                    if here:
                        hit = hit or (x > 0 and (groupdq[i, g, y, x - 1] & SPREAD) != 0)
                        hit = hit or (x < nx - 1 and (groupdq[i, g, y, x + 1] & SPREAD) != 0)
                    if hit:
                        groupdq[i, g, y, x] |= JUMP_DET


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def flag_after_jumps(data, groupdq, gain, size1, groups1, size2, groups2):
    """Flag groups after jumps of at least `size1` (`size2`) electrons, `groups1` (`groups2`) of them."""
    nints, ngroups, ny, nx = data.shape
    for y in prange(ny):
        differences = np.empty(nints * (ngroups - 1), np.float32)
        for x in range(nx):
            together = np.uint8(0)
            for i in range(nints):
                for g in range(ngroups):
                    together |= groupdq[i, g, y, x]
            if (together & JUMP_DET) == 0:
                continue
            middle = _median_difference(data, groupdq, gain[y, x], y, x, differences)
            for i in range(nints):
                last = -1
                for g in range(1, ngroups):
                    flags = groupdq[i, g, y, x]
                    if (flags & JUMP_DET) != 0 and ((flags | groupdq[i, g - 1, y, x]) & _UNUSABLE) == 0:
                        now = np.float32(data[i, g, y, x] * gain[y, x])
                        before = np.float32(data[i, g - 1, y, x] * gain[y, x])
                        size = np.float64(np.float32(now - before)) - middle
                        if size >= size1:
                            last = max(last, g + groups1)
                        if size >= size2:
                            last = max(last, g + groups2)
                    if g <= last and (flags & _UNUSABLE) == 0:
                        groupdq[i, g, y, x] |= SPREAD  # not JUMP_DET yet: later groups test the flags as they were
                for g in range(1, ngroups):
                    if (groupdq[i, g, y, x] & SPREAD) != 0:
                        groupdq[i, g, y, x] = (groupdq[i, g, y, x] & ~SPREAD) | JUMP_DET


@njit(nogil=True, cache=True, error_model="numpy")
def _median_difference(data, groupdq, gain, y, x, differences):
    """Median of a pixel's usable differences, electrons."""
    n = 0
    for i in range(data.shape[0]):
        for g in range(1, data.shape[1]):
            if ((groupdq[i, g, y, x] | groupdq[i, g - 1, y, x]) & _UNUSABLE) == 0:
                value = np.float32(data[i, g, y, x] * gain) - np.float32(data[i, g - 1, y, x] * gain)
                if not np.isnan(value):
                    differences[n] = value
                    n += 1
    return median(differences, n)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def clear_marks(groupdq, marked):
    """Remove the SPREAD marks."""
    nints, ngroups, ny, nx = groupdq.shape
    for y in prange(ny):
        for i in range(nints):
            for g in range(ngroups):
                if marked[i, g, y]:
                    for x in range(nx):
                        groupdq[i, g, y, x] &= ~SPREAD


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def drop_conflicts(groupdq):
    """Clear JUMP_DET wherever DO_NOT_USE or SATURATED is set too."""
    nints, ngroups, ny, nx = groupdq.shape
    for y in prange(ny):
        for i in range(nints):
            for g in range(ngroups):
                for x in range(nx):
                    flags = groupdq[i, g, y, x]
                    if (flags & _UNUSABLE) != 0:
                        groupdq[i, g, y, x] = flags & ~JUMP_DET
