"""Order statistics of small work arrays; the arrays are reordered."""

import numpy as np
from numba import njit

_SMALL = 24


@njit(nogil=True, cache=True, error_model="numpy")
def insertion_sort(values, n):
    """Sort the first `n` values in place."""
    for i in range(1, n):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@njit(nogil=True, cache=True, error_model="numpy")
def select(values, n, k):
    """Value of rank `k` among the first `n`; smaller ones end up before it, larger ones after (Hoare 1961)."""
    low, high = 0, n - 1
    while low < high:
        middle = (low + high) // 2
        a, b, c = values[low], values[middle], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            return values[k]
    return values[k]


@njit(nogil=True, cache=True, error_model="numpy")
def median(values, n):
    """Median of the first `n` values in double precision, the mean of the middle two for even `n`; NaN for none."""
    if n == 0:
        return np.nan
    if n <= _SMALL:
        insertion_sort(values, n)
        upper = np.float64(values[n // 2])
        lower = np.float64(values[(n - 1) // 2])
    else:
        upper = np.float64(select(values, n, n // 2))
        lower = upper
        if n % 2 == 0:
            largest = values[0]
            for i in range(1, n // 2):
                largest = max(largest, values[i])
            lower = np.float64(largest)
    return 0.5 * (lower + upper)
