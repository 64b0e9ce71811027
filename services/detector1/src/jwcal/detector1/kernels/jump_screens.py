"""Screening of many pixels at once for those that may have jumps; the others need no closer look.

The rule of the search itself is in `jump`.  A screen lets pass only what the rule would not flag either.
"""

import numpy as np
from numba import njit

from jwcal.detector1.kernels.networks import apply_network

SINGLE_PASS, ITERATIVE = 0, 1
"""Ways to search for jumps."""

JUMP_DET = np.uint8(4)
_UNUSABLE = np.uint8(3)
_SURE = 1 - 1e-5
"""A screen lets only pass what the rule, rounded otherwise, would not flag either."""


@njit(nogil=True, cache=True, error_model="numpy")
def load(data, groupdq, gain, y, x0, pixels, previous, differences, touched):
    """Differences (electrons) of a row's pixels from `x0`, ``(nints * (ngroups - 1), pixels)``; NaN if unusable.

    Sets `touched` ``(nints, ngroups)`` where a pixel has JUMP_DET already.
    """
    nints, ngroups = data.shape[0], data.shape[1]
    factor = gain[y, x0 : x0 + pixels]
    for i in range(nints):
        for g in range(ngroups):
            row = data[i, g, y, x0 : x0 + pixels]
            flags = groupdq[i, g, y, x0 : x0 + pixels]
            together = np.uint8(0)
            for p in range(pixels):
                together |= flags[p]
            touched[i, g] = (together & JUMP_DET) != 0
            if g == 0:
                for p in range(pixels):
                    value = np.float32(row[p] * factor[p])
                    previous[p] = np.float32(np.nan) if (flags[p] & _UNUSABLE) != 0 else value
            else:
                out = differences[i * (ngroups - 1) + g - 1]
                for p in range(pixels):
                    value = np.float32(row[p] * factor[p])
                    value = np.float32(np.nan) if (flags[p] & _UNUSABLE) != 0 else value
                    out[p] = value - previous[p]
                    previous[p] = value


@njit(nogil=True, cache=True, error_model="numpy")
def _screen_median(differences, usable, network, work, noise, nframes, threshold, pixels, suspect):
    """Set `suspect` where a difference may be further than `threshold` sigma from the median of all."""
    n = usable.size
    low, high = work[n], work[n + 1]
    for p in range(pixels):
        low[p] = np.float32(np.inf)
        high[p] = np.float32(-np.inf)
        suspect[p] = False
    for j in range(n):
        source, out = differences[usable[j]], work[j]
        for p in range(pixels):
            value = source[p]
            out[p] = value
            low[p] = value if value < low[p] else low[p]
            high[p] = value if value > high[p] else high[p]
            suspect[p] |= value != value
    apply_network(work[:n], network)
    first, second = work[(n - 1) // 2], work[n // 2]
    for p in range(pixels):
        middle = 0.5 * (np.float64(first[p]) + np.float64(second[p]))
        sigma = np.sqrt(np.abs(middle) + np.float64(np.float32(noise[p] * noise[p])) / nframes)
        quiet = np.float64(high[p]) - middle <= threshold * sigma * _SURE
        quiet &= middle - np.float64(low[p]) <= threshold * sigma * _SURE
        suspect[p] |= not quiet


@njit(nogil=True, cache=True, error_model="numpy")
def _screen_largest(differences, usable, network, work, noise, nframes, threshold, pixels, suspect):
    """Set `suspect` where an absolute difference may be further than `threshold` sigma from the others' median."""
    n = usable.size
    for p in range(pixels):
        suspect[p] = False
    for j in range(n):
        source, out = differences[usable[j]], work[j]
        for p in range(pixels):
            value = source[p]
            out[p] = np.abs(value)
            suspect[p] |= value != value
    apply_network(work[:n], network)
    smallest, largest, runner_up = work[0], work[n - 1], work[n - 2]
    first, second = work[(n - 2) // 2], work[(n - 1) // 2]
    for p in range(pixels):
        middle = 0.5 * (np.float64(first[p]) + np.float64(second[p]))
        sigma = np.sqrt(np.abs(middle) + np.float64(np.float32(noise[p] * noise[p])) / nframes)
        quiet = np.float64(largest[p]) - middle <= threshold * sigma * _SURE
        quiet &= middle - np.float64(smallest[p]) <= threshold * sigma * _SURE
        quiet &= runner_up[p] < largest[p]
        suspect[p] |= not quiet


@njit(nogil=True, cache=True, error_model="numpy")
def screen(differences, usable, idle, network, work, noise, nframes, method, thresholds, pixels, suspect):
    """Set `suspect` for the pixels of a tile that may have jumps, and for those usable otherwise than most."""
    if usable.size < 4:
        suspect[:] = True
    elif method == ITERATIVE:
        _screen_largest(differences, usable, network, work, noise, nframes, thresholds[2], pixels, suspect)
    else:
        _screen_median(differences, usable, network, work, noise, nframes, thresholds[2], pixels, suspect)
    for j in range(idle.size):
        source = differences[idle[j]]
        for p in range(pixels):
            suspect[p] |= source[p] == source[p]
