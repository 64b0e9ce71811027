"""Where ordinary pixels lie in a frame of NIRSpec's interleaved readout (IRS2).

The slow-scan axis of an IRS2 frame (rows, in the science orientation) starts with the reference output and goes on
with the four science outputs, in which every `n` ordinary samples are followed by `r` reference samples.  The pattern
is mirrored for NRS2.  Source: JWST User Documentation, "NIRSpec Detector Readout Modes and Patterns".
"""

import numpy as np
from numpy.typing import NDArray

from jwcal.core.metadata import Metadata


def normal_rows(metadata: Metadata, rows: int) -> NDArray[np.int64]:
    """Indices of the rows that hold ordinary pixels; every row for ordinary readout."""
    if not metadata.is_irs2:
        return np.arange(rows)
    n = int(metadata.get("exposure.nrs_normal", 16))
    r = int(metadata.get("exposure.nrs_reference", 4))
    reference_output = 512 + (512 // n) * r
    ordinary = np.ones(rows, bool)
    ordinary[:reference_output] = False
    for start in range(reference_output + n // 2, rows + 1, n + r):
        ordinary[start : start + r] = False
    if metadata.detector == "NRS2":
        ordinary = ordinary[::-1]
    return np.flatnonzero(ordinary)
