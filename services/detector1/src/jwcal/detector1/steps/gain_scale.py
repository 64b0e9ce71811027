"""Rates of exposures read at another gain."""

from jwcal.core.data import RateCube, RateImage, Rates
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import GainReference
from jwcal.core.step import Skip, StepParameters, step


class GainScaleParameters(StepParameters):
    """gain_scale has no parameters of its own."""


@step("gain_scale", params=GainScaleParameters, references=(GainReference,), official="jwst.gain_scale.GainScaleStep")
def scale_rates(rates: Rates, params: GainScaleParameters, refs: ReferenceSet) -> Rates:
    """Bring rates of subarrays read at a non-standard gain to the standard gain.

    The factor GAINFACT comes from the product or from the gain reference: data and errors are multiplied by it,
    variances by its square.
    """
    del params
    factor = rates.metadata.get("exposure.gain_factor")
    if factor is None:
        gain = refs.get(GainReference)
        factor = None if gain is None else gain.gain_factor
    if factor is None:
        raise Skip("GAINFACT is neither in the product nor in the gain reference")
    for part in (rates.rate, rates.rateints):
        if part is not None:
            _scale(part, float(factor))
    return rates


def _scale(part: RateImage | RateCube, factor: float) -> None:
    part.data *= factor
    part.err *= factor
    part.var_poisson *= factor**2
    part.var_rnoise *= factor**2
    part.metadata.set("exposure.gain_factor", factor)
