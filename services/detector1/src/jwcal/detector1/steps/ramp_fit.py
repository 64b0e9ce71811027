"""Slopes of ramps."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from jwcal.core import dqflags
from jwcal.core.array_types import Float32
from jwcal.core.data import Ramp, RateCube, RateImage, Rates, SideProduct
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import GainReference, ReadnoiseReference
from jwcal.core.step import StepParameters, step
from jwcal.detector1.fitting.least_squares import Fit, fit_least_squares
from jwcal.detector1.fitting.likelihood import MIN_GROUPS, FittedRates, fit_likelihood
from jwcal.detector1.naming import root_name
from jwcal.detector1.superstripes import check_collated


class RampFitParameters(StepParameters):
    """Parameters of ramp_fit."""

    algorithm: Literal["OLS_C", "LIKELY"] = "OLS_C"
    """Weighted least squares on segments, or the likelihood fit with its own jump search."""
    int_name: str = ""
    """Accepted for compatibility: the rates of the integrations are always the rateints product."""
    save_opt: bool = False
    """Make the optional products: fitopt, or likely_chisq for LIKELY."""
    opt_name: str = ""
    """File name of the optional product; empty takes the exposure's own."""
    suppress_one_group: bool = True
    """Do not fit ramps with a single good group."""
    firstgroup: int | None = None
    """Ignore groups before this one (from 0)."""
    lastgroup: int | None = None
    """Ignore groups after this one (from 0)."""
    maximum_cores: str = "1"
    """Accepted for compatibility: threads are set for the whole run."""


@step(
    "ramp_fit",
    params=RampFitParameters,
    references=(ReadnoiseReference, GainReference),
    official="jwst.ramp_fitting.RampFitStep",
)
def fit_ramps(ramp: Ramp, params: RampFitParameters, refs: ReferenceSet) -> Rates:
    """Fit a count rate (DN/s) to every ramp, for each integration and for the whole exposure.

    OLS_C: a ramp falls into segments at flagged groups.  Each segment is fitted with weights
    ``|(i - m) / m|^p / R^2`` about its middle ``m``; ``p`` grows with the segment's signal-to-noise ratio from 0 to 10
    (Fixsen et al. 2000, PASP 112, 1350).  The variances of a segment's slope over n groups of time t are

    ``var_poisson = (median rate + dark) / (t gain (n - 1))``, ``var_rnoise = 12 (R / t)^2 / ((n^3 - n) gain^2)``

    with R the noise of one group in electrons (Robberto 2008, JWST-STScI-0001490).  Slopes are averaged with the
    weights 1 / var_rnoise.  The error is the square root of the sum of both variances.

    LIKELY: the likelihood fit of Brandt 2024 (PASP 136, 045004 and 045005), for four groups or more; always taken
    where the exposure has read times of its own.

    Reproduced behaviour of the official step: variances of 1e6 and more are stored as 0; group times are rounded to
    single precision; the read-noise variance of ramps cut by charge migration is that of the uncut ramp.
    """
    check_collated(ramp)
    read_noise = refs.require(ReadnoiseReference).data
    gain = refs.require(GainReference)
    if gain.gain_factor is not None:
        ramp.metadata.set("exposure.gain_factor", gain.gain_factor)
    if params.firstgroup is not None or params.lastgroup is not None:
        _ignore_outside(ramp, params.firstgroup, params.lastgroup)
    if (params.algorithm == "LIKELY" or ramp.read_times is not None) and ramp.ngroups >= MIN_GROUPS:
        fit = _likelihood(ramp, gain.data, read_noise, chi_squared=params.save_opt)
    else:
        fit = fit_least_squares(
            ramp,
            gain.data,
            read_noise,
            suppress_one_group=params.suppress_one_group,
            optional_results=params.save_opt,
        )
    for suffix, side in fit.side_products.items():
        side.metadata = ramp.metadata.copy()
        if params.opt_name:
            side.file = f"{root_name(Path(params.opt_name))}_{suffix}.fits"
    for part in (fit.rate, fit.rateints):
        if part is not None:
            part.metadata.set("bunit_data", "DN/s")
            part.metadata.set("bunit_err", "DN/s")
    if fit.rateints is not None:
        fit.rateints.tables.update(ramp.tables)
    return Rates(
        rate=fit.rate,
        rateints=fit.rateints,
        metadata=ramp.metadata,
        tables=ramp.tables,
        extra=ramp.extra,
        side_products=ramp.side_products | fit.side_products,
    )


def _likelihood(ramp: Ramp, gain: Float32, read_noise: Float32, *, chi_squared: bool) -> Fit:
    found = fit_likelihood(ramp, gain, read_noise)
    side = {}
    if chi_squared:
        side["likely_chisq"] = SideProduct(model="ImageModel", arrays={"data": found.rate.chisq})
    return Fit(
        rate=RateImage(**_planes(found.rate), metadata=ramp.metadata),
        rateints=RateCube(**_planes(found.rateints), metadata=ramp.metadata.copy()),
        side_products=side,
    )


def _planes(rates: FittedRates) -> dict[str, Any]:
    return {name: getattr(rates, name) for name in ("data", "err", "dq", "var_poisson", "var_rnoise")}


def _ignore_outside(ramp: Ramp, first: int | None, last: int | None) -> None:
    """Flag the groups before `first` and after `last`; a range without two groups is ignored."""
    end = ramp.ngroups - 1
    first = max(first or 0, 0)
    last = end if last is None else last
    if first >= last:
        return
    ramp.groupdq[:, :first] |= np.uint8(dqflags.DO_NOT_USE)
    ramp.groupdq[:, max(last + 1, 0) :] |= np.uint8(dqflags.DO_NOT_USE)
