"""Segments of one ramp: its runs of good groups, the slope of each and its variance.

Work arrays hold the pixels of a tile, see `ramp_fit`; `p` is the pixel.
"""

import numpy as np
from numba import njit

JUMP_DET = np.uint8(4)
_NOT_PERSISTENCE = np.uint8(255 - 32)

POWERS = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)
"""Exponents of the weights, by class of the signal-to-noise ratio of a segment."""


@njit(nogil=True, cache=True, error_model="numpy")
def find_segments(flags, p, first, used, starts, ends):
    """Runs of good groups ``[start, end)`` among ``flags[first : first + used, p]``; returns (kept, counted) segments.

    A run that follows a group flagged as a jump and nothing else begins with that group.  Runs of a single group
    are kept only where there is no longer one, and then the first of them; the rest still count.
    """
    n = 0
    longest = 0
    start = -1
    for g in range(used + 1):
        good = g < used and (flags[first + g, p] & _NOT_PERSISTENCE) == 0
        if good and start < 0:
            start = g
            if g > 0 and (flags[first + g - 1, p] & _NOT_PERSISTENCE) == JUMP_DET:
                start = g - 1
        elif not good and start >= 0:
            if g - start > 1 or longest <= 1:
                starts[n] = start
                ends[n] = g
                longest = max(longest, g - start)
                n += 1
            start = -1
    if n < 2:
        return n, n
    if longest < 2:
        return 1, n
    kept = 0
    for k in range(n):
        if ends[k] - starts[k] > 1:
            starts[kept] = starts[k]
            ends[kept] = ends[k]
            kept += 1
    return kept, kept


@njit(nogil=True, cache=True, error_model="numpy")
def read_variance(length, read_noise, gain, time):
    """Variance of a segment's slope by read noise (DN/s)^2; `read_noise` in electrons, `time` in s."""
    noise = read_noise / time
    if length < 3:
        return 12.0 * noise * noise / (6.0 * gain * gain)
    if gain <= 0.0 or np.isnan(gain):
        return 0.0
    n = np.float64(length)
    return 12.0 * noise * noise / ((n * n * n - n) * gain * gain)


@njit(nogil=True, cache=True, error_model="numpy")
def weight_class(signal_to_noise):
    """Index of the exponent of the weights; not-a-number counts as high."""
    if signal_to_noise < 5.0:
        return 0
    if signal_to_noise < 10.0:
        return 1
    if signal_to_noise < 20.0:
        return 2
    if signal_to_noise < 50.0:
        return 3
    if signal_to_noise < 100.0:
        return 4
    return 5


@njit(nogil=True, cache=True, error_model="numpy")
def segment_class(values, p, at, length, gain, read_noise):
    """Weight class of the segment of `length` groups that begins at ``values[at, p]``."""
    signal = np.float64(values[at + length - 1, p]) - np.float64(values[at, p])
    variance = read_noise * read_noise + signal * gain
    if variance <= 0.0 or gain == 0.0:
        return 0
    ratio = signal * gain / np.sqrt(variance)
    return weight_class(ratio)


@njit(nogil=True, cache=True, error_model="numpy")
def fit_segment(values, p, at, length, table, gain, read_noise, current, group_time, single_time):
    """Slope (DN/s) of a segment and its Poisson and read-noise variance.

    `current` is the rate (DN/s) that sets the Poisson noise, `single_time` the integration time of a lone group.
    """
    if length == 1:
        slope = values[at, p] / single_time
        return slope, current / (single_time * gain), read_variance(1, read_noise, gain, single_time)
    if length == 2:
        slope = (np.float64(values[at + 1, p]) - np.float64(values[at, p])) / group_time
        return slope, current / (group_time * gain), read_variance(2, read_noise, gain, group_time)
    kind = segment_class(values, p, at, length, gain, read_noise)
    slope = 0.0
    for k in range(length):
        value = np.float64(values[at + k, p])
        if not np.isnan(value):
            slope += table[length, kind, k] * value
    if read_noise == 0.0 or not np.isfinite(read_noise):  # the weights are undefined
        slope = np.nan
    return (
        slope / group_time,
        current / (group_time * gain * (length - 1.0)),
        read_variance(length, read_noise, gain, group_time),
    )
