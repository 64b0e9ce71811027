"""Rearrangement of NIRSpec IRS2 frames into time order and back; blocks of lines in parallel.

A frame ``(nlines, ncolumns)`` lies in memory with the fast axis along its rows: line ``y`` of the frame is sample
``column_of[y]`` of every detector row.  The series of an output is ``(2048, 712)``: detector rows, samples and pauses.
"""

import numpy as np
from numba import njit, prange

_BLOCK = 16


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def mean_frame(ramp, mean):
    """Mean over the groups of ``(ngroups, ny, nx)`` in double precision."""
    ngroups, ny, nx = ramp.shape
    for y in prange(ny):
        for x in range(nx):
            mean[y, x] = 0.0
        for g in range(ngroups):
            for x in range(nx):
                mean[y, x] += ramp[g, y, x]
        for x in range(nx):
            mean[y, x] /= ngroups


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def to_series(frame, mean, outputs, positions, flipped, series):
    """Samples less their mean to ``series (noutputs, nrows, nsamples)``; zero in the pauses.

    Frame line y belongs to output ``outputs[y]`` at ``positions[y]`` of the row clock; `flipped` says that detector
    rows run against the frame's x axis.
    """
    nlines, nx = frame.shape
    for block in prange((nx + _BLOCK - 1) // _BLOCK):
        x0, x1 = block * _BLOCK, min((block + 1) * _BLOCK, nx)
        for output in range(series.shape[0]):
            for x in range(x0, x1):
                row = nx - 1 - x if flipped else x
                for k in range(series.shape[2]):
                    series[output, row, k] = 0.0
        for y in range(nlines):
            output, position = outputs[y], positions[y]
            for x in range(x0, x1):
                row = nx - 1 - x if flipped else x
                series[output, row, position] = np.float32(frame[y, x] - mean[y, x])


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def remove_lines(series):
    """Subtract from each output, where it is not zero, the line in time through its four first and four last rows."""
    noutputs, nrows, nsamples = series.shape
    middle = (nrows * nsamples - 1) / 2.0
    lines = np.empty((noutputs, 2))
    for output in prange(noutputs):
        n = 0.0
        sx = 0.0
        sy = 0.0
        sxx = 0.0
        sxy = 0.0
        for row in range(nrows):
            if 4 <= row < nrows - 4:
                continue
            for k in range(nsamples):
                value = np.float64(series[output, row, k])
                if value != 0.0:
                    time = row * nsamples + k - middle
                    n += 1.0
                    sx += time
                    sy += value
                    sxx += time * time
                    sxy += time * value
        slope = 0.0
        intercept = 0.0
        if n > 0.0:
            slope = (sxy - sx * sy / n) / (sxx - sx * sx / n)
            intercept = sy / n - slope * sx / n
        lines[output, 0] = intercept
        lines[output, 1] = slope
    for row in prange(nrows):
        for output in range(noutputs):
            for k in range(nsamples):
                if series[output, row, k] != 0.0:
                    time = row * nsamples + k - middle
                    series[output, row, k] -= np.float32(lines[output, 0] + time * lines[output, 1])


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def fill_gaps(values, weights, filled):
    """Copy a series to `filled`, zeros replaced by the weighted mean of their neighbours; the series is cyclic."""
    n = values.size
    half = weights.size // 2
    for block in prange(64):
        for i in range(block * n // 64, (block + 1) * n // 64):
            filled[i] = values[i]
            if values[i] != 0.0:
                continue
            total = 0.0
            norm = 0.0
            for k in range(-half, half + 1):
                value = values[(i + k) % n]
                if value != 0.0:
                    total += weights[k + half] * value
                    norm += weights[k + half]
            if norm != 0.0:
                filled[i] = np.float32(total / norm)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def restore_samples(values, measured, positions):
    """Put measured samples back at `positions` of every row of ``(nrows, nsamples)``."""
    for row in prange(values.shape[0]):
        for k in positions:
            values[row, k] = measured[row, k]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def reference_series(series, targets, sources, result):
    """Series of the interleaved reference samples alone, spread as `sources` to `targets`; zero elsewhere."""
    for row in prange(series.shape[0]):
        for k in range(series.shape[1]):
            result[row, k] = 0.0
        for i in range(targets.size):
            result[row, targets[i]] = series[row, sources[i]]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def from_series(series, corrections, mean, lines, outputs, positions, with_mean, flipped, frame):
    """Corrected frame: line ``k`` is the input's line ``lines[k]``, the mean added where `with_mean` says so."""
    nx = frame.shape[1]
    for block in prange((nx + _BLOCK - 1) // _BLOCK):
        x0, x1 = block * _BLOCK, min((block + 1) * _BLOCK, nx)
        for k in range(lines.size):
            y = lines[k]
            output, position = outputs[y], positions[y]
            for x in range(x0, x1):
                row = nx - 1 - x if flipped else x
                value = series[output, row, position]
                if output > 0:
                    value = np.float32(value - corrections[output - 1, row, position])
                if with_mean[k]:
                    value = np.float32(value + mean[y, x])
                frame[k, x] = value


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def pair_statistics(ramp, first_lines, statistics):
    """Mean absolute difference, mean and standard deviation of pairs of lines over ``(ngroups, ny, nx)``."""
    ngroups, _, nx = ramp.shape
    for k in prange(first_lines.size):
        y = first_lines[k]
        difference = 0.0
        total = 0.0
        for g in range(ngroups):
            for x in range(nx):
                a, b = np.float64(ramp[g, y, x]), np.float64(ramp[g, y + 1, x])
                difference += np.abs(np.float32(ramp[g, y + 1, x] - ramp[g, y, x]))
                total += a + b
        n = 2.0 * ngroups * nx
        mean = total / n
        squares = 0.0
        for g in range(ngroups):
            for x in range(nx):
                squares += (ramp[g, y, x] - mean) ** 2 + (ramp[g, y + 1, x] - mean) ** 2
        statistics[k, 0] = difference / (ngroups * nx)
        statistics[k, 1] = mean
        statistics[k, 2] = np.sqrt(squares / n)
