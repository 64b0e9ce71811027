"""Reference pixels of MIRI's Si:As detectors: four interleaved outputs, reference columns left and right."""

import numpy as np

from jwcal.core import dqflags
from jwcal.core.data import Ramp
from jwcal.detector1.kernels import refpix as kernels
from jwcal.detector1.reference_pixels.axes import PixelSets

COLUMNS = 1032
ROWS = 1024
_OUTPUTS = 4


def correct_ramp(ramp: Ramp, *, odd_even_rows: bool, siglimit: float) -> None:
    """Correct a full-frame ramp in place.

    All groups are taken relative to the first; the clipped means of the left and right reference pixels of each
    output, and of each row parity, are averaged and subtracted.  Correction ends at the first group that lacks a mean.
    """
    parities = 2 if odd_even_rows else 1
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    masks = [
        (columns == output + side) & (rows % parities == parity)
        for side in (0, COLUMNS - _OUTPUTS)
        for parity in range(parities)
        for output in range(_OUTPUTS)
    ]
    sets = PixelSets.of(masks, ramp.pixeldq, dqflags.DO_NOT_USE)
    means = np.empty(len(masks))
    for integration in ramp.data:
        first = integration[0]
        for group in integration[1:]:
            above = _AboveFirst(group, first, sets)
            kernels.clipped_means(above.values, above.rows, above.columns, sets.bounds, siglimit, True, means)
            left, right = means.reshape(2, parities, _OUTPUTS)
            if not np.isfinite(means).all():
                return
            offsets = np.tile(np.float32(0.5 * (left + right)), COLUMNS // _OUTPUTS)
            kernels.subtract_above(group, first, np.float64(offsets))


class _AboveFirst:
    """Signal of the reference pixels above the first group, as a plane of one row."""

    def __init__(self, group: np.ndarray, first: np.ndarray, sets: PixelSets) -> None:
        self.values = (group[sets.rows, sets.columns] - first[sets.rows, sets.columns])[None]
        self.rows = np.zeros_like(sets.rows)
        self.columns = np.arange(sets.rows.size)
