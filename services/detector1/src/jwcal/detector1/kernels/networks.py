"""Order statistics of many pixels at once: sorting networks whose comparators run over the pixels of a tile.

A network has no branches, so every comparator is a pair of vector minimum and maximum instructions.
"""

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

LONGEST = 512
"""Most values for which a network is worth its comparators."""


@cache
def network(n: int, ranks: tuple[int, ...]) -> NDArray[np.int64]:
    """Comparators ``(count, 2)`` that bring the values of the given ranks (0-based) among `n` to their places.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, algorithm 5.2.2 M), without the comparators
    that no wanted rank depends on.
    """
    needed = set(ranks)
    kept = []
    for low, high in reversed(_merge_exchange(n)):
        if low in needed or high in needed:
            kept.append((low, high))
            needed.update((low, high))
    return np.array(kept[::-1], np.int64).reshape(-1, 2)


def median_ranks(n: int) -> tuple[int, int]:
    """The two ranks whose mean is the median of `n` values."""
    return ((n - 1) // 2, n // 2)


def _merge_exchange(n: int) -> list[tuple[int, int]]:
    comparators: list[tuple[int, int]] = []
    top = 1 << max(0, (n - 1).bit_length() - 1)
    p = top
    while p > 0 and n > 1:
        q, r, d = top, 0, p
        while True:
            comparators += [(i, i + d) for i in range(n - d) if (i & p) == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return comparators


@njit(nogil=True, cache=True, error_model="numpy")
def apply_network(values, comparators):
    """Run the comparators on ``values (n, pixels)``, in place.  Pixels with NaN come out undefined."""
    pixels = values.shape[1]
    for c in range(comparators.shape[0]):
        first, second = values[comparators[c, 0]], values[comparators[c, 1]]
        for p in range(pixels):
            low, high = first[p], second[p]
            first[p] = low if low <= high else high
            second[p] = high if low <= high else low
