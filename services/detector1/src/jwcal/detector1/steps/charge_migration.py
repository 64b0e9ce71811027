"""Charge migration from bright pixels (the brighter-fatter effect)."""

import numpy as np

from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.kernels.flags import CHARGELOSS, DO_NOT_USE, first_above, flag_from_first


class ChargeMigrationParameters(StepParameters):
    """Parameters of charge_migration."""

    signal_threshold: float = 25000.0
    """Signal in DN above which charge is taken to migrate."""
    skip: bool = True
    """Leave this step out."""


@step("charge_migration", params=ChargeMigrationParameters, official="jwst.charge_migration.ChargeMigrationStep")
def flag_charge_migration(ramp: Ramp, params: ChargeMigrationParameters, refs: ReferenceSet) -> Ramp:
    """Drop the groups of a pixel and its edge neighbours once the signal passes a threshold.

    From the first group above `signal_threshold` to the end of the integration CHARGELOSS and DO_NOT_USE are set.
    Groups whose flags are exactly DO_NOT_USE do not count; groups with other flags do, as in the official step.  The
    ramp fit later takes the read-noise variance as if these groups had been used.  Source: Goudfrooij et al. 2024,
    PASP 136, 014503.
    """
    del refs
    if ramp.ngroups < 3:
        raise Skip("fewer than 3 groups")
    first = np.empty(ramp.data.shape[-2:], np.int64)
    for data, groupdq in zip(ramp.data, ramp.groupdq, strict=True):
        first_above(data, groupdq, np.float32(params.signal_threshold), first)
        if first.min() < ramp.ngroups:
            flag_from_first(groupdq, first, np.uint8(CHARGELOSS | DO_NOT_USE))
    return ramp
