"""Generalised least squares on the differences of a ramp, with its jump search, a tile of a row at a time.

The covariance of the differences is tridiagonal; its inverse is never formed, the sums that the fit needs come from
recurrences over the differences (Brandt 2024, PASP 136, 045004 and 045005, "I" and "II" below).  Work arrays are
``(difference, pixel of the tile)`` in double precision; each statement works on all pixels of a tile at once, so that
the compiler can use vector instructions.
"""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.selection import median

DO_NOT_USE = np.uint8(1)
SATURATED = np.uint8(2)
JUMP_DET = np.uint8(4)
TILE = 64
_SQRT2 = np.sqrt(2.0)

# planes of the work array of a tile, each (ndiffs + 1, TILE)
_ALPHA, _BETA, _THETA, _PHI, _PHI_SUM, _PHI_DATA, _THETA_SUM, _THETA_DATA, _DC, _DB, _DIAGONAL, _OFF_DIAGONAL = range(12)
_ONE, _TWO = _PHI_SUM, _THETA_SUM  # used when those sums are done with
_PLANES = 12

# vectors of a tile, each (TILE,)
_PHOTON, _NOISE, _SCALE, _INVERSE, _A, _B, _C, _RATE, _CHISQ = range(9)
_VECTORS = 9


@njit(nogil=True, cache=True, error_model="numpy")
def _covariance(model, used, vectors, work, n):
    """Diagonal and off-diagonal of the covariance matrix, scaled to determinant 1 and cut at unused differences.

    The factor is found in steps of ten differences, so that the determinants of long ramps neither overflow nor
    vanish.  It belongs to the matrix before it is cut.
    """
    ndiffs = used.shape[0]
    alpha, beta, theta = work[_ALPHA], work[_BETA], work[_THETA]
    photon, noise, scale = vectors[_PHOTON], vectors[_NOISE], vectors[_SCALE]
    for i in range(ndiffs):
        for x in range(n):
            alpha[i, x] = photon[x] * model[0, i] + noise[x] * model[1, i]
    for i in range(ndiffs - 1):
        for x in range(n):
            beta[i, x] = photon[x] * model[2, i] + noise[x] * model[3, i]
    for x in range(n):
        scale[x] = 1.0
        theta[0, x] = 1.0
        theta[1, x] = alpha[0, x]
    for i in range(2, ndiffs + 1):
        for x in range(n):
            squared = beta[i - 2, x] * beta[i - 2, x] / (scale[x] * scale[x])
            theta[i, x] = alpha[i - 1, x] / scale[x] * theta[i - 1, x] - squared * theta[i - 2, x]
        if i % 10 == 0 or i == ndiffs:
            for x in range(n):
                factor = theta[i, x] ** (1 / i)
                scale[x] *= factor
                rest = theta[i, x] / factor
                theta[i - 1, x] /= rest
                theta[i - 2, x] /= rest / factor
                theta[i, x] = 1.0
    for i in range(ndiffs):
        for x in range(n):
            alpha[i, x] /= scale[x]
    for i in range(ndiffs - 1):
        for x in range(n):
            beta[i, x] = beta[i, x] / scale[x] * used[i + 1, x] * used[i, x]


