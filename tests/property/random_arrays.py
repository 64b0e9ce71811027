"""Random arrays for property tests, with what breaks kernels mixed in: ties, constants, NaN, extremes."""

from collections.abc import Sequence

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jwcal.core.array_types import Float32

seeds = st.integers(0, 2**32)
sides = st.integers(1, 9)
wide = st.integers(1, 150)
"""Wider than the tiles of pixels that kernels work in."""
many = settings(max_examples=40, deadline=None)
some = settings(max_examples=15, deadline=None)

EXTREMES = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0)


def numbers(
    rng: np.random.Generator, shape: tuple[int, ...], scale: float = 100.0, odd: Sequence[float] = ()
) -> Float32:
    """Normal noise, or a few values over and over, or one value; with some of the `odd` values."""
    values = rng.normal(0, scale, shape)
    style = rng.integers(4)
    if style == 1:
        values = np.round(values / scale) * scale
    elif style == 2:
        values[...] = scale
    values = values.astype(np.float32)
    for value in odd:
        values[rng.random(shape) < 0.03] = np.float32(value)
    return values


def flags(
    rng: np.random.Generator, shape: tuple[int, ...], bits: Sequence[int], share: float, dtype: type = np.uint8
) -> NDArray[np.unsignedinteger]:
    """Each of `bits` set in a share of the elements, independently."""
    out = np.zeros(shape, dtype)
    for bit in bits:
        out |= np.where(rng.random(shape) < share, dtype(bit), dtype(0))
    return out
