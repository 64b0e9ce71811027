"""Noise of the readout: white, 1/f along the rows, drifts of outputs and of odd and even columns."""

import numpy as np

from jwcal.core.array_types import Float32
from jwcal.observatory import interleaving
from jwcal.observatory.detector import Pixels
from jwcal.observatory.mode import Mode
from jwcal.observatory.randomness import one_over_f

RESET_NOISE = 12.0
"""kTC noise of each integration, DN."""


class ReadoutNoise:
    """Noise of one integration's groups."""

    def __init__(self, mode: Mode, pixels: Pixels, rng: np.random.Generator) -> None:
        self._mode, self._pixels, self._rng = mode, pixels, rng
        self.reset = rng.normal(0.0, RESET_NOISE, mode.shape).astype(np.float32) * ~pixels.reference
        self._levels, self._odd = rng.normal(0, 15.0, 4), rng.normal(0, 4.0, 4)

    def drift(self) -> None:
        """Move the outputs' levels on by one group."""
        self._levels += self._rng.normal(0, 2.5, 4)
        self._odd += self._rng.normal(0, 0.8, 4)

    def group(self, nframes: int) -> Float32:
        """DN of a group that averages `nframes` frames."""
        mode = self._mode
        noise = self._rng.standard_normal(mode.shape, dtype=np.float32)
        noise *= self._pixels.cds_noise * np.float32(1 / np.sqrt(2.0 * nframes))
        noise += self.reset
        along_x = abs(mode.detector.fast) == 1
        layer = noise if along_x else noise.T
        if mode.instrument == "MIRI":
            for output in range(4):
                layer[:, output::4] += np.float32(self._levels[output])
            layer[0::2] += np.float32(self._odd[0])
        else:
            self._near_infrared(layer, 1 / np.sqrt(nframes))
        return noise

    def _near_infrared(self, layer: Float32, scale: float) -> None:
        if self._mode.is_irs2:
            return
        slow, fast = layer.shape
        layer += (one_over_f(self._rng, slow, 3.0 * scale)[:, None]).astype(np.float32)
        width = fast // (4 if self._mode.noutputs == 4 else 1)
        for output in range(fast // width):
            part = layer[:, output * width : (output + 1) * width]
            part += (self._levels[output] + one_over_f(self._rng, slow, scale)[:, None]).astype(np.float32)
            part[:, ::2] += np.float32(self._odd[output])


def interleaved_frame(science: Float32, mode: Mode, rng: np.random.Generator, levels: Float32) -> Float32:
    """An IRS2 frame ``(3200, 2048)`` of a science image, with correlated noise in readout order.

    The common noise is seen by science pixels, reference pixels and, weaker, the reference output.
    """
    detector = mode.detector.name
    rows = mode.shape[1]
    clocks = interleaving.ROW_CLOCKS
    columns = interleaving.science_columns()
    position = np.minimum(np.arange(interleaving.OUTPUT) * clocks // interleaving.OUTPUT, clocks - 1)
    common = one_over_f(rng, rows * clocks, 6.0).reshape(rows, clocks)
    frame = np.empty((rows, interleaving.WIDTH), np.float32)
    frame[:] = levels
    frame[:, ~columns] += rng.normal(0, mode.detector.cds_noise / np.sqrt(2), (rows, int((~columns).sum())))
    frame[:, columns] = interleaving.to_detector(science, detector)
    for output in range(5):
        order = position if output % 2 == 0 else position[::-1]
        share = 0.7 if output == 0 else 1.0
        part = frame[:, output * interleaving.OUTPUT : (output + 1) * interleaving.OUTPUT]
        part += (share * common[:, order]).astype(np.float32)
        part += one_over_f(rng, rows, 1.0)[:, None].astype(np.float32)
    return np.asarray(interleaving.to_science(frame, detector), np.float32)