@njit(nogil=True, cache=True, error_model="numpy")
def _solve(differences, used, vectors, work, n):
    """Recurrences and sums of the fit: equations 38-48, 61-63 and 71 of I, 4 and 75 of II."""
    ndiffs = used.shape[0]
    alpha, beta = work[_ALPHA], work[_BETA]
    theta, phi, phi_sum, phi_data = work[_THETA], work[_PHI], work[_PHI_SUM], work[_PHI_DATA]
    theta_sum, theta_data, dc, db = work[_THETA_SUM], work[_THETA_DATA], work[_DC], work[_DB]
    inverse, a, b, c = vectors[_INVERSE], vectors[_A], vectors[_B], vectors[_C]
    for x in range(n):
        theta[0, x] = 1.0
        theta[1, x] = alpha[0, x]
        theta_sum[0, x] = -1.0
        theta_data[0, x] = 0.0
        theta_data[1, x] = -(differences[0, x] * used[0, x])
        phi[ndiffs, x] = 1.0
        phi[ndiffs - 1, x] = alpha[ndiffs - 1, x]
        phi_sum[ndiffs - 1, x] = 0.0
        phi_data[ndiffs - 1, x] = 0.0
    for i in range(2, ndiffs + 1):
        for x in range(n):
            theta[i, x] = alpha[i - 1, x] * theta[i - 1, x] - beta[i - 2, x] * beta[i - 2, x] * theta[i - 2, x]
    for i in range(1, ndiffs):
        sign = 1.0 if i % 2 else -1.0
        for x in range(n):
            theta_sum[i, x] = theta_sum[i - 1, x] * beta[i - 1, x] + sign * theta[i, x]
        for x in range(n):
            signed = sign * (differences[i, x] * used[i, x])
            theta_data[i + 1, x] = beta[i - 1, x] * theta_data[i, x] + signed * theta[i, x]
    for i in range(ndiffs - 2, -1, -1):
        sign = 1.0 if (i + 1) % 2 else -1.0
        for x in range(n):
            phi[i, x] = alpha[i, x] * phi[i + 1, x] - beta[i, x] * beta[i, x] * phi[i + 2, x]
        for x in range(n):
            phi_sum[i, x] = phi_sum[i + 1, x] * beta[i, x] + sign * beta[i, x] * phi[i + 2, x]
        for x in range(n):
            signed = sign * (differences[i + 1, x] * used[i + 1, x])
            phi_data[i, x] = (phi_data[i + 1, x] + signed * phi[i + 2, x]) * beta[i, x]
    for x in range(n):
        inverse[x] = 1.0 / theta[ndiffs, x]
        a[x] = 0.0
        b[x] = 0.0
        c[x] = 0.0
    for i in range(ndiffs):
        sign = 1.0 if i % 2 else -1.0
        for x in range(n):
            total = phi[i + 1, x] * theta_sum[i, x] + theta[i, x] * phi_sum[i, x]
            dc[i, x] = sign * inverse[x] * total * used[i, x]
        for x in range(n):
            total = phi[i + 1, x] * theta_data[i + 1, x] + theta[i, x] * phi_data[i, x]
            db[i, x] = sign * inverse[x] * total
        for x in range(n):
            b[x] += differences[i, x] * used[i, x] * dc[i, x]
            c[x] += dc[i, x]
        for x in range(n):
            step = 1.0 if i == 0 else beta[i - 1, x]
            a[x] += differences[i, x] * used[i, x] * sign / theta[ndiffs, x] * step * phi[i + 1, x] * theta_data[i, x]
    squares = vectors[_RATE]
    for x in range(n):
        a[x] *= 2.0
        squares[x] = 0.0
    for i in range(ndiffs):
        for x in range(n):
            value = differences[i, x] * used[i, x]
            squares[x] += value * value * theta[i, x] * phi[i + 1, x] / theta[ndiffs, x]
    rate, chisq, scale = vectors[_RATE], vectors[_CHISQ], vectors[_SCALE]
    for x in range(n):
        a[x] += squares[x]
        rate[x] = b[x] * (1.0 / c[x])
        chisq[x] = (a[x] - b[x] * b[x] / c[x]) / scale[x]


@njit(nogil=True, cache=True, error_model="numpy")
def _omit(used, vectors, work, n):
    """Chi squared without each difference, and without each pair of neighbours (II, sections 3.1 and 3.2)."""
    ndiffs = used.shape[0]
    beta, theta, phi, dc, db = work[_BETA], work[_THETA], work[_PHI], work[_DC], work[_DB]
    diagonal, off_diagonal, one, two = work[_DIAGONAL], work[_OFF_DIAGONAL], work[_ONE], work[_TWO]
    va, vb, vc, scale, chisq = vectors[_A], vectors[_B], vectors[_C], vectors[_SCALE], vectors[_CHISQ]
    for i in range(ndiffs):
        for x in range(n):
            diagonal[i, x] = theta[i, x] * phi[i + 1, x] / theta[ndiffs, x] * used[i, x]
    for i in range(ndiffs - 1):
        for x in range(n):
            off_diagonal[i, x] = -beta[i, x] * theta[i, x] * phi[i + 2, x] / theta[ndiffs, x]
    for i in range(ndiffs):
        for x in range(n):
            d, gc, gb = diagonal[i, x], dc[i, x], db[i, x]
            a = (d * vb[x] - gb * gc) / (vc[x] * d - gc * gc)
            b = (gb - a * gc) / d
            total = va[x] + a * a * vc[x] - 2 * a * vb[x] + b * b * d - 2 * b * gb + 2 * a * b * gc
            total = total / scale[x]
            one[i, x] = chisq[x] if used[i, x] == 0.0 else total
    for i in range(ndiffs - 1):
        for x in range(n):
            d, gc, gb = diagonal[i, x], dc[i, x], db[i, x]
            e, hc, hb = diagonal[i + 1, x], dc[i + 1, x], db[i + 1, x]
            f = off_diagonal[i, x]
            p = gc * gc - vc[x] * d
            q = gc * hc - vc[x] * f
            r = vb[x] * gc - gb * vc[x]
            c = r / p - (vb[x] * hc - hb * vc[x]) / q
            c = c / (q / p - (hc * hc - vc[x] * e) / q)
            b = (r - c * q) / p
            a = (vb[x] - b * gc - c * hc) / vc[x]
            total = va[x] + a * a * vc[x] + b * b * d + c * c * e
            total -= 2 * a * vb[x] + 2 * b * gb + 2 * c * hb
            total += 2 * a * b * gc + 2 * a * c * hc + 2 * b * c * f
            two[i, x] = total / scale[x]
        for x in range(n):
            kept = one[i, x] if used[i + 1, x] == 0.0 else two[i, x]
            two[i, x] = one[i + 1, x] if used[i, x] == 0.0 else kept


