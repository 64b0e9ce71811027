"""Flat field of guide-star images."""

from pathlib import Path

import numpy as np

from jwcal.core import dqflags
from jwcal.core.data import GuiderCube, GuiderRamp
from jwcal.core.references.geometry import Subarray
from jwcal.core.references.load import decode
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import FlatReference
from jwcal.core.step import ReadFile, Skip, StepParameters, step
from jwcal.detector1.flicker.masks import flat_flags


class FlatFieldParameters(StepParameters):
    """Parameters of flat_field."""

    save_interpolated_flat: bool = False
    """Only for NIRSpec spectra; accepted for compatibility."""
    user_supplied_flat: ReadFile | None = None
    """Flat field file to divide by instead of the reference."""
    inverse: bool = False
    """Multiply by the flat instead of dividing."""


@step("flat_field", params=FlatFieldParameters, references=(FlatReference,), official="jwst.flatfield.FlatFieldStep")
def divide_flat(product: GuiderCube | GuiderRamp, params: FlatFieldParameters, refs: ReferenceSet) -> GuiderCube:
    """Divide guide-star images (DN/s) and their errors by the flat field.

    Pixels without a usable flat (NaN, zero or flagged NO_FLAT_FIELD or DO_NOT_USE) are divided by 1 and flagged
    DO_NOT_USE and NO_FLAT_FIELD.
    """
    if not isinstance(product, GuiderCube):
        raise Skip("there are no rates yet: guider_cds was skipped")
    reference = (
        _users_flat(product, params.user_supplied_flat) if params.user_supplied_flat else refs.get(FlatReference)
    )
    if reference is None:
        raise Skip("no flat reference")
    flat, flags = reference.data.copy(), flat_flags(reference)
    flat[(flags & np.uint32(dqflags.DO_NOT_USE)) != 0] = 1.0
    if params.inverse:
        product.data *= flat
    else:
        product.data /= flat
        flat_variance = product.data**2 / (flat * flat) * reference.err**2
        product.err = np.sqrt(product.err**2 + flat_variance)
    product.dq |= flags
    if not params.user_supplied_flat:
        for spectral in ("fflat", "sflat", "dflat"):
            product.metadata.set(f"ref_file.{spectral}.name", "N/A")
    _match_values(product)
    return product


def _users_flat(product: GuiderCube, path: str) -> FlatReference:
    flat = decode(Path(path), FlatReference, Subarray.of_exposure(product.metadata, product.data.shape))
    product.metadata.set("ref_file.flat.name", flat.file)
    return flat


def _match_values(product: GuiderCube) -> None:
    """NaN in rate and error wherever one of them is.  Flags stay, as one plane serves all images."""
    bad = np.isnan(product.data) | np.isnan(product.err)
    product.data[bad] = np.nan
    product.err[bad] = np.nan
