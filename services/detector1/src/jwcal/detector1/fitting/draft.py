"""Rates of a ramp on the way, for steps that need a first picture of the scene."""

from jwcal.core.array_types import Float32
from jwcal.core.data import Ramp
from jwcal.detector1.fitting.least_squares import Fit, fit_least_squares


def draft_rates(ramp: Ramp, gain: Float32, read_noise: Float32) -> Fit:
    """Rates as `ramp_fit` would make them with its default parameters; the ramp stays as it is.

    `gain` in e-/DN, `read_noise` (CDS) in DN, both ``(ny, nx)``.
    """
    return fit_least_squares(ramp, gain, read_noise)