@njit(nogil=True, cache=True, error_model="numpy")
def _rate_without_one(used, vectors, work, i, x):
    if used[i, x] == 0.0:
        return vectors[_RATE, x]
    d, gc, gb = work[_DIAGONAL, i, x], work[_DC, i, x], work[_DB, i, x]
    return (d * vectors[_B, x] - gb * gc) / (vectors[_C, x] * d - gc * gc)


@njit(nogil=True, cache=True, error_model="numpy")
def _rate_without_two(used, vectors, work, i, x):
    if used[i, x] == 0.0:
        return _rate_without_one(used, vectors, work, i + 1, x)
    if used[i + 1, x] == 0.0:
        return _rate_without_one(used, vectors, work, i, x)
    vb, vc = vectors[_B, x], vectors[_C, x]
    d, gc, gb = work[_DIAGONAL, i, x], work[_DC, i, x], work[_DB, i, x]
    e, hc, hb = work[_DIAGONAL, i + 1, x], work[_DC, i + 1, x], work[_DB, i + 1, x]
    p = gc * gc - vc * d
    q = gc * hc - vc * work[_OFF_DIAGONAL, i, x]
    r = vb * gc - gb * vc
    c = r / p - (vb * hc - hb * vc) / q
    c = c / (q / p - (hc * hc - vc * e) / q)
    b = (r - c * q) / p
    return (vb - b * gc - c * hc) / vc


@njit(nogil=True, cache=True, error_model="numpy")
def _drop_worst(used, pairs, thresholds, vectors, work, x):
    """Stop using the difference, or pair, that chi squared gains most from; returns (dropped, new count rate)."""
    ndiffs = used.shape[0]
    one, two, chisq = work[_ONE], work[_TWO], vectors[_CHISQ, x]
    best_one, best_two = -np.inf, -np.inf
    for i in range(ndiffs):
        gain = chisq - one[i, x]
        if np.isnan(gain):
            return False, 0.0
        best_one = max(best_one, gain)
    for i in range(ndiffs - 1):
        gain = (chisq - two[i, x]) * pairs[i]
        if np.isnan(gain):
            return False, 0.0
        best_two = max(best_two, gain)
    rate = 0.0
    dropped = False
    if best_one - thresholds[0] > best_two - thresholds[1]:
        if best_one > thresholds[0]:
            for i in range(ndiffs):
                if chisq - one[i, x] == best_one:
                    rate += _rate_without_one(used, vectors, work, i, x)
                    dropped = True
            for i in range(ndiffs):
                if chisq - one[i, x] == best_one:
                    used[i, x] = 0.0
    elif best_two > thresholds[1] and np.isfinite(best_one):
        for i in range(ndiffs - 1):
            if chisq - two[i, x] == best_two:
                rate += _rate_without_two(used, vectors, work, i, x)
                dropped = True
        for i in range(ndiffs - 1):
            if chisq - two[i, x] == best_two:
                used[i, x] = 0.0
                used[i + 1, x] = 0.0
    return dropped, rate


