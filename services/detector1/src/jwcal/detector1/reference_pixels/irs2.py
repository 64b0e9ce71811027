"""NIRSpec's improved reference sampling and subtraction (IRS2): interleaved reference pixels and reference output.

The detector is read as one time series for each output.  What the reference output and the interleaved reference
pixels saw of the noise is filtered by measured frequency responses and subtracted.

Source: Rauscher et al. 2017, PASP 129, 105003; Moseley et al. 2010, Proc. SPIE 7742.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import scipy.fft
from astropy.stats import sigma_clipped_stats
from numpy.typing import NDArray

from jwcal.core import dqflags
from jwcal.core.array_types import Bool, Float32, UInt32
from jwcal.core.data import Ramp
from jwcal.core.errors import InvalidData, InvalidKeyword
from jwcal.core.references.types import Irs2Reference
from jwcal.core.step import Skip
from jwcal.detector1.kernels import irs2 as kernels
from jwcal.detector1.kernels import refpix
from jwcal.detector1.reference_pixels.axes import FULL, DetectorAxes, PixelSets

SCIENCE = 16
"""Ordinary samples between blocks of reference samples."""
REFERENCE = 4
"""Reference samples in a block."""
PERIOD = SCIENCE + REFERENCE
OUTPUTS = 5
WIDTH = 640
"""Samples of an output in a row."""
LINES = OUTPUTS * WIDTH
CLOCK = (PERIOD + 2) * 32 + 8
"""Sample times in a row: two lost at every block of reference samples, eight at the end."""
LENGTH = FULL * CLOCK

_BAD = np.uint32(dqflags.BAD_REF_PIXEL | dqflags.DO_NOT_USE)
_ITERATIONS = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the lines of a frame (rows in the science orientation) lie in the detector's time series."""

    line_of: NDArray[np.int64]
    """Frame line of each detector column."""
    outputs: NDArray[np.int64]
    """Output of each frame line; 0 is the reference output."""
    positions: NDArray[np.int64]
    """Its place on the row clock."""
    interleaved: Bool
    """Whether each detector column holds reference samples; the reference output has the pattern too."""
    flipped: bool
    """Whether detector rows run against the frame's x axis."""

    @classmethod
    def of(cls, detector: str) -> "Layout":
        """Layout of NRS1, or of NRS2, which is turned by 180 degrees."""
        sample = np.arange(WIDTH)
        within = (sample - SCIENCE // 2) % PERIOD
        blocks = (sample - SCIENCE // 2) // PERIOD
        is_reference = (within < REFERENCE) & (blocks >= 0) & (blocks < WIDTH // PERIOD)
        started = np.where(is_reference, blocks, blocks + 1)
        clock = sample + 2 * started + np.where(is_reference, 1, 0)
        column = np.arange(LINES)
        output = column // WIDTH
        along = column % WIDTH
        along = np.where(output % 2 == 0, WIDTH - 1 - along, along)
        flipped = detector == "NRS2"
        line_of = LINES - 1 - column if flipped else column
        outputs, positions = np.empty(LINES, np.int64), np.empty(LINES, np.int64)
        outputs[line_of] = output
        positions[line_of] = clock[along]
        return cls(line_of, outputs, positions, np.tile(is_reference, OUTPUTS), flipped)

    @property
    def science_columns(self) -> NDArray[np.int64]:
        """Detector columns of ordinary pixels."""
        return np.flatnonzero(~self.interleaved & (np.arange(LINES) >= WIDTH))

    @property
    def sample_positions(self) -> NDArray[np.int64]:
        """Places of ordinary samples on the row clock."""
        science = self.science_columns[: FULL // 4]
        return np.sort(self.positions[self.line_of[science]])


def check(ramp: Ramp) -> None:
    """Refuse frames of another size or interleaving than the correction is made for."""
    if ramp.data.shape[-2:] != (LINES, FULL):
        raise InvalidData(
            f"IRS2 frames of shape {ramp.data.shape[-2:]}, not {(LINES, FULL)}",
            file=ramp.metadata.source,
            remedy="give a full-frame IRS2 exposure, or correct READPATT",
        )
    for path, keyword, value in (
        ("exposure.nrs_normal", "NRS_NORM", SCIENCE),
        ("exposure.nrs_reference", "NRS_REF", REFERENCE),
    ):
        if int(ramp.metadata.get(path, value)) != value:
            raise InvalidKeyword(
                f"{keyword} is {ramp.metadata.get(path)}, the correction is made for {value}",
                file=ramp.metadata.source,
                keyword=keyword,
                remedy="skip refpix",
            )


def flag_bad_references(ramp: Ramp, sigma: float) -> None:
    """Flag pairs of reference lines whose difference, mean or scatter is far above that of the output's others."""
    bad = _bad_lines(ramp.pixeldq)
    found = bad.copy()
    pairs = np.array(
        [
            output * WIDTH + start + pair
            for output in range(OUTPUTS)
            for start in range(SCIENCE // 2, WIDTH, PERIOD)
            for pair in range(0, REFERENCE, 2)
        ]
    )
    pairs = pairs[~(bad[pairs] | bad[pairs + 1])]
    statistics = np.empty((pairs.size, 3))
    for integration in ramp.data:
        kernels.pair_statistics(integration, pairs, statistics)
        for output in range(OUTPUTS):
            here = pairs // WIDTH == output
            if not here.any():
                continue
            for values in statistics[here].T:
                mean, _, scatter = sigma_clipped_stats(values, sigma=sigma)
                high = pairs[here][(values - mean) > sigma * scatter]
                found[high] = True
                found[high + 1] = True
    ramp.pixeldq[found] |= _BAD


def replace_bad_references(ramp: Ramp) -> None:
    """Replace flagged reference lines by their neighbours of the same parity, one period below and above."""
    bad = _bad_lines(ramp.pixeldq)
    layout = Layout.of("NRS1")  # the pattern is the same from either end
    for line in np.flatnonzero(bad):
        _replace(ramp.data, int(line), bad, layout.interleaved, np.arange(LINES))
    ramp.pixeldq[bad] |= _BAD


def subtract_mean_references(ramp: Ramp, *, odd_even_columns: bool, siglimit: float) -> None:
    """The conventional correction by top and bottom rows, for each of the five outputs and column parity."""
    layout = Layout.of(ramp.metadata.detector)
    column = np.arange(LINES)
    parity = 1 - column % 2
    parity[layout.interleaved] = np.where(column % 4 < 2, 1, 0)[layout.interleaved]
    label = column // WIDTH * 2 + (1 - parity) if odd_even_columns else column // WIDTH
    count = OUTPUTS * (2 if odd_even_columns else 1)
    slow = np.arange(FULL)[::-1] if layout.flipped else np.arange(FULL)
    axes = DetectorAxes(np.argsort(layout.line_of), slow, fast_is_x=False)
    by_line = label[axes.fast][:, None]
    edges = (slow[None, :] < 4, slow[None, :] >= FULL - 4)
    masks = [edge & (by_line == k) for edge in edges for k in range(count)]
    sets = PixelSets.of(masks, ramp.pixeldq, dqflags.DO_NOT_USE, axes)
    means = np.empty(len(masks))
    for frame in ramp.data.reshape(-1, LINES, FULL):
        refpix.clipped_means(frame, sets.rows, sets.columns, sets.bounds, siglimit, True, means)
        bottom, top = means.reshape(2, -1)
        both = 0.5 * (bottom + top)
        both = np.where(np.isfinite(both), both, np.where(np.isfinite(bottom), bottom, top))
        by_output = both.astype(np.float32).astype(np.float64).reshape(OUTPUTS, -1)
        by_output[~np.isfinite(by_output).all(axis=1)] = 0
        offsets = by_output.ravel()[label]
        refpix.subtract_lines(frame, *axes.lines(offsets[axes.fast], np.zeros(FULL)))


def correct_ramp(ramp: Ramp, reference: Irs2Reference, *, keep_reference_pixels: bool) -> None:
    """Subtract reference output and pixels; the ramp then has 2048 rows, unless it keeps its reference pixels."""
    layout = Layout.of(ramp.metadata.detector)
    weights = _Weights.of(reference)
    _replace_known_bad(ramp, reference, layout)
    if keep_reference_pixels:
        columns = np.arange(LINES)
        with_mean = ~layout.interleaved | (columns < WIDTH)
    else:
        columns = layout.science_columns
        with_mean = np.ones(columns.size, bool)
    lines = layout.line_of[columns]
    order = np.argsort(lines)
    lines, with_mean = lines[order], with_mean[order]

    nints, ngroups = ramp.data.shape[:2]
    packed = ramp.data.reshape(-1)[: nints * ngroups * lines.size * FULL].reshape(nints, ngroups, lines.size, FULL)
    packed_dq = ramp.groupdq.reshape(-1)[: packed.size].reshape(packed.shape)
    # the result is packed to the front of the same memory: no group is overwritten before it is read
    mean = np.empty((LINES, FULL))
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="irs2") as pool:
        worker = _Corrector(layout, weights, pool)
        for i in range(nints):
            kernels.mean_frame(ramp.data[i], mean)
            for g in range(ngroups):
                flags = ramp.groupdq[i, g][lines]
                worker.correct(ramp.data[i, g], mean, lines, with_mean, packed[i, g])
                packed_dq[i, g] = flags
    ramp.data = packed
    ramp.groupdq = packed_dq
    ramp.pixeldq = np.ascontiguousarray(ramp.pixeldq[lines])


@dataclass(frozen=True, slots=True)
class _Weights:
    """Frequency responses for real series ``(4, LENGTH / 2 + 1)``: of the reference output, and of reference pixels."""

    output: NDArray[np.complex64]
    pixels: NDArray[np.complex64]
    fill: Float32
    """Low-pass filter that interpolates the reference output."""

    @classmethod
    def of(cls, reference: Irs2Reference) -> "_Weights":
        table = reference.irs2_table
        rows = len(table)
        if rows != 2 * LENGTH:
            raise Skip(f"the refpix reference {reference.file} has {rows} rows, not {2 * LENGTH}")

        def response(name: str) -> NDArray[np.complex64]:
            column = np.asarray(table[name], np.float32)
            full = column[0::2] + np.complex64(1j) * column[1::2]
            mirrored = np.conj(np.roll(full[::-1], 1))  # only the Hermitian part acts on a real series
            half: NDArray[np.complex64] = (0.5 * (full + mirrored))[: LENGTH // 2 + 1].astype(np.complex64)
            return half

        return cls(
            np.array([response(f"alpha_{k}") for k in range(4)]),
            np.array([response(f"beta_{k}") for k in range(4)]),
            _low_pass(),
        )


def _low_pass() -> Float32:
    """Filter of the interpolation: passes low frequencies and those near the Nyquist frequency, cosine edges."""
    edge = 110000 // (PERIOD + 2)
    flat = CLOCK // (PERIOD + 2) * FULL // 2 - edge // 2
    fall = (np.cos(np.arange(edge) * np.pi / edge) + 1.0) / 2.0
    stop = np.zeros(LENGTH // 2 - 2 * flat - 2 * edge)
    half = np.concatenate((np.ones(flat), fall, stop, fall[::-1], np.ones(flat)))
    return np.append(half, half[0]).astype(np.float32)


class _Corrector:
    """Corrects one frame after the other with the same work arrays."""

    def __init__(self, layout: Layout, weights: _Weights, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._layout = layout
        self._weights = weights
        self._series = np.empty((OUTPUTS, FULL, CLOCK), np.float32)
        self._references = np.empty((OUTPUTS - 1, FULL, CLOCK), np.float32)
        self._taper = np.sin(np.arange(1, 32) / 32.0 * np.pi)
        block = np.arange(32)[:, None] * (PERIOD + 2)
        self._targets = (block + np.arange(7, 15)).ravel()
        self._sources = (block + np.array([9, 11, 9, 11, 10, 12, 10, 12])).ravel()

    def correct(
        self, frame: Float32, mean: NDArray[np.float64], lines: NDArray[np.int64], with_mean: Bool, result: Float32
    ) -> None:
        """Corrected `lines` of a frame to `result`, which may overlap it."""
        layout, series = self._layout, self._series
        kernels.to_series(frame, mean, layout.outputs, layout.positions, layout.flipped, series)
        kernels.remove_lines(series)
        for output, spread in enumerate(self._references, start=1):
            kernels.reference_series(series[output], self._targets, self._sources, spread)
        # long transforms one by one: several at once in one call would share, and overrun, the caches
        spectra = [self._pool.submit(scipy.fft.rfft, spread.reshape(-1)) for spread in self._references]
        self._interpolate(series[0])
        output_spectrum = scipy.fft.rfft(series[0].reshape(-1))
        ready = [future.result() for future in spectra]
        noise = list(self._pool.map(self._noise, range(OUTPUTS - 1), ready, repeat(output_spectrum)))
        kernels.from_series(
            series,
            np.stack(noise).reshape(OUTPUTS - 1, FULL, CLOCK),
            mean,
            lines,
            layout.outputs,
            layout.positions,
            with_mean,
            layout.flipped,
            result,
        )

    def _noise(self, output: int, pixels: NDArray[np.complex64], reference: NDArray[np.complex64]) -> Float32:
        """Time series of the noise of an output from the spectra of its reference pixels and the reference output."""
        pixels *= self._weights.pixels[output]
        pixels += self._weights.output[output] * reference
        noise: Float32 = scipy.fft.irfft(pixels, n=LENGTH, overwrite_x=True)
        return noise

    def _interpolate(self, output: Float32) -> None:
        """Fill the pauses and reference samples of the reference output in place."""
        measured = np.empty_like(output)
        kernels.fill_gaps(output.reshape(-1), self._taper, measured.reshape(-1))
        values = measured
        for _ in range(_ITERATIONS):
            spectrum = scipy.fft.rfft(values.reshape(-1))
            spectrum *= self._weights.fill
            values = scipy.fft.irfft(spectrum, n=LENGTH, overwrite_x=True).reshape(output.shape)
            kernels.restore_samples(values, measured, self._layout.sample_positions)
        output[:] = values


def _bad_lines(pixeldq: UInt32) -> Bool:
    bad: Bool = ((pixeldq & np.uint32(dqflags.BAD_REF_PIXEL)) != 0).any(axis=1)
    return bad


def _replace_known_bad(ramp: Ramp, reference: Irs2Reference, layout: Layout) -> None:
    """Replace the reference samples that the reference file marks by output, pair and 32-bit mask."""
    if reference.dq_table is None or len(reference.dq_table) == 0:
        return
    bad = _bad_lines(ramp.pixeldq)[layout.line_of]
    for entry in reference.dq_table:
        output, pair, mask = int(entry["output"]), int(entry["odd_even"]), int(entry["mask"])
        pair = 3 - pair if output % 2 == 0 else pair
        new = []
        for block in range(32):
            if mask >> block & 1:
                first = output * WIDTH + SCIENCE // 2 + block * PERIOD + 2 * (pair - 1)
                new += [column for column in (first, first + 1) if not bad[column]]
        bad[new] = True
        for column in new:
            _replace(ramp.data, column, bad, layout.interleaved, layout.line_of)


def _replace(data: Float32, column: int, bad: Bool, interleaved: Bool, line_of: NDArray[np.int64]) -> None:
    """Replace a line of reference samples in place.

    By the mean of the lines one period away in the same output, by the one of them that is good, by the good
    neighbouring pair's line, or by zero.
    """
    low, high = column // WIDTH * WIDTH, (column // WIDTH + 1) * WIDTH

    def usable(other: int) -> bool:
        return low <= other < high and not bad[other]

    def line(other: int) -> Any:
        return data[:, :, line_of[other]]

    near = [line(other) for other in (column - PERIOD, column + PERIOD) if usable(other)]
    pairs = [other for other in (column - 2, column + 2) if usable(other) and interleaved[other]]
    if near:
        data[:, :, line_of[column]] = near[0] if len(near) == 1 else np.mean(near, axis=0)
    else:
        data[:, :, line_of[column]] = line(pairs[0]) if pairs else 0.0
