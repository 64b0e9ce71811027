"""The sums of the likelihood fit: recurrences over the differences of one pixel, with all of them or without some.

The covariance matrix of the differences is tridiagonal; its inverse is never formed (Brandt 2024, PASP 136, 045004 and
045005, "I" and "II" below).  The order of the operations matters: where a difference and its neighbours are symmetric,
chi squared without them is 0 / 0 but for rounding.
"""

import numpy as np
from numba import njit

# rows of a pixel's work array (ROWS, ndiffs + 1)
DIFFERENCE, USED, _ALPHA, _BETA, _THETA, _PHI = range(6)
_THETA_SUM, _THETA_DATA, _PHI_SUM, _PHI_DATA, DC, _DB, _DIAGONAL, _OFF_DIAGONAL, _ONE, _TWO = range(6, 16)
ROWS = 16


@njit(nogil=True, cache=True, error_model="numpy")
def covariance(photon, noise, model, work):
    """Diagonal and off-diagonal of the covariance matrix, scaled to determinant 1 and cut at unused differences.

    Returns the scale.  It is found in steps of ten differences, so that the determinants of long ramps neither
    overflow nor vanish, and belongs to the matrix before it is cut.
    """
    used, alpha, beta = work[USED], work[_ALPHA], work[_BETA]
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
def solve(scale, work):
    """Recurrences of the fit (equations 38-48 and 71 of I, 4 and 75 of II) and its sums A, B, C (61-63 of I)."""
    data, used, alpha, beta = work[DIFFERENCE], work[USED], work[_ALPHA], work[_BETA]
    theta, theta_sum, theta_data = work[_THETA], work[_THETA_SUM], work[_THETA_DATA]
    phi, phi_sum, phi_data, dc, db = work[_PHI], work[_PHI_SUM], work[_PHI_DATA], work[DC], work[_DB]
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
def omit(a, b, c, chisq, scale, pairs, work):
    """Chi squared without each difference, and without each two neighbours (II, sections 3.1 and 3.2).

    Of pairs that may not be dropped it only matters whether their chi squared is a number.
    """
    used, beta, theta, phi, dc, db = work[USED], work[_BETA], work[_THETA], work[_PHI], work[DC], work[_DB]
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
    if work[USED, i] == 0.0:
        return rate
    d, gc, gb = work[_DIAGONAL, i], work[DC, i], work[_DB, i]
    return (d * b - gb * gc) / (c * d - gc * gc)


@njit(nogil=True, cache=True, error_model="numpy")
def _rate_without_two(b, c, rate, i, work):
    if work[USED, i] == 0.0:
        return _rate_without_one(b, c, rate, i + 1, work)
    if work[USED, i + 1] == 0.0:
        return _rate_without_one(b, c, rate, i, work)
    d, gc, gb = work[_DIAGONAL, i], work[DC, i], work[_DB, i]
    e, hc, hb = work[_DIAGONAL, i + 1], work[DC, i + 1], work[_DB, i + 1]
    return _without_two(b, c, d, gc, gb, e, hc, hb, work[_OFF_DIAGONAL, i])[0]


@njit(nogil=True, cache=True, error_model="numpy")
def drop_worst(b, c, rate, chisq, pairs, thresholds, work):
    """Stop using the difference, or pair, that chi squared gains most from; returns (dropped, new count rate)."""
    used, one, two = work[USED], work[_ONE], work[_TWO]
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