@njit(nogil=True, cache=True, error_model="numpy")
def _search_jumps(differences, used, model, pairs, thresholds, vectors, work, again, rate, n):
    """Drop outlying differences until chi squared gains too little; leaves the count rates in `rate`.

    `again` holds the differences (0), uses (1) and covariance vectors (2) of the pixels that are looked at again,
    moved together at the start of the tile.
    """
    ndiffs = used.shape[0]
    index = np.empty(TILE, np.int64)
    _covariance(model, used, vectors, work, n)
    _solve(differences, used, vectors, work, n)
    _omit(used, vectors, work, n)
    for x in range(n):
        rate[x] = vectors[_RATE, x]
    m = 0
    for x in range(n):
        dropped, new_rate = _drop_worst(used, pairs, thresholds, vectors, work, x)
        if dropped:
            rate[x] = new_rate
            left = 0.0
            for i in range(ndiffs):
                left += used[i, x]
            if left > 3.0:
                index[m] = x
                m += 1
    for x in range(m):
        for i in range(ndiffs):
            again[0, i, x] = differences[i, index[x]]
            again[1, i, x] = used[i, index[x]]
        again[2, 0, x] = vectors[_PHOTON, index[x]]
        again[2, 1, x] = vectors[_NOISE, index[x]]
    photon, noise = vectors[_PHOTON], vectors[_NOISE]
    for _ in range(1, ndiffs):
        if m == 0:
            break
        for x in range(m):
            photon[x] = again[2, 0, x]
            noise[x] = again[2, 1, x]
        _covariance(model, again[1, :ndiffs], vectors, work, m)
        _solve(again[0], again[1, :ndiffs], vectors, work, m)
        _omit(again[1, :ndiffs], vectors, work, m)
        kept = 0
        for x in range(m):
            dropped, new_rate = _drop_worst(again[1, :ndiffs], pairs, thresholds, vectors, work, x)
            if dropped:
                rate[index[x]] = new_rate
                left = 0.0
                for i in range(ndiffs):
                    used[i, index[x]] = again[1, i, x]
                    left += again[1, i, x]
                if left > 3.0:
                    index[kept] = index[x]
                    for i in range(ndiffs):
                        again[0, i, kept] = again[0, i, x]
                        again[1, i, kept] = again[1, i, x]
                    again[2, 0, kept] = again[2, 0, x]
                    again[2, 1, kept] = again[2, 1, x]
                    kept += 1
        m = kept


@njit(nogil=True, cache=True, error_model="numpy")
def _load(data, groupdq, zeroframe, nframes, spacing, y, x0, n, differences, used, previous):
    """Differences per second of a tile and whether they are used (1.0) or flagged at either end (0.0).

    With a `zeroframe` the first group is split into its first frame and the mean of the others.
    """
    ngroups = data.shape[0]
    split = zeroframe.shape[0] > 0
    flagged = np.empty(TILE, np.uint8)
    k = 0
    for g in range(ngroups):
        for x in range(n):
            value = data[g, y, x0 + x]
            flag = groupdq[g, y, x0 + x]
            if g == 0 and split:
                first = zeroframe[y, x0 + x]
                value = (value * np.float32(nframes) - first) / np.float32(nframes - 1)
                differences[0, x] = np.float64(value - first) / spacing[0]
                used[0, x] = 0.0 if flag != 0 else 1.0
            elif g > 0:
                differences[k, x] = np.float64(value - previous[x]) / spacing[k]
                used[k, x] = 0.0 if (flag != 0 or flagged[x] != 0) else 1.0
            previous[x] = value
            flagged[x] = flag
        if g > 0 or split:
            k += 1


@njit(nogil=True, cache=True, error_model="numpy")
def _mark_jumps(groupdq, used, split, y, x0, n):
    """Set JUMP_DET in the group after each difference that the search dropped; `used` is read against the flags."""
    ndiffs = used.shape[0]
    shift = 0 if split else 1
    for x in range(n):
        before = np.uint8(0)
        for i in range(ndiffs):
            g = i + shift
            own = groupdq[g, y, x0 + x]
            if g == 0:
                before = own
            elif i == 0:
                before = groupdq[0, y, x0 + x]
            if used[i, x] == 0.0 and own == 0 and before == 0:
                groupdq[g, y, x0 + x] |= JUMP_DET
            before = own


@njit(nogil=True, cache=True, error_model="numpy")
def _positive(rate):
    """The rate, 0 for negative ones, NaN for what is no rate."""
    if rate == -np.inf:
        return np.nan
    return 0.0 if rate <= 0.0 else rate


