"""NIRSpec's IRS2 readout: reference pixels between the science pixels, and a reference output.

Rauscher et al. 2017, PASP 129, 105003.  In the detector's own order a row of 3200 samples holds 640 of the reference
output, then four outputs of 640: eight science pixels, four reference samples, sixteen science pixels, four ..., eight.
"""

import numpy as np
from numpy.typing import NDArray

from jwcal.observatory.detector import Mask

NORMAL, REFERENCE = 16, 4
"""Science pixels between visits of reference pixels, and samples at each visit."""
OUTPUT = 640
WIDTH = 5 * OUTPUT
ROW_CLOCKS = (NORMAL + REFERENCE + 2) * 512 // NORMAL + 8
"""Pixel clocks of a row with its overheads."""


def science_columns() -> Mask:
    """Which of the 3200 samples of a row are science pixels."""
    inside = (np.arange(OUTPUT) - NORMAL // 2) % (NORMAL + REFERENCE) >= REFERENCE
    return np.concatenate([np.zeros(OUTPUT, bool), np.tile(inside, 4)])


def to_detector(image: NDArray[np.generic], detector: str) -> NDArray[np.generic]:
    """Science frame ``(..., y, x)`` to readout order ``(..., row, sample)``."""
    turned = np.swapaxes(image, -1, -2)
    return turned[..., ::-1, ::-1] if detector == "NRS2" else turned


def to_science(frame: NDArray[np.generic], detector: str) -> NDArray[np.generic]:
    """Readout order to science frame."""
    return np.swapaxes(frame[..., ::-1, ::-1] if detector == "NRS2" else frame, -1, -2)


def interleave(image: NDArray[np.generic], fill: float, detector: str) -> NDArray[np.generic]:
    """A science-frame image ``(2048, 2048)`` with `fill` between: ``(3200, 2048)``."""
    frame = np.full((image.shape[-1], WIDTH), fill, image.dtype)
    frame[:, science_columns()] = to_detector(image, detector)
    return np.ascontiguousarray(to_science(frame, detector))


def without_interleaved(frame: NDArray[np.generic], detector: str) -> NDArray[np.generic]:
    """The science pixels of ``(..., 3200, 2048)``, science frame."""
    return to_science(to_detector(frame, detector)[..., science_columns()], detector)
