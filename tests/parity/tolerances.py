"""The one table of tolerances: default, and each wider one with its reason."""

from pathlib import Path

from .case import Case
from .comparison import Tolerance

DEFAULT = Tolerance()


def _fourier(reason: str) -> Tolerance:
    """Of values that went through a transform; 1e-3 DN, where ramps cross zero, is 0.01 % of the read noise."""
    return Tolerance(relative=1e-4, absolute=1e-3, reason=reason)


OF_PRODUCTS: dict[str, Tolerance] = {
    "likely_chisq": Tolerance(
        relative=1e-4, absolute=1e-9, reason="chi squared of a ramp of two differences is 0 but for rounding"
    ),
}
"""By suffix of the product."""

OF_CASES: dict[str, Tolerance] = {
    "fft": _fourier("single-precision Fourier transforms differ in summation order"),
    "likely": Tolerance(relative=1e-4, reason="iterative fit: rounding decides when a jump search stops"),
    "irs2": _fourier("Fourier interpolation of the reference output in single precision"),
    "sirs": _fourier("reference-pixel kernels come from Fourier transforms"),
}
"""By a word in the name of the case."""


def tolerance_of(product: Path, case: Case) -> Tolerance:
    """Tolerance of a product of a case."""
    for suffix, tolerance in OF_PRODUCTS.items():
        if product.stem.endswith(f"_{suffix}"):
            return tolerance
    for word, tolerance in OF_CASES.items():
        if word in case.name:
            return tolerance
    return DEFAULT
