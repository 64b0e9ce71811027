"""Fit and removal of periodic interference in MIRI ramps ``(nints, ngroups, ny, nx)``.

Four outputs read the columns ``4 k + (0..3)`` at the same time; a column k of all four is a "quad".
"""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.selection import median, select

_LATE = np.int64(3 + 2**32)
"""Clocks that the official package adds to a row's last reference pixel (3 are meant)."""


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def deviations(data, out):
    """Standard deviations over the groups of one integration, to `out` ``(ny, nx)``, in single precision."""
    ngroups, ny, nx = data.shape
    n = np.float32(ngroups)
    for y in prange(ny):
        mean = np.zeros(nx, np.float32)
        total = np.zeros(nx, np.float32)
        for g in range(ngroups):
            row = data[g, y]
            for x in range(nx):
                mean[x] += row[x]
        for x in range(nx):
            mean[x] /= n
        for g in range(ngroups):
            row = data[g, y]
            for x in range(nx):
                residual = row[x] - mean[x]
                total[x] += residual * residual
        for x in range(nx):
            out[y, x] = np.sqrt(total[x] / n)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def count_bits(deviation, prefix, high, counts):
    """Add to `counts` ``(ny, 65536)`` the upper (`high`) or lower halves of the bits of numbers ``(ny, nx)``.

    Lower halves are counted of numbers whose upper half is `prefix`.  Bits of numbers that are not negative sort like
    the numbers.
    """
    chunks = counts.shape[0]
    ny = deviation.shape[0]
    for chunk in prange(chunks):
        for y in range(chunk * ny // chunks, (chunk + 1) * ny // chunks):
            bits = deviation[y].view(np.uint32)
            for x in range(bits.size):
                upper = bits[x] >> np.uint32(16)
                if high:
                    counts[chunk, upper] += 1
                elif upper == prefix:
                    counts[chunk, bits[x] & np.uint32(0xFFFF)] += 1


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def phase_bins(row, sample, period, nphases, bins):
    """Phase bin of each quad ``(ny, nx / 4)`` in the first group."""
    ny, nquads = bins.shape
    for y in prange(ny):
        for k in range(nquads):
            bins[y, k] = int(_fraction((y * row + k * sample) / period) * nphases)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def fold(data, deviation, pixeldq, limit, bins, sums, numbers):
    """Add the good pixels of an integration by phase bin: `sums` ``(nphases, ngroups)``, `numbers` ``(nphases,)``.

    Good pixels deviate less than `limit` over the groups and carry no flag; the quads 1 and 2 of each row are bad
    reference columns.
    """
    ny, nquads = bins.shape
    for g in prange(data.shape[0]):
        own = np.zeros(numbers.size)
        count = np.zeros(numbers.size)
        for y in range(ny):
            for k in range(nquads):
                if k in (1, 2):
                    continue
                index = bins[y, k]
                for x in range(4 * k, 4 * k + 4):
                    good = 1.0 if deviation[y, x] < limit and pixeldq[y, x] == 0 else 0.0
                    own[index] += np.float64(data[g, y, x]) * good
                    count[index] += good
        sums[:, g] += own
        if g == 0:
            numbers += count


@njit(nogil=True, cache=True, error_model="numpy")
def _fraction(cycles):
    """Phase of a number of cycles."""
    return cycles - np.floor(cycles)


@njit(nogil=True, cache=True, error_model="numpy")
def wave_value(coefficients, phase):
    """Value of a wave at a phase in ``[0, 1)``: a cubic spline ``(4, N + 1)`` with nodes at ``(i - 1/2) / N``."""
    intervals = coefficients.shape[1]
    scaled = phase * (intervals - 1) + 0.5
    i = min(int(scaled), intervals - 1)
    t = phase - (i - 0.5) / (intervals - 1)
    return ((coefficients[0, i] * t + coefficients[1, i]) * t + coefficients[2, i]) * t + coefficients[3, i]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def accumulate_trials(sums, numbers, coefficients, phase_step, trials, quadratic, linear, power):
    """Terms of chi squared, quadratic and linear in the amplitude, for each trial phase and integration.

    `sums` ``(nints, nphases, ngroups)`` and `numbers` ``(nints, nphases)`` come from `fold`; the outputs are
    ``(ntrials, nints)``, `power` being what the quadratic term would be if pixels had no intercepts and slopes.
    """
    nints, nphases, ngroups = sums.shape
    t1 = ngroups * (ngroups - 1) / 2.0
    t2 = ngroups * (ngroups - 1) * (2 * ngroups - 1) / 6.0
    delta = ngroups * t2 - t1 * t1
    phases = np.empty((nphases, ngroups))
    for p in range(nphases):
        for g in range(ngroups):
            phases[p, g] = _fraction((p + 0.5) / nphases + g * phase_step)
    for trial in prange(trials.size):
        z = np.empty(ngroups)
        for k in range(nints):
            quadratic[trial, k] = 0.0
            linear[trial, k] = 0.0
            power[trial, k] = 0.0
        for p in range(nphases):
            sz, stz, szz = 0.0, 0.0, 0.0
            for g in range(ngroups):
                z[g] = wave_value(coefficients, _fraction(phases[p, g] + trials[trial]))
                sz += z[g]
                stz += g * z[g]
                szz += z[g] * z[g]
            shape = -t2 * sz * sz + 2.0 * t1 * sz * stz - ngroups * stz * stz + szz * delta
            for k in range(nints):
                sy, sty, szy = 0.0, 0.0, 0.0
                for g in range(ngroups):
                    y = sums[k, p, g]
                    sy += y
                    sty += g * y
                    szy += z[g] * y
                quadratic[trial, k] += numbers[k, p] / delta * shape
                power[trial, k] += numbers[k, p] * szz
                line = t2 * sz * sy - t1 * stz * sy - t1 * sz * sty + ngroups * stz * sty
                linear[trial, k] += 2.0 / delta * line - 2.0 * szy


@njit(nogil=True, cache=True, error_model="numpy")
def next_trial(trials, phase, offset):
    """Index of the trial phase at or after ``phase + offset``: the least ``(trial - phase - offset) % 1``.

    Rounding decides where they coincide, so the neighbours are compared.
    """
    n = trials.size
    guess = int(np.ceil(_fraction(phase + offset) * n))
    best, least = n, 2.0
    for step in range(-1, 2):
        k = (guess + step) % n
        distance = (trials[k] - phase - offset) % 1.0
        if distance < least or (distance == least and k < best):
            best, least = k, distance
    return best


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def sum_terms(quadratic, linear, trials, phases, integration_step, first, last, a, b):
    """Sum the terms of the integrations ``first:last`` at each of `phases`, to `a` and `b`."""
    for p in prange(phases.size):
        a[p] = 0.0
        b[p] = 0.0
        for i in range(first, last):
            k = next_trial(trials, phases[p], integration_step * i)
            a[p] += quadratic[k, i]
            b[p] += linear[k, i]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_wave(data, row, sample, period, phase_step, phase, amplitude, coefficients):
    """Subtract a wave from the groups ``(ngroups, ny, nx)`` of an integration that starts at `phase`."""
    ngroups, ny, nx = data.shape
    for y in prange(ny):
        own = np.empty(nx // 4)
        for k in range(own.size):
            own[k] = _fraction((y * row + k * sample) / period)
        for g in range(ngroups):
            for k in range(own.size):
                value = amplitude * wave_value(coefficients, _fraction(own[k] + phase_step * g + phase))
                for x in range(4 * k, 4 * k + 4):
                    data[g, y, x] = np.float32(np.float64(data[g, y, x]) - value)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def residual_quads(data, quads):
    """Means of the four outputs after a line and a fixed pattern are taken from the groups of an integration.

    `quads` is ``(ngroups, ny, nx / 4)``.  The line is fitted to all groups but the first and last, the pattern is
    the median of those (the least of two).  Quads 1 and 2, bad reference columns, become the mean of 0 and 3.
    """
    ngroups, ny, nx = data.shape
    n = ngroups - 2
    sx = n * (n - 1) / 2.0
    sxx = n * (n - 1) * (2 * n - 1) / 6.0
    for y in prange(ny):
        residuals = np.empty((nx, ngroups), np.float32)
        sample = np.empty(ngroups, np.float32)
        for x in range(nx):
            sxy, sy = 0.0, 0.0
            for g in range(n):
                value = np.float64(data[g + 1, y, x])
                sxy += g * value
                sy += value
            slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
            count = 0
            for g in range(ngroups):
                value = np.float32(np.float64(data[g, y, x]) - slope * g)
                residuals[x, g] = value
                if 0 < g < ngroups - 1 and not np.isnan(value):
                    sample[count] = value
                    count += 1
            pattern = np.float32(np.nan)
            if count > 0 and n <= 2:
                pattern = np.min(sample[:count])
            elif count > 0:
                pattern = np.float32(median(sample, count))
            for g in range(ngroups):
                residuals[x, g] -= pattern
        for g in range(ngroups):
            for k in range(nx // 4):
                x = 4 * k
                total = residuals[x, g] + residuals[x + 1, g] + residuals[x + 2, g] + residuals[x + 3, g]
                quads[g, y, k] = total / np.float32(4.0)
            filler = (quads[g, y, 0] + quads[g, y, 3]) / np.float32(2.0)
            quads[g, y, 1] = filler
            quads[g, y, 2] = filler


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_frame_medians(quads):
    """Take the median of each frame ``(ngroups, ny, nx / 4)`` from it."""
    for g in prange(quads.shape[0]):
        frame = quads[g]
        work = frame.copy().reshape(-1)
        middle = np.float32(np.nan)
        if not np.isnan(work).any():
            middle = np.float32(_middle(work))
        for y in range(frame.shape[0]):
            for k in range(frame.shape[1]):
                frame[y, k] -= middle


@njit(nogil=True, cache=True, error_model="numpy")
def _middle(values):
    """Median of a large array, which is reordered."""
    n = values.size
    upper = np.float64(select(values, n, n // 2))
    if n % 2:
        return upper
    lower = values[0]
    for i in range(1, n // 2):
        lower = max(lower, values[i])
    return 0.5 * (np.float64(lower) + upper)


@njit(nogil=True, cache=True, error_model="numpy")
def _phase(start, row, sample, late, period, y, k, nquads):
    """Phase of a quad whose frame starts at clock `start`."""
    clocks = start + y * row + k * sample
    if late and k == nquads - 1:
        clocks += _LATE
    return _fraction(clocks / period)


@njit(nogil=True, cache=True, error_model="numpy")
def _bin(phase, nbins):
    """Index of the bin ``(b / nbins, (b + 1) / nbins]`` that holds a phase; -1 for 0, which none holds."""
    b = min(int(phase * nbins), nbins - 1)
    while b >= 0 and phase <= b / nbins:
        b -= 1
    while b < nbins - 1 and phase > (b + 1) / nbins:
        b += 1
    return b


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def count_phases(shape, start, row, sample, late, frame, period, counts):
    """Number of quads of each frame in each phase bin, to `counts` ``(ngroups, nbins)``; `shape` is (ny, nx / 4)."""
    ngroups, nbins = counts.shape
    for g in prange(ngroups):
        for y in range(shape[0]):
            for k in range(shape[1]):
                b = _bin(_phase(start + g * frame, row, sample, late, period, y, k, shape[1]), nbins)
                if b >= 0:
                    counts[g, b] += 1


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def sort_phases(quads, start, row, sample, late, frame, period, places, values):
    """Copy quads ``(ngroups, ny, nx / 4)`` to `values` by phase bin; `places` ``(ngroups, nbins)`` says where to."""
    ngroups, ny, nquads = quads.shape
    nbins = places.shape[1]
    for g in prange(ngroups):
        place = places[g].copy()
        for y in range(ny):
            for k in range(nquads):
                b = _bin(_phase(start + g * frame, row, sample, late, period, y, k, nquads), nbins)
                if b >= 0:
                    values[place[b]] = quads[g, y, k]
                    place[b] += 1


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def clipped_means(values, edges, sigmas, rounds, means):
    """Mean of each bin ``values[edges[b]:edges[b + 1]]`` after clipping about its median; `values` are reordered."""
    for b in prange(means.size):
        chosen = values[edges[b] : edges[b + 1]]
        n = 0
        for value in chosen:
            if np.isfinite(value):
                chosen[n] = value
                n += 1
        for _ in range(rounds):
            if n == 0:
                break
            mean = 0.0
            for i in range(n):
                mean += np.float64(chosen[i])
            mean /= n
            variance = 0.0
            for i in range(n):
                variance += (np.float64(chosen[i]) - mean) ** 2
            width = sigmas * np.sqrt(variance / n)
            centre = _middle(chosen[:n])
            kept = 0
            for i in range(n):
                if centre - width <= np.float64(chosen[i]) <= centre + width:
                    chosen[kept] = chosen[i]
                    kept += 1
            if kept == n:
                break
            n = kept
        total = 0.0
        for i in range(n):
            total += np.float64(chosen[i])
        means[b] = total / n


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_table(data, start, row, sample, late, frame, period, table):
    """Subtract ``table[int(phase * period)]`` from the groups ``(ngroups, ny, nx)`` of an integration."""
    ngroups, ny, nx = data.shape
    nquads = nx // 4
    for y in prange(ny):
        for g in range(ngroups):
            for k in range(nquads):
                value = table[int(_phase(start + g * frame, row, sample, late, period, y, k, nquads) * period)]
                for x in range(4 * k, 4 * k + 4):
                    data[g, y, x] = np.float32(np.float64(data[g, y, x]) - value)
