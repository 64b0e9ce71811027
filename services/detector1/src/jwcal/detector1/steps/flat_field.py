"""Flat field of guide-star images."""

import numpy as np

from jwcal.core import dqflags
from jwcal.core.data import GuiderCube, GuiderRamp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import FlatReference
from jwcal.core.step import Skip, StepParameters, step


class FlatFieldParameters(StepParameters):
    """Parameters of flat_field."""

    save_interpolated_flat: bool = False
    """Only for NIRSpec spectra; accepted for compatibility."""
    user_supplied_flat: str | None = None
    """FITS image to divide by instead of the reference."""
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
    reference = refs.get(FlatReference)
    if reference is None:
        raise Skip("no flat reference")
    flat, flags = reference.data.copy(), reference.dq.copy()
    no_flat = np.uint32(dqflags.NO_FLAT_FIELD | dqflags.DO_NOT_USE)
    invalid = ~np.isfinite(flat) | (flat == 0)
    flags[invalid] |= no_flat
    unusable = (flags & no_flat) != 0
    flat[unusable] = 1.0
    scale = flat if params.inverse else 1.0 / flat
    product.data *= scale
    product.err *= scale
    product.dq |= flags
    return product
