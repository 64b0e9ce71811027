"""MIRI reset anomaly."""

from jwcal.core.data import Ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import ResetReference
from jwcal.core.step import Skip, StepParameters, step
from jwcal.detector1.kernels.subtract import subtract_ramp


class ResetParameters(StepParameters):
    """reset has no parameters of its own."""


@step("reset", params=ResetParameters, references=(ResetReference,), official="jwst.reset.ResetStep")
def subtract_reset_anomaly(ramp: Ramp, params: ResetParameters, refs: ReferenceSet) -> Ramp:
    """Subtract MIRI's reset anomaly: the decay (DN) seen in the first groups after a reset.

    The reference holds one short ramp per integration; integrations beyond its last one use the last.  Segments count
    their integrations from INTSTART.  Source: JWST User Documentation, "MIRI Reset Anomaly".
    """
    del params
    if not ramp.metadata.detector.startswith("MIR"):
        raise Skip("only for MIRI")
    reference = refs.get(ResetReference)
    if reference is None:
        raise Skip("no reset reference")
    first = int(ramp.metadata.get("exposure.integration_start", 1)) - 1
    groups = min(ramp.ngroups, reference.data.shape[1])
    for index, integration in enumerate(ramp.data):
        anomaly = reference.data[min(first + index, len(reference.data) - 1)]
        subtract_ramp(integration, anomaly, groups)
    ramp.pixeldq |= reference.dq
    return ramp
