"""The one table of tolerances: default, and each wider one with its reason."""

from pathlib import Path

from .cases import Case
from .oracle import Tolerance

DEFAULT = Tolerance()

WIDER: dict[str, Tolerance] = {
    "fft": Tolerance(relative=1e-4, reason="single-precision Fourier transforms differ in summation order"),
    "likely": Tolerance(relative=1e-4, reason="iterative fit: rounding decides when a jump search stops"),
    "irs2": Tolerance(relative=1e-4, reason="Fourier interpolation of the reference output in single precision"),
    "sirs": Tolerance(relative=1e-4, reason="reference-pixel kernels come from Fourier transforms"),
}


def tolerance_of(product: Path, case: Case) -> Tolerance:
    """Tolerance of a product of a case."""
    del product
    for word, tolerance in WIDER.items():
        if word in case.name:
            return tolerance
    return DEFAULT
