"""Values of marked pixels sorted roughly: into buckets by the leading bits of their floating-point representation.

Bit patterns of floating-point numbers order like the numbers once negative ones are complemented and the sign bit of
the others is set.  `bits` is an image ``(ny, nx)`` seen as unsigned integers, `sign` their sign bit and `shift` the
bits that a bucket does not look at.  The image is worked in a fixed number of stripes, so that the order within a
bucket does not depend on the number of threads.
"""

import numpy as np
from numba import njit, prange

BUCKETS = 1 << 16
STRIPES = 8


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _bucket(bits, sign, shift):
    if bits == sign:  # minus zero equals zero
        return np.int64(sign >> shift)
    ordered = ~bits if (bits & sign) != 0 else bits | sign
    return np.int64(ordered >> shift)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def count(image, bits, mask, sign, shift):
    """Finite values under `mask` in each stripe and bucket ``(STRIPES, BUCKETS)``."""
    ny, nx = image.shape
    counts = np.zeros((STRIPES, BUCKETS), np.int64)
    for stripe in prange(STRIPES):
        for y in range(stripe * ny // STRIPES, (stripe + 1) * ny // STRIPES):
            for x in range(nx):
                if mask[y, x] and np.isfinite(image[y, x]):
                    counts[stripe, _bucket(bits[y, x], sign, shift)] += 1
    return counts


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def distribute(image, bits, mask, sign, shift, places, values):
    """Put the values into `values`; `places` holds where each stripe's share of each bucket begins, and is used up."""
    ny, nx = image.shape
    for stripe in prange(STRIPES):
        for y in range(stripe * ny // STRIPES, (stripe + 1) * ny // STRIPES):
            for x in range(nx):
                if mask[y, x] and np.isfinite(image[y, x]):
                    bucket = _bucket(bits[y, x], sign, shift)
                    values[places[stripe, bucket]] = image[y, x]
                    places[stripe, bucket] += 1


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def add_up(values, bounds, sums, squares):
    """Sum and sum of squares of each bucket ``values[bounds[k] : bounds[k + 1]]``."""
    for k in prange(sums.size):
        total = 0.0
        square = 0.0
        for i in range(bounds[k], bounds[k + 1]):
            value = np.float64(values[i])
            total += value
            square += value * value
        sums[k] = total
        squares[k] = square


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def narrow(image, mask, low, high):
    """Take the pixels outside ``[low, high]`` out of `mask`; those that are not a number stay."""
    ny, nx = image.shape
    for y in prange(ny):
        for x in range(nx):
            value = np.float64(image[y, x])
            mask[y, x] &= not ((value < low) | (value > high))


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def subtract_and_narrow(image, mask, level, low, high):
    """Subtract `level` from `image`, and keep in `mask` only what lay in ``[low, high]``."""
    ny, nx = image.shape
    for y in prange(ny):
        for x in range(nx):
            value = np.float64(image[y, x])
            mask[y, x] &= (value >= low) & (value <= high)
            image[y, x] -= level
