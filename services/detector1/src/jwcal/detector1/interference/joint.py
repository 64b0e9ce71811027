"""Joint fit of lines and an interference wave to MIRI ramps."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float32, Float64
from jwcal.core.data import Ramp
from jwcal.detector1.interference.timing import Readout, period_in_clocks
from jwcal.detector1.kernels import interference as kernels

TRIAL_PHASES: Final = 500
"""Phases at which chi squared is evaluated."""
LEAST_POWER: Final = 1e-6
"""Least share of a wave's power that intercepts and slopes must leave for its amplitude to be known."""
_TRIALS: Final = np.arange(TRIAL_PHASES) / TRIAL_PHASES
_CHUNKS: Final = 16
_SMALLEST: Final = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedRamp:
    """Sums of good pixels by phase at the first group, all that the fit needs to know of the data."""

    sums: Float64
    """``(nints, nphases, ngroups)`` DN."""
    numbers: Float64
    """Pixels in each sum ``(nints, nphases)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveFit:
    """A wave as found in each integration."""

    phases: Float64
    """At the first pixel of each integration ``(nints,)``, in cycles."""
    amplitudes: Float64
    """Factors of the reference wave ``(nints,)``."""


@dataclass(frozen=True, slots=True)
class JointModel:
    """An interference wave of known shape and frequency, as an exposure's readout samples it."""

    wave: Float64
    """One cycle, DN."""
    frequency: float
    """Hz."""
    readout: Readout

    @property
    def period(self) -> float:
        """Clocks in a cycle."""
        return period_in_clocks(self.frequency)

    @property
    def group_step(self) -> float:
        """Phase gained from one group to the next, in ``[0, 1)``."""
        return (self.readout.frame / self.period) % 1

    def integration_step(self, ngroups: int) -> float:
        """Phase gained from one integration to the next."""
        return self.group_step * ngroups + self.readout.reset / self.period

    def spline(self) -> Float64:
        """Cubic spline through the periodic wave ``(4, nphases + 1)``; nodes are the middles of its samples."""
        from scipy.interpolate import CubicSpline

        nodes = (np.arange(self.wave.size + 2) - 0.5) / self.wave.size
        values = np.concatenate((self.wave[-1:], self.wave, self.wave[:1]))
        return np.ascontiguousarray(CubicSpline(nodes, values).c)


@dataclass(frozen=True, slots=True)
class _Trials:
    """Quadratic and linear terms of chi squared ``(TRIAL_PHASES, nints)``."""

    quadratic: Float64
    linear: Float64
    power: Float64
    integration_step: float

    def at(self, phases: Float64, integrations: range) -> tuple[Float64, Float64]:
        """Chi squared (less a constant) and amplitude for waves that start at `phases`; NaN and 0 where undefined.

        Each integration takes the trial phase that follows its own, as the official step does.
        """
        a, b = np.empty(phases.size), np.empty(phases.size)
        kernels.sum_terms(
            self.quadratic,
            self.linear,
            _TRIALS,
            phases,
            self.integration_step,
            integrations.start,
            integrations.stop,
            a,
            b,
        )
        undefined = (np.abs(a) <= _SMALLEST) | ~np.isfinite(a) | ~np.isfinite(b)
        with np.errstate(invalid="ignore", divide="ignore"):
            amplitude = -b / (2 * a)
            chisq = a * amplitude**2 + b * amplitude
        return np.where(undefined, np.nan, chisq), np.where(undefined, 0.0, amplitude)


