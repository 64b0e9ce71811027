"""Generalised least squares on the differences of ramps, with a search for jumps; rows in parallel.

The covariance matrix of the differences is tridiagonal; its inverse is never formed, the sums that a fit needs come
from recurrences over the differences (Brandt 2024, PASP 136, 045004 and 045005, "I" and "II" below).  Each pixel is
worked in double precision in arrays of one number a difference.  The order of the operations matters: where a
difference and its neighbours are symmetric, chi squared without them is 0 / 0 but for rounding.
"""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.selection import median

DO_NOT_USE = np.uint8(1)
SATURATED = np.uint8(2)
JUMP_DET = np.uint8(4)
_SQRT2 = np.sqrt(2.0)

# rows of a pixel's work array (_ROWS, ndiffs + 1)
_DIFFERENCE, _USED, _ALPHA, _BETA, _THETA, _PHI = range(6)
_THETA_SUM, _THETA_DATA, _PHI_SUM, _PHI_DATA, _DC, _DB, _DIAGONAL, _OFF_DIAGONAL, _ONE, _TWO = range(6, 16)
_ROWS = 16


@njit(nogil=True, cache=True, error_model="numpy")
def _covariance(photon, noise, model, work):
    """Diagonal and off-diagonal of the covariance matrix, scaled to determinant 1 and cut at unused differences.

    Returns the scale.  It is found in steps of ten differences, so that the determinants of long ramps neither
    overflow nor vanish, and belongs to the matrix before it is cut.
    """
    used, alpha, beta = work[_USED], work[_ALPHA], work[_BETA]
    ndiffs = alpha.size - 1
    for i in range(ndiffs):
        alpha[i] = photon * model[0, i] + noise * model[1, i]
        beta[i] = photon * model[2, i] + noise * model[3, i]
    scale, before, theta = 1.0, 1.0, alpha[0]
    for i in range(2, ndiffs + 1):
        if i <= 10:
            theta, before = alpha[i - 1] * theta - beta[i - 2] * beta[i - 2] * before, theta
        else:
            squared = beta[i - 2] * beta[i - 2] / (scale * scale)
            theta, before = alpha[i - 1] / scale * theta - squared * before, theta
        if i % 10 == 0 or i == ndiffs:
            factor = theta ** (1 / i)
            scale *= factor
            before /= theta / factor
            theta = 1.0
    for i in range(ndiffs):
        alpha[i] /= scale
        beta[i] = beta[i] / scale * used[i + 1] * used[i]
    return scale


@njit(nogil=True, cache=True, error_model="numpy")
def _solve(scale, work):
    """Recurrences of the fit (equations 38-48 and 71 of I, 4 and 75 of II) and its sums A, B, C (61-63 of I)."""
    data, used, alpha, beta = work[_DIFFERENCE], work[_USED], work[_ALPHA], work[_BETA]
    theta, theta_sum, theta_data = work[_THETA], work[_THETA_SUM], work[_THETA_DATA]
    phi, phi_sum, phi_data, dc, db = work[_PHI], work[_PHI_SUM], work[_PHI_DATA], work[_DC], work[_DB]
    ndiffs = alpha.size - 1
    before, now, total, total_data = 1.0, alpha[0], -1.0, -(data[0] * used[0])
    theta[0], theta[1], theta_sum[0], theta_data[0], theta_data[1] = before, now, total, 0.0, total_data
    sign = 1.0
    for i in range(1, ndiffs):
        link = beta[i - 1]
        total = total * link + sign * now
        total_data = link * total_data + sign * (data[i] * used[i]) * now
        now, before = alpha[i] * now - link * link * before, now
        theta[i + 1], theta_sum[i], theta_data[i + 1] = now, total, total_data
        sign = -sign
    before, now, total, total_data = 1.0, alpha[ndiffs - 1], 0.0, 0.0
    phi[ndiffs], phi[ndiffs - 1], phi_sum[ndiffs - 1], phi_data[ndiffs - 1] = before, now, total, total_data
    sign = -sign
    for i in range(ndiffs - 2, -1, -1):
        link = beta[i]
        total = total * link + sign * link * before
        total_data = (total_data + sign * (data[i + 1] * used[i + 1]) * before) * link
        now, before = alpha[i] * now - link * link * before, now
        phi[i], phi_sum[i], phi_data[i] = now, total, total_data
        sign = -sign
    inverse = 1.0 / theta[ndiffs]
    a, squares, b, c = 0.0, 0.0, 0.0, 0.0
    for i in range(ndiffs):
        sign = 1.0 if i % 2 else -1.0
        value = data[i] * used[i]
        step = 1.0 if i == 0 else beta[i - 1]
        dc[i] = sign * inverse * (phi[i + 1] * theta_sum[i] + theta[i] * phi_sum[i]) * used[i]
        db[i] = sign * inverse * (phi[i + 1] * theta_data[i + 1] + theta[i] * phi_data[i])
        a += value * sign * inverse * step * phi[i + 1] * theta_data[i]
        squares += value * value * theta[i] * phi[i + 1] * inverse
        b += value * dc[i]
        c += dc[i]
    a = 2.0 * a + squares
    return a, b, c, b * (1.0 / c), (a - b * b / c) / scale


