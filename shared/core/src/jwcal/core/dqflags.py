"""Data-quality flags of JWST products.

Pixel flags are bits of a uint32 plane, group flags are the low eight bits of the same
table in a uint8 cube.  The mnemonics are those of the JWST data products documentation.
"""

from typing import Final

import numpy as np

DO_NOT_USE: Final = 1
SATURATED: Final = 2
JUMP_DET: Final = 4
DROPOUT: Final = 8
OUTLIER: Final = 16
PERSISTENCE: Final = 32
AD_FLOOR: Final = 64
CHARGELOSS: Final = 128
NON_SCIENCE: Final = 1 << 9
DEAD: Final = 1 << 10
HOT: Final = 1 << 11
WARM: Final = 1 << 12
LOW_QE: Final = 1 << 13
RC: Final = 1 << 14
TELEGRAPH: Final = 1 << 15
NONLINEAR: Final = 1 << 16
BAD_REF_PIXEL: Final = 1 << 17
NO_FLAT_FIELD: Final = 1 << 18
NO_GAIN_VALUE: Final = 1 << 19
NO_LIN_CORR: Final = 1 << 20
NO_SAT_CHECK: Final = 1 << 21
UNRELIABLE_BIAS: Final = 1 << 22
UNRELIABLE_DARK: Final = 1 << 23
UNRELIABLE_SLOPE: Final = 1 << 24
UNRELIABLE_FLAT: Final = 1 << 25
OPEN: Final = 1 << 26
ADJ_OPEN: Final = 1 << 27
FLUX_ESTIMATED: Final = 1 << 28
MSA_FAILED_OPEN: Final = 1 << 29
OTHER_BAD_PIXEL: Final = 1 << 30
REFERENCE_PIXEL: Final = 1 << 31

PIXEL_FLAGS: Final[dict[str, int]] = {
    name: value for name, value in globals().items() if name.isupper() and isinstance(value, int)
}
"""Every mnemonic with its bit value."""

GROUP_FLAGS: Final[dict[str, int]] = {name: value for name, value in PIXEL_FLAGS.items() if value < 256}
"""The mnemonics a group-level plane may hold."""


def flag_counts(dq: np.ndarray) -> dict[str, int]:
    """Number of elements of `dq` that carry each flag; flags that never occur are left out."""
    counts = {
        name: int(np.count_nonzero(dq & np.asarray(value, dq.dtype)))
        for name, value in (GROUP_FLAGS if dq.dtype == np.uint8 else PIXEL_FLAGS).items()
    }
    return {name: count for name, count in counts.items() if count}
