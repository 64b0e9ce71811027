"""Generalised least squares on the differences of ramps, with a search for jumps; rows in parallel.

The method is that of Brandt 2024 (PASP 136, 045004 and 045005); its sums are in `likelihood_sums`.  Each pixel is
worked in double precision in arrays of one number a difference.
"""

import numpy as np
from numba import njit, prange

from jwcal.detector1.kernels.likelihood_sums import DC, DIFFERENCE, ROWS, USED, covariance, drop_worst, omit, solve
from jwcal.detector1.kernels.selection import median

DO_NOT_USE = np.uint8(1)
SATURATED = np.uint8(2)
JUMP_DET = np.uint8(4)
_SQRT2 = np.sqrt(2.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _load(data, groupdq, zeroframe, nframes, spacing, y, x, work):
    """Differences per second of a pixel, and 1.0 where they are used: where neither group carries a flag.

    With a `zeroframe` the first group is split into its first frame and the mean of the others.
    """
    difference, used = work[DIFFERENCE], work[USED]
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
        sample[i] = work[DIFFERENCE, i]
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
            uses += work[USED, i]
        if search > 0 and uses <= 3.0:
            break
        scale = covariance(photon, noise, model, work)
        a, b, c, rate, chisq = solve(scale, work)
        if search == 0:
            guess = rate
        if chisq < least and uses >= 3.0 and gain > 0.0:
            break  # chi squared cannot gain more than there is of it
        omit(a, b, c, chisq, scale, pairs, work)
        dropped, rate = drop_worst(b, c, rate, chisq, pairs, thresholds, work)
        if not dropped:
            break
        guess = rate
    photon = (_positive(guess) + dark) / gain
    scale = covariance(photon, noise, model, work)
    a, b, c, rate, chisq = solve(scale, work)
    squares_p, squares_r, products_p, products_r = 0.0, 0.0, 0.0, 0.0
    weight = 0.0
    inverse = 1.0 / c
    for i in range(ndiffs):
        before = weight
        weight = work[DC, i] * inverse
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
        work = np.zeros((ROWS, ndiffs + 1))
        before = np.empty(ndiffs)
        sample = np.empty(ndiffs)
        for x in range(nx):
            _load(data, groupdq, zeroframe, nframes, spacing, y, x, work)
            before[:] = work[USED, :ndiffs]
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
                if work[USED, i] != before[i]:
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