@njit(nogil=True, cache=True, error_model="numpy")
def _omit(a, b, c, chisq, scale, pairs, work):
    """Chi squared without each difference, and without each two neighbours (II, sections 3.1 and 3.2).

    Of pairs that may not be dropped it only matters whether their chi squared is a number.
    """
    used, beta, theta, phi, dc, db = work[_USED], work[_BETA], work[_THETA], work[_PHI], work[_DC], work[_DB]
    diagonal, off_diagonal, one, two = work[_DIAGONAL], work[_OFF_DIAGONAL], work[_ONE], work[_TWO]
    ndiffs = used.size - 1
    determinant, inverse = theta[ndiffs], 1.0 / scale
    for i in range(ndiffs):
        diagonal[i] = theta[i] * phi[i + 1] / determinant * used[i]
    for i in range(ndiffs - 1):
        off_diagonal[i] = -beta[i] * theta[i] * phi[i + 2] / determinant
    for i in range(ndiffs):
        d, gc, gb = diagonal[i], dc[i], db[i]
        rate = (d * b - gb * gc) / (c * d - gc * gc)
        jump = (gb - rate * gc) / d
        total = a + rate * rate * c - 2 * rate * b + jump * jump * d - 2 * jump * gb + 2 * rate * jump * gc
        one[i] = chisq if used[i] == 0.0 else total * inverse
    for i in range(ndiffs - 1):
        if pairs[i] == 0.0:
            p = dc[i] * dc[i] - c * diagonal[i]
            q = dc[i] * dc[i + 1] - c * off_diagonal[i]
            singular = q / p - (dc[i + 1] * dc[i + 1] - c * diagonal[i + 1]) / q
            regular = p != 0.0 and q != 0.0 and (singular < 0.0 or singular > 0.0)
            total = chisq if regular else np.nan
        else:
            d, gc, gb = diagonal[i], dc[i], db[i]
            e, hc, hb = diagonal[i + 1], dc[i + 1], db[i + 1]
            f = off_diagonal[i]
            rate, jump, next_jump = _without_two(b, c, d, gc, gb, e, hc, hb, f)
            total = a + rate * rate * c + jump * jump * d + next_jump * next_jump * e
            total -= 2 * rate * b + 2 * jump * gb + 2 * next_jump * hb
            total += 2 * rate * jump * gc + 2 * rate * next_jump * hc + 2 * jump * next_jump * f
            total *= inverse
        kept = one[i] if used[i + 1] == 0.0 else total
        two[i] = one[i + 1] if used[i] == 0.0 else kept


