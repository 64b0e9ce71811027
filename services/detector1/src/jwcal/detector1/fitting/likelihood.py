"""Likelihood fit of ramps: generalised least squares with its own search for jumps."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jwcal.core.array_types import Float32, Float64, UInt32
from jwcal.core.blocks import row_ranges
from jwcal.core.data import Ramp
from jwcal.core.errors import InvalidData
from jwcal.detector1.kernels import likelihood as kernels

MIN_GROUPS: Final = 4
"""Groups that the jump search needs; shorter ramps are fitted by ordinary least squares."""

CHI_SQUARED_GAINS: Final = (20.25, 23.8)
"""Least gain in chi squared that drops one difference, or two neighbouring ones."""


_PLANES: Final = ("data", "err", "dq", "var_poisson", "var_rnoise", "chisq")


def _kind(name: str) -> Any:
    return np.uint32 if name == "dq" else np.float32


@dataclass(slots=True, kw_only=True)
class FittedRates:
    """Count rates in DN/s, errors, variances, flags and chi squared: ``(ny, nx)`` or ``(nints, ny, nx)``."""

    data: Float32
    err: Float32
    dq: UInt32
    var_poisson: Float32
    var_rnoise: Float32
    chisq: Float32

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "FittedRates":
        """Arrays to be filled."""
        return cls(**{name: np.empty(shape, _kind(name)) for name in _PLANES})

    @classmethod
    def beside(cls, ramp: Ramp) -> "FittedRates":
        """Arrays to be filled for each integration of `ramp`, where its own lie."""
        shape = (ramp.nints, *ramp.data.shape[-2:])
        return cls(**{name: ramp.new_array(shape, _kind(name)) for name in _PLANES})

    def rows(self, rows: slice) -> "FittedRates":
        """Some rows, copied together where they are not."""
        return FittedRates(**{name: np.ascontiguousarray(getattr(self, name)[..., rows, :]) for name in _PLANES})


@dataclass(slots=True, kw_only=True)
class LikelihoodFit:
    """What the fit makes of an exposure."""

    rate: FittedRates
    rateints: FittedRates


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """When the reads of an integration happen, as the noise model sees it (Brandt 2024, equations 4, 11, 28, 29)."""

    spacing: Float64
    """Time between the mean times of neighbouring groups ``(ngroups - 1,)`` in s."""
    model: Float64
    """Coefficients ``(4, ngroups - 1)`` of the covariance matrix of the differences per second: its diagonal per unit
    of photon noise and of squared read noise, its off-diagonal per unit of both."""
    pairs: Float64
    """1.0 where two neighbouring differences may be dropped together: the group they share has several reads."""

    @classmethod
    def of(cls, read_times: list[Float64]) -> "Sampling":
        """Sampling of groups that average the reads at these times in s."""
        reads = np.array([times.size for times in read_times])
        mean = np.array([np.mean(times) for times in read_times])
        # variance-weighted mean time: earlier reads are in more of the group's partial sums
        weighted = np.array(
            [np.sum((2 * times.size + 1 - 2 * np.arange(1, times.size + 1)) * times) for times in read_times]
        )
        tau = weighted / reads**2
        spacing = mean[1:] - mean[:-1]
        model = np.zeros((4, spacing.size))
        model[0] = (tau[:-1] + tau[1:] - 2 * mean[:-1]) / spacing**2
        model[1] = (1 / reads[:-1] + 1 / reads[1:]) / spacing**2
        model[2, :-1] = (mean[1:-1] - tau[1:-1]) / (spacing[1:] * spacing[:-1])
        model[3, :-1] = -1 / (reads[1:-1] * spacing[1:] * spacing[:-1])
        return cls(spacing=spacing, model=model, pairs=(reads[1:-1] > 1).astype(np.float64))


def fit_likelihood(ramp: Ramp, gain: Float32, read_noise: Float32) -> LikelihoodFit:
    r"""Fit every integration by maximum likelihood and combine the integrations.

    The differences of neighbouring groups, :math:`d_i = (y_{i+1} - y_i) / \Delta t_i`, have a tridiagonal covariance
    matrix :math:`V = (a/g) P + R^2 Q`: *a* the count rate in DN/s, *g* the gain, *R* the noise of one read in DN,
    *P* and *Q* known from the times of the reads.  The rate minimises :math:`(d - a)^T V^{-1} (d - a)` with *V* held
    at an earlier estimate (Brandt 2024, PASP 136, 045004).  Differences touched by a flagged group are left out.

    Before that, each ramp is searched for jumps (Brandt 2024, PASP 136, 045005): starting from the median difference,
    the difference whose omission lowers chi squared most is dropped if the gain exceeds 20.25 (4.5 sigma), or two
    neighbouring ones if it exceeds 23.8, where the group between them averages several reads; then again, while more
    than three differences are left.

    Integrations are averaged with inverse variances as weights, their Poisson part scaled to the common rate.

    `gain` in e-/DN and `read_noise`, that of correlated double samples in DN, are ``(ny, nx)``.  Rewrites
    ``ramp.groupdq``: JUMP_DET is set in the group after each dropped difference.  Ramps need four groups or more.

    Behaviour of the official package that is kept: all groups take part, none is trimmed and ramps with one good
    group are not suppressed; a flag of any kind, PERSISTENCE too, takes a group out; chi squared and variances are
    NaN where nothing is left; the average dark current (e-/s) is added to the rate in DN/s; a zero frame takes part
    even where it is 0 ("no value"); PIXELDQ flags do not blank a rate.
    """
    nints, ngroups, ny, nx = ramp.data.shape
    if ngroups < MIN_GROUPS:
        raise InvalidData(
            f"the likelihood fit needs {MIN_GROUPS} groups, the ramps have {ngroups}",
            file=ramp.metadata.source,
            keyword="NGROUPS",
            remedy="use algorithm OLS_C",
        )
    nframes = int(ramp.metadata.require_number("exposure.nframes", positive=True))
    read_times = _read_times(ramp, nframes)
    no_zeroframe = np.empty((0, 0), np.float32)
    zeroframe = ramp.zeroframe if read_times[0].size > 1 else None
    if zeroframe is not None:
        read_times = [read_times[0][:1], read_times[0][1:], *read_times[1:]]
    sampling = Sampling.of(read_times)
    thresholds = np.array(CHI_SQUARED_GAINS)
    dark = ramp.average_dark_current
    if dark is None:
        dark = np.zeros((ny, nx), np.float32)

    fits = FittedRates.beside(ramp)
    for i in range(nints):
        kernels.fit_integration(
            ramp.data[i],
            ramp.groupdq[i],
            no_zeroframe if zeroframe is None else zeroframe[i],
            nframes,
            gain,
            read_noise,
            dark,
            sampling.spacing,
            sampling.model,
            sampling.pairs,
            thresholds,
            fits.data[i],
            fits.err[i],
            fits.var_poisson[i],
            fits.var_rnoise[i],
            fits.chisq[i],
        )
        kernels.compress_flags(ramp.groupdq[i], ramp.pixeldq, fits.dq[i])
    return LikelihoodFit(rate=_combine(fits, ramp), rateints=fits)


def _read_times(ramp: Ramp, nframes: int) -> list[Float64]:
    """Times of the reads of each group in s, evenly spaced unless the ramp says otherwise."""
    if ramp.read_times is not None:
        return [np.asarray(times, np.float64) for times in ramp.read_times]
    frame_time = ramp.metadata.require_number("exposure.frame_time", positive=True)
    stride = nframes + int(ramp.metadata.require_number("exposure.groupgap"))
    reads = np.arange(1, nframes + 1, dtype=np.float64)
    return [(reads + group * stride) * frame_time for group in range(ramp.ngroups)]


def _combine(fits: FittedRates, ramp: Ramp) -> FittedRates:
    """Rates of the exposure; those of a single integration as they are."""
    if len(fits.data) == 1:
        return FittedRates(**{name: getattr(fits, name)[0].copy() for name in _PLANES})
    rate = FittedRates.empty(fits.data.shape[1:])
    for rows in row_ranges(ramp):
        these, out = fits.rows(rows), rate.rows(rows)
        kernels.combine_integrations(
            these.data,
            these.dq,
            these.var_poisson,
            these.var_rnoise,
            these.chisq,
            out.data,
            out.dq,
            out.var_poisson,
            out.var_rnoise,
            out.err,
            out.chisq,
        )
    return rate
