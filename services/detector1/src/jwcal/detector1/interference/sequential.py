"""Interference wave of MIRI ramps from their residuals after a line fit."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from jwcal.core.array_types import Float32, Float64
from jwcal.core.data import Ramp
from jwcal.detector1.interference.timing import Readout, period_in_clocks
from jwcal.detector1.kernels import interference as kernels

_MOST_BINS: Final = 501
_BINS_INSTEAD: Final = 500
_CLIP_SIGMAS: Final = 3.0
_CLIP_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialOptions:
    """How waves are measured."""

    nbins: int | None
    scale_reference: bool


def integrations_to_phase(
    nints: int, ngroups: int, frequency: float, frame_clocks: int, *, asked: int | None, cycles: int | None
) -> int:
    """How many integrations, from the first, the wave is measured on."""
    if asked is not None:
        return min(asked, nints)
    if cycles is None:
        return nints
    return min(nints, int(np.ceil(cycles * period_in_clocks(frequency) / (frame_clocks * ngroups))))


def measure_wave(ramp: Ramp, readout: Readout, frequency: float, integrations: int, nbins: int | None) -> Float64:
    """One cycle of the wave in DN ``(nbins,)``, its median 0, from the first `integrations`.

    Bins hold the clipped mean of the quads, whose line, fixed pattern and frame median are taken off.
    """
    _, ngroups, ny, nx = ramp.data.shape
    period = period_in_clocks(frequency)
    bins = int(period / 2.0) if nbins is None else nbins
    bins = _BINS_INSTEAD if bins > _MOST_BINS else bins
    shape = (ny, nx // 4)
    counts = np.zeros((integrations, ngroups, bins), np.int64)
    clocks = (readout.row, readout.sample, readout.late_last_column, readout.frame, period)
    for i in range(integrations):
        kernels.count_phases(shape, _start(readout, ngroups, i), *clocks, counts[i])
    edges = np.concatenate(([0], np.cumsum(counts.sum(axis=(0, 1)))))
    places = edges[:-1] + np.cumsum(counts.reshape(-1, bins), axis=0) - counts.reshape(-1, bins)
    places = np.ascontiguousarray(places).reshape(counts.shape)
    values: Float32 = np.empty(int(edges[-1]), np.float32)
    quads: Float32 = np.empty((ngroups, *shape), np.float32)
    for i in range(integrations):
        kernels.residual_quads(ramp.data[i], quads)
        kernels.subtract_frame_medians(quads)
        kernels.sort_phases(quads, _start(readout, ngroups, i), *clocks, places[i], values)
    means = np.empty(bins)
    kernels.clipped_means(values, edges, _CLIP_SIGMAS, _CLIP_ROUNDS, means)
    means -= np.median(means)
    return means


def match_reference(wave: Float64, reference: Float64, period: float, *, scale: bool) -> Float64:
    """The reference wave at the phase of the measured `wave`, and at its amplitude if `scale`, by pixel clock."""
    measured = resample(wave, reference.size)[: reference.size]
    correlations = _correlations(reference, measured)
    table = resample(np.roll(reference, int(np.argmax(correlations))), period)
    if scale:
        measured = resample(wave, period)
        both = min(table.size, measured.size)
        table = table * np.polyfit(table[:both], measured[:both], 1)[0]
    return table


def subtract(ramp: Ramp, readout: Readout, frequency: float, table: Float64) -> None:
    """Take a wave, given by pixel clock of its cycle, from the ramp, in place; what is no number counts as 0."""
    usable = np.where(np.isfinite(table), table, 0.0)
    for i, data in enumerate(ramp.data):
        kernels.subtract_table(
            data,
            _start(readout, ramp.ngroups, i),
            readout.row,
            readout.sample,
            readout.late_last_column,
            readout.frame,
            period_in_clocks(frequency),
            usable,
        )


def resample(wave: Float64, length: float) -> Float64:
    """`wave` stretched to `length` samples, each the one at or before its place; rounding may add one at the end."""
    step = wave.size / length
    places = np.arange(int(np.ceil(wave.size / step))) * step
    return wave[places.astype(np.int64)]


def _correlations(reference: Float64, measured: Float64) -> Float64:
    """Pearson correlation of `measured` with `reference` rolled by 0, 1, ... samples."""
    size = reference.size
    rolled = reference[(np.arange(size)[None, :] - np.arange(size)[:, None]) % size]
    a = rolled - rolled.mean(axis=1, keepdims=True)
    b = measured - measured.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations: Float64 = (a @ b) / np.sqrt((a * a).sum(axis=1) * (b @ b))
    return correlations


def _start(readout: Readout, ngroups: int, integration: int) -> int:
    """Clock at which an integration's first pixel is read."""
    return integration * (ngroups * readout.frame + readout.reset)