@njit(nogil=True, cache=True, error_model="numpy")
def _without_two(b, c, d, gc, gb, e, hc, hb, f):
    """Count rate and both jumps if two neighbouring differences are free."""
    p = gc * gc - c * d
    q = gc * hc - c * f
    r = b * gc - gb * c
    next_jump = r / p - (b * hc - hb * c) / q
    next_jump = next_jump / (q / p - (hc * hc - c * e) / q)
    jump = (r - next_jump * q) / p
    return (b - jump * gc - next_jump * hc) / c, jump, next_jump


@njit(nogil=True, cache=True, error_model="numpy")
def _rate_without_one(b, c, rate, i, work):
    if work[_USED, i] == 0.0:
        return rate
    d, gc, gb = work[_DIAGONAL, i], work[_DC, i], work[_DB, i]
    return (d * b - gb * gc) / (c * d - gc * gc)


@njit(nogil=True, cache=True, error_model="numpy")
def _rate_without_two(b, c, rate, i, work):
    if work[_USED, i] == 0.0:
        return _rate_without_one(b, c, rate, i + 1, work)
    if work[_USED, i + 1] == 0.0:
        return _rate_without_one(b, c, rate, i, work)
    d, gc, gb = work[_DIAGONAL, i], work[_DC, i], work[_DB, i]
    e, hc, hb = work[_DIAGONAL, i + 1], work[_DC, i + 1], work[_DB, i + 1]
    return _without_two(b, c, d, gc, gb, e, hc, hb, work[_OFF_DIAGONAL, i])[0]


@njit(nogil=True, cache=True, error_model="numpy")
def _drop_worst(b, c, rate, chisq, pairs, thresholds, work):
    """Stop using the difference, or pair, that chi squared gains most from; returns (dropped, new count rate)."""
    used, one, two = work[_USED], work[_ONE], work[_TWO]
    ndiffs = used.size - 1
    best_one, best_two = -np.inf, -np.inf
    for i in range(ndiffs):
        gain = chisq - one[i]
        if np.isnan(gain):
            return False, rate
        best_one = max(best_one, gain)
    for i in range(ndiffs - 1):
        gain = (chisq - two[i]) * pairs[i]
        if np.isnan(gain):
            return False, rate
        best_two = max(best_two, gain)
    new_rate = 0.0
    dropped = False
    if best_one - thresholds[0] > best_two - thresholds[1]:
        if best_one > thresholds[0]:
            for i in range(ndiffs):
                if chisq - one[i] == best_one:
                    new_rate += _rate_without_one(b, c, rate, i, work)
                    dropped = True
            for i in range(ndiffs):
                if chisq - one[i] == best_one:
                    used[i] = 0.0
    elif best_two > thresholds[1] and np.isfinite(best_one):
        for i in range(ndiffs - 1):
            if chisq - two[i] == best_two:
                new_rate += _rate_without_two(b, c, rate, i, work)
                dropped = True
        for i in range(ndiffs - 1):
            if chisq - two[i] == best_two:
                used[i] = 0.0
                used[i + 1] = 0.0
    return dropped, new_rate


@njit(nogil=True, cache=True, error_model="numpy")
def _load(data, groupdq, zeroframe, nframes, spacing, y, x, work):
    """Differences per second of a pixel, and 1.0 where they are used: where neither group carries a flag.

    With a `zeroframe` the first group is split into its first frame and the mean of the others.
    """
    difference, used = work[_DIFFERENCE], work[_USED]
    split = zeroframe.shape[0] > 0
    shift = 0 if split else 1
    previous = data[0, y, x]
    flagged = groupdq[0, y, x] != 0
    if split:
        first = zeroframe[y, x]
        previous = (previous * np.float32(nframes) - first) / np.float32(nframes - 1)
        difference[0] = np.float64(previous - first) / spacing[0]
        used[0] = 0.0 if flagged else 1.0
    for g in range(1, data.shape[0]):
        value = data[g, y, x]
        flag = groupdq[g, y, x] != 0
        difference[g - shift] = np.float64(value - previous) / spacing[g - shift]
        used[g - shift] = 0.0 if (flag or flagged) else 1.0
        previous = value
        flagged = flag


