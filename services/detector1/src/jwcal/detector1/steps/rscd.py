"""MIRI reset switch charge decay: the groups it spoils."""

import numpy as np

from jwcal.core import dqflags
from jwcal.core.blocks import integration_blocks
from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import RscdReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.kernels.flags import skip_first_groups


class RscdParameters(StepParameters):
    """rscd has no parameters of its own."""


@step("rscd", params=RscdParameters, references=(RscdReference,), official="jwst.rscd.RscdStep")
def flag_first_groups(ramp: Ramp, params: RscdParameters, refs: ReferenceSet) -> Ramp:
    """Flag the first groups of each integration, which the charge decay after a reset makes non-linear.

    How many, the reference tells by subarray and readout pattern, for the first integration and for later ones; short
    ramps keep at least three groups.  Pixels that saturate soon keep more of their first groups and are marked
    FLUX_ESTIMATED.  Source: Morrison et al. 2023, PASP 135, 075004.
    """
    del params
    if not ramp.metadata.detector.startswith("MIR"):
        raise Skip("only for MIRI")
    reference = refs.get(RscdReference)
    if reference is None:
        raise Skip("no rscd reference")
    skips = _skips(ramp, reference)
    if skips is None:
        raise Skip("the rscd reference has no row for this READPATT and SUBARRAY")
    first, later = skips
    ngroups = int(ramp.metadata.get("exposure.ngroups", ramp.ngroups))
    nints = int(ramp.metadata.get("exposure.nints", ramp.nints))
    if ngroups < 3:
        raise Skip("fewer than 3 groups")
    if ngroups <= 5:
        first = later = 1
    first = first if ngroups >= first + 3 else max(0, ngroups - 3)
    if nints > 1 and ngroups < later + 3:
        later = max(0, ngroups - 3)
    start = int(ramp.metadata.get("exposure.integration_start", 1))
    if start == 1:
        _flag(ramp, slice(0, 1), first, "int1")
    if nints > 1:
        _flag(ramp, slice(1 if start == 1 else 0, ramp.nints), later, "int2p")
    return ramp


def _skips(ramp: Ramp, reference: RscdReference) -> tuple[int, int] | None:
    """Groups to skip in the first and in later integrations."""
    subarray = str(ramp.metadata.require("subarray.name"))
    if subarray.upper() == "SUBPRISM":
        subarray = "SLITLESSPRISM"
    readpatt = ramp.metadata.require("exposure.readpatt")
    for name, pattern, first, later in reference.rows:
        if (name, pattern) == (subarray, readpatt):
            return (1 if first < 0 else first), later
    return None


def _flag(ramp: Ramp, integrations: slice, skip: int, label: str) -> None:
    lowered = np.zeros(ramp.data.shape[-2:], bool)
    none_left = np.zeros(ramp.data.shape[-2:], bool)
    saturates = False
    for part in integration_blocks(ramp):
        chosen = slice(max(part.start, integrations.start), min(part.stop, integrations.stop))
        first, after = (ramp.groupdq[chosen, group] & np.uint8(dqflags.SATURATED) != 0 for group in (0, skip + 1))
        saturates |= bool((after & ~first).any())
        skip_first_groups(ramp.groupdq[chosen], skip, lowered, none_left)
    ramp.pixeldq[lowered] |= np.uint32(dqflags.FLUX_ESTIMATED)
    # where no group is skipped anyway, the official step counts every pixel once any saturates in the second group
    ramp.metadata.set(f"rscd.keep_bright_firstgroup_{label}", int(none_left.sum()) if saturates else 0)
    ramp.metadata.set(f"rscd.keep_groups_saturation_{label}", int(lowered.sum()))
    ramp.metadata.set(f"rscd.ngroups_skip_{label}", skip)
