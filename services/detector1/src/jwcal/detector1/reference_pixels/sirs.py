"""Simple improved reference subtraction: side reference pixels filtered by their measured frequency response.

Source: Rauscher et al. 2022, "Improved Reference Sampling and Subtraction" and its simple variant (SIRS).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from jwcal.core.array_types import Float64
from jwcal.core.references.types import SirsKernelReference
from jwcal.detector1.reference_pixels.axes import FULL, DetectorAxes

_MAD_TO_SIGMA = 1.48


class Options(Protocol):
    """The parameters of refpix that matter here."""

    sigreject: float
    gaussmooth: float
    halfwidth: int


@dataclass(frozen=True, slots=True)
class Templates:
    """Convolution kernels ``(noutputs, 2 halfwidth + 1)`` for the left and the right reference columns."""

    left: Float64
    right: Float64
    sigreject: float

    @classmethod
    def of(cls, reference: SirsKernelReference, detector: str, options: Options) -> "Templates | None":
        """Kernels of a detector from the frequency responses in the reference; None where it has none."""
        found = [node for name, node in reference.tree.items() if name.upper() == detector]
        if not found or not {"gamma", "zeta"} <= set(found[0]):
            return None
        kernels = [
            np.array([_kernel(np.asarray(response), options) for response in np.asarray(found[0][name])])
            for name in ("gamma", "zeta")
        ]
        return cls(kernels[0], kernels[1], options.sigreject)

    def subtract(self, upright: np.ndarray, axes: DetectorAxes, left: Float64, right: Float64) -> None:
        """Subtract the template of each output from a frame ``(slow, fast)`` in place.

        `left` and `right` are the reference columns ``(2048, 4)`` in detector order.
        """
        noutputs = len(self.left)
        width = FULL // noutputs
        signals = [_line_signal(block, self.sigreject) for block in (left, right)]
        for output in range(noutputs):
            template = np.zeros(FULL)
            for (signal, fraction), kernel in zip(signals, (self.left[output], self.right[output]), strict=True):
                norm = np.convolve(np.ones(FULL), kernel, mode="same") / np.convolve(fraction, kernel, mode="same")
                template += np.convolve(signal, kernel, mode="same") * norm
            here = np.flatnonzero(axes.fast // width == output)
            columns = slice(int(here[0]), int(here[-1]) + 1)
            upright[:, columns] = upright[:, columns] - template[axes.slow][:, None]


def _kernel(response: np.ndarray, options: Options) -> Float64:
    """Smoothed time-domain kernel of a frequency response."""
    middle = len(response) - 1
    half = options.halfwidth
    kernel = np.fft.fftshift(np.fft.irfft(response))[middle - half : middle + half + 1]
    offsets = np.arange(-half, half + 1)
    window = np.exp(-(offsets**2) / (2 * options.gaussmooth**2))
    smooth: Float64 = np.convolve(kernel, window / window.sum(), mode="same")
    return smooth


def _line_signal(block: Float64, sigreject: float) -> tuple[Float64, Float64]:
    """Sum of the good pixels of each line over 4, and the fraction of pixels that are good."""
    middle = np.median(block)
    sigma = _MAD_TO_SIGMA * np.median(np.abs(block - middle))
    good = np.abs(block - middle) <= sigreject * sigma
    return (block * good).sum(axis=1) / block.shape[1], good.sum(axis=1) / block.shape[1]