@njit(nogil=True, cache=True, error_model="numpy")
def _set_noise(vectors, rate, gain, read_noise, x):
    """Photon noise per second and squared noise of one read (the reference holds that of two), DN."""
    single = np.float64(read_noise) / _SQRT2
    vectors[_PHOTON, x] = rate / np.float64(gain)
    vectors[_NOISE, x] = single * single


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def fit_integration(
    data, groupdq, zeroframe, nframes, gain, read_noise, dark, spacing, model, pairs, thresholds, slope, err, var_p, var_r, chi
):
    """Fit one integration ``(ngroups, ny, nx)``; sets JUMP_DET in `groupdq` and fills the planes ``(ny, nx)``.

    `spacing` is the time between groups, `model` the four rows of covariance coefficients (diagonal of photon and
    read noise, off-diagonal of both), `pairs` is 1.0 where two neighbouring differences may be dropped together,
    `zeroframe` is empty ``(0, 0)`` if there is none.
    """
    _, ny, nx = data.shape
    ndiffs = spacing.size
    for y in prange(ny):
        differences = np.zeros((ndiffs, TILE))
        used = np.zeros((ndiffs, TILE))
        work = np.zeros((_PLANES, ndiffs + 1, TILE))
        vectors = np.zeros((_VECTORS, TILE))
        again = np.zeros((3, max(ndiffs, 2), TILE))
        rate = np.zeros(TILE)
        previous = np.zeros(TILE, np.float32)
        sample = np.zeros(ndiffs)
        for x0 in range(0, nx, TILE):
            n = min(TILE, nx - x0)
            _load(data, groupdq, zeroframe, nframes, spacing, y, x0, n, differences, used, previous)
            for x in range(n):
                valid = True
                for i in range(ndiffs):
                    sample[i] = differences[i, x]
                    valid = valid and not np.isnan(sample[i])
                guess = median(sample, ndiffs) if valid else np.nan
                _set_noise(vectors, _positive(guess), gain[y, x0 + x], read_noise[y, x0 + x], x)
            _search_jumps(differences, used, model, pairs, thresholds, vectors, work, again, rate, n)
            _mark_jumps(groupdq, used, zeroframe.shape[0] > 0, y, x0, n)
            for x in range(n):
                guess = _positive(rate[x]) + np.float64(dark[y, x0 + x])
                _set_noise(vectors, guess, gain[y, x0 + x], read_noise[y, x0 + x], x)
            _covariance(model, used, vectors, work, n)
            _solve(differences, used, vectors, work, n)
            _store(model, vectors, work, ndiffs, y, x0, n, slope, err, var_p, var_r, chi)


@njit(nogil=True, cache=True, error_model="numpy")
def _store(model, vectors, work, ndiffs, y, x0, n, slope, err, var_p, var_r, chi):
    """Write rates, errors and variances of a tile."""
    dc, c = work[_DC], vectors[_C]
    photon, noise = vectors[_PHOTON], vectors[_NOISE]
    squares_p, squares_r, pairs_p, pairs_r = vectors[_A], vectors[_B], vectors[_INVERSE], vectors[_CHISQ]
    for x in range(n):
        slope[y, x0 + x] = np.float32(vectors[_RATE, x])
        err[y, x0 + x] = np.float32(np.sqrt(vectors[_SCALE, x] / c[x]))
        chi[y, x0 + x] = np.float32(vectors[_CHISQ, x])
        squares_p[x] = 0.0
        squares_r[x] = 0.0
        pairs_p[x] = 0.0
        pairs_r[x] = 0.0
    for i in range(ndiffs):
        for x in range(n):
            weight = dc[i, x] / c[x]
            squares_p[x] += weight * weight * (photon[x] * model[0, i])
            squares_r[x] += weight * weight * (noise[x] * model[1, i])
            dc[i, x] = weight
    for i in range(ndiffs - 1):
        for x in range(n):
            product = dc[i + 1, x] * dc[i, x]
            pairs_p[x] += product * (photon[x] * model[2, i])
            pairs_r[x] += product * (noise[x] * model[3, i])
    for x in range(n):
        var_p[y, x0 + x] = np.float32(squares_p[x] + 2 * pairs_p[x])
        var_r[y, x0 + x] = np.float32(squares_r[x] + 2 * pairs_r[x])


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