def fold(ramp: Ramp, model: JointModel) -> FoldedRamp:
    """Sum the good pixels of `ramp` in bins of the wave's phase.

    Good pixels have no flag and vary over the groups by less than twice the median of all pixels and integrations.
    """
    nints, ngroups, ny, nx = ramp.data.shape
    deviation = np.empty((ny, nx), np.float32)
    limit = np.float32(2) * _median_deviation(ramp, deviation)
    sums = np.zeros((nints, model.wave.size, ngroups))
    numbers = np.zeros((nints, model.wave.size))
    bins = np.empty((ny, nx // 4), np.int32)
    kernels.phase_bins(model.readout.row, model.readout.sample, model.period, model.wave.size, bins)
    for i, data in enumerate(ramp.data):
        kernels.deviations(data, deviation)
        kernels.fold(data, deviation, ramp.pixeldq, limit, bins, sums[i], numbers[i])
    return FoldedRamp(sums=sums, numbers=numbers)


def fit_wave(folded: FoldedRamp, model: JointModel, *, separately: bool) -> WaveFit | None:
    """Amplitude and phase of the wave, common to all integrations or one for each; None where they are not defined."""
    nints, _, ngroups = folded.sums.shape
    step = model.integration_step(ngroups)
    shape = (TRIAL_PHASES, nints)
    trials = _Trials(np.empty(shape), np.empty(shape), np.empty(shape), step)
    kernels.accumulate_trials(
        folded.sums,
        folded.numbers,
        model.spline(),
        model.group_step,
        _TRIALS,
        trials.quadratic,
        trials.linear,
        trials.power,
    )
    power = float(trials.power.sum())
    if power > 0 and float(trials.quadratic.sum()) < LEAST_POWER * power:
        return None
    blocks = [range(i, i + 1) for i in range(nints)] if separately else [range(nints)]
    phases, amplitudes = np.empty(nints), np.empty(nints)
    for block in blocks:
        best = _best_phase(trials.at(_TRIALS, block)[0])
        amplitude = float(trials.at(np.array([best]), block)[1][0])
        for i in block:
            phases[i] = best + i * step
            amplitudes[i] = amplitude
    if not separately:
        phases %= 1
    return WaveFit(phases=phases, amplitudes=amplitudes)


def subtract(ramp: Ramp, model: JointModel, fit: WaveFit) -> None:
    """Take the fitted wave from the ramp, in place."""
    spline = model.spline()
    for data, phase, amplitude in zip(ramp.data, fit.phases, fit.amplitudes, strict=True):
        kernels.subtract_wave(
            data, model.readout.row, model.readout.sample, model.period, model.group_step, phase, amplitude, spline
        )


def _best_phase(chisq: Float64) -> float:
    """Vertex of the parabola through the least chi squared and its neighbours.

    As in the official step the neighbours of the first and last trial are not unwrapped, so that the vertex is off
    there.
    """
    if not np.isfinite(chisq).any():
        return 0.0
    best = int(np.nanargmin(chisq))
    around = [best - 1, best, (best + 1) % TRIAL_PHASES]
    values = chisq[around]
    if not np.isfinite(values).all() or np.std(values) == 0:
        return float(_TRIALS[best])
    a, b, _ = np.polyfit(_TRIALS[around], values, 2)
    return float(-b / (2 * a))


def _median_deviation(ramp: Ramp, deviation: Float32) -> np.float32:
    """Median over pixels and integrations of the standard deviation over groups, by counting bits: no large copy."""
    total = ramp.nints * deviation.size
    ranks = ((total - 1) // 2, total // 2)
    cumulative = _count(ramp, deviation, None)
    middle = []
    counted = -1
    for rank in ranks:
        upper = int(np.searchsorted(cumulative, rank, side="right"))
        if upper != counted:
            lower_counts, counted = _count(ramp, deviation, upper), upper
        before = int(cumulative[upper - 1]) if upper else 0
        lower = int(np.searchsorted(lower_counts, rank - before, side="right"))
        middle.append(np.array([(upper << 16) | lower], np.uint32).view(np.float32)[0])
    return np.float32(np.mean(middle, dtype=np.float32))


def _count(ramp: Ramp, deviation: Float32, upper: int | None) -> NDArray[np.int64]:
    """How many deviations have an upper half of bits up to each value, or a lower half among those of `upper`."""
    counts = np.zeros((_CHUNKS, 1 << 16), np.int64)
    for data in ramp.data:
        kernels.deviations(data, deviation)
        kernels.count_bits(deviation, 0 if upper is None else upper, upper is None, counts)
    return np.cumsum(counts.sum(axis=0))
