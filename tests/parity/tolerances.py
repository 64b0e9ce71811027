"""The one table of tolerances: default, and each wider one with its reason."""

from pathlib import Path

from .case import Case
from .comparison import Tolerance

DEFAULT = Tolerance()


def _fourier(reason: str) -> Tolerance:
    """Of values that went through a transform; 1e-3 DN, where ramps cross zero, is 0.01 % of the read noise."""
    return Tolerance(relative=1e-4, absolute=1e-3, reason=reason)


_CLEANED = Tolerance(
    absolute=1e-4, reason="sums of single-precision differences, where ramps cross zero; 0.001 % of the read noise"
)

OF_PRODUCTS: dict[str, Tolerance] = {
    "picture_frame": _CLEANED,
    "clean_flicker_noise": _CLEANED,
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
    """Tolerance of a product of a case: the widest that applies."""
    found = [DEFAULT]
    found += [tolerance for suffix, tolerance in OF_PRODUCTS.items() if product.stem.endswith(f"_{suffix}")]
    found += [tolerance for word, tolerance in OF_CASES.items() if word in case.name]
    return Tolerance(
        relative=max(tolerance.relative for tolerance in found),
        absolute=max(tolerance.absolute for tolerance in found),
        reason="; ".join(tolerance.reason for tolerance in found if tolerance.reason),
    )
