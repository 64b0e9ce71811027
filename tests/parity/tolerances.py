"""The one table of tolerances: default, and each wider one with its reason."""

from pathlib import Path

from .case import Case
from .comparison import Tolerance

DEFAULT = Tolerance()

OF_PRODUCTS: dict[str, Tolerance] = {
    "likely_chisq": Tolerance(
        relative=1e-4, absolute=1e-9, reason="chi squared of a ramp of two differences is 0 but for rounding"
    ),
}
"""By suffix of the product."""

OF_CASES: dict[str, Tolerance] = {
    "fft": Tolerance(
        relative=1e-4,
        absolute=1e-3,
        reason="single-precision Fourier transforms differ in summation order; 1e-3 DN, where ramps cross zero, "
        "is less than 0.1 % of the read noise",
    ),
    "likely": Tolerance(relative=1e-4, reason="iterative fit: rounding decides when a jump search stops"),
    "irs2": Tolerance(relative=1e-4, reason="Fourier interpolation of the reference output in single precision"),
    "sirs": Tolerance(relative=1e-4, reason="reference-pixel kernels come from Fourier transforms"),
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