@njit(nogil=True, cache=True, error_model="numpy")
def _positive(rate):
    """The rate, 0 for negative ones, NaN for what is no rate."""
    if rate == -np.inf:
        return np.nan
    return 0.0 if rate <= 0.0 else rate


@njit(nogil=True, cache=True, error_model="numpy")
def _median_difference(work, sample):
    for i in range(sample.size):
        sample[i] = work[_DIFFERENCE, i]
        if np.isnan(sample[i]):
            return np.nan
    return median(sample, sample.size)


@njit(nogil=True, cache=True, error_model="numpy")
def _fit(gain, noise, dark, model, pairs, thresholds, work, sample):
    """Search a pixel's ramp for jumps, then fit what is left.

    Returns (rate, error, chi squared, Poisson variance, read-noise variance).
    """
    ndiffs = sample.size
    photon = _positive(_median_difference(work, sample)) / gain
    least = 0.99 * min(thresholds[0], thresholds[1])
    guess = np.nan
    for search in range(ndiffs):
        uses = 0.0
        for i in range(ndiffs):
            uses += work[_USED, i]
        if search > 0 and uses <= 3.0:
            break
        scale = _covariance(photon, noise, model, work)
        a, b, c, rate, chisq = _solve(scale, work)
        if search == 0:
            guess = rate
        if chisq < least and uses >= 3.0 and gain > 0.0:
            break  # chi squared cannot gain more than there is of it
        _omit(a, b, c, chisq, scale, pairs, work)
        dropped, rate = _drop_worst(b, c, rate, chisq, pairs, thresholds, work)
        if not dropped:
            break
        guess = rate
    photon = (_positive(guess) + dark) / gain
    scale = _covariance(photon, noise, model, work)
    a, b, c, rate, chisq = _solve(scale, work)
    squares_p, squares_r, products_p, products_r = 0.0, 0.0, 0.0, 0.0
    weight = 0.0
    inverse = 1.0 / c
    for i in range(ndiffs):
        before = weight
        weight = work[_DC, i] * inverse
        squares_p += weight * weight * (photon * model[0, i])
        squares_r += weight * weight * (noise * model[1, i])
        if i > 0:
            products_p += weight * before * (photon * model[2, i - 1])
            products_r += weight * before * (noise * model[3, i - 1])
    return rate, np.sqrt(scale / c), chisq, squares_p + 2 * products_p, squares_r + 2 * products_r


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def fit_integration(
    data,
    groupdq,
    zeroframe,
    nframes,
    gain,
    read_noise,
    dark,
    spacing,
    model,
    pairs,
    thresholds,
    slope,
    err,
    var_p,
    var_r,
    chi,
):
    """Fit one integration ``(ngroups, ny, nx)``; sets JUMP_DET in `groupdq` and fills the planes ``(ny, nx)``.

    `spacing` is the time between groups, `model` the four rows of covariance coefficients (diagonal of photon and
    read noise, off-diagonal of both), `pairs` is 1.0 where two neighbouring differences may be dropped together,
    `zeroframe` is empty ``(0, 0)`` if there is none.  The read noise is that of two reads.
    """
    ngroups, ny, nx = data.shape
    ndiffs = spacing.size
    shift = ngroups - ndiffs
    for y in prange(ny):
        work = np.zeros((_ROWS, ndiffs + 1))
        before = np.empty(ndiffs)
        sample = np.empty(ndiffs)
        for x in range(nx):
            _load(data, groupdq, zeroframe, nframes, spacing, y, x, work)
            before[:] = work[_USED, :ndiffs]
            noise = np.float64(read_noise[y, x]) / _SQRT2
            rate, error, chisq, poisson, read = _fit(
                np.float64(gain[y, x]),
                noise * noise,
                np.float64(dark[y, x]),
                model,
                pairs,
                thresholds,
                work,
                sample,
            )
            for i in range(ndiffs):
                if work[_USED, i] != before[i]:
                    groupdq[i + shift, y, x] |= JUMP_DET
            slope[y, x] = np.float32(rate)
            err[y, x] = np.float32(error)
            chi[y, x] = np.float32(chisq)
            var_p[y, x] = np.float32(poisson)
            var_r[y, x] = np.float32(read)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def compress_flags(groupdq, pixeldq, dq):
    """Flags of an integration ``(ny, nx)`` from its groups: any jump, any saturation, no group left."""
    ngroups, ny, nx = groupdq.shape
    for y in prange(ny):
        for x in range(nx):
            some = np.uint8(0)
            usable = False
            for g in range(ngroups):
                flag = groupdq[g, y, x]
                some |= flag
                usable = usable or (flag & (SATURATED | DO_NOT_USE)) == 0
            value = pixeldq[y, x] | np.uint32(some & (SATURATED | JUMP_DET))
            if not usable:
                value |= np.uint32(DO_NOT_USE)
            dq[y, x] = value


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def combine_integrations(
    data, dq, var_poisson, var_rnoise, chisq, rate, rate_dq, rate_var_p, rate_var_r, rate_err, rate_chisq
):
    """Weighted mean over integrations ``(nints, ny, nx)``, in single precision.

    Weights are inverse variances whose Poisson part is scaled to the common rate: median first, then two rounds.
    """
    nints, ny, nx = data.shape
    zero, one = np.float32(0.0), np.float32(1.0)
    for y in prange(ny):
        values = np.empty(nints, np.float32)
        poisson = np.empty(nints, np.float32)
        weights = np.empty(nints, np.float32)
        for x in range(nx):
            every, some = np.uint32(0xFFFFFFFF), np.uint32(0)
            total_chisq = zero
            count = 0
            for k in range(nints):
                every &= dq[k, y, x]
                some |= dq[k, y, x]
                total_chisq += chisq[k, y, x]
                if not np.isnan(data[k, y, x]):
                    values[count] = data[k, y, x]
                    count += 1
            rate_dq[y, x] = (some & ~np.uint32(DO_NOT_USE)) | (every & np.uint32(DO_NOT_USE))
            rate_chisq[y, x] = total_chisq
            slope = np.float32(median(values, count))
            for _ in range(2):
                norm = zero
                for k in range(nints):
                    ratio = slope / data[k, y, x]
                    if not np.isfinite(ratio) or ratio < zero:
                        ratio = zero
                    poisson[k] = var_poisson[k, y, x] * ratio
                    weights[k] = one / (poisson[k] + var_rnoise[k, y, x])
                    if not np.isnan(weights[k]):
                        norm += weights[k]
                slope = zero
                found = False
                for k in range(nints):
                    weights[k] /= norm
                    term = data[k, y, x] * weights[k]
                    if not np.isnan(term):
                        slope += term
                        found = True
                if not found:
                    slope = np.float32(np.nan)
            total_p, total_r = zero, zero
            found_p, found_r = False, False
            for k in range(nints):
                squared = weights[k] * weights[k]
                term = poisson[k] * squared
                if not np.isnan(term):
                    total_p += term
                    found_p = True
                term = var_rnoise[k, y, x] * squared
                if not np.isnan(term):
                    total_r += term
                    found_r = True
            if not found_p:
                total_p = np.float32(np.nan)
            if not found_r:
                total_r = np.float32(np.nan)
            rate[y, x] = slope
            rate_var_p[y, x] = total_p
            rate_var_r[y, x] = total_r
            rate_err[y, x] = np.sqrt(total_p + total_r)
