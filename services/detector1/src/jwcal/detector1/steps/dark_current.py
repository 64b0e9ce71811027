"""Dark current."""

from math import ceil
from pathlib import Path

import numpy as np

from jwcal.core.array_types import Float32
from jwcal.core.blocks import integration_blocks
from jwcal.core.data import Ramp, SideProduct
from jwcal.core.errors import InvalidReference
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import DarkReference
from jwcal.core.step import Skip, StepParameters, WrittenFile, step
from jwcal.detector1.kernels import subtract as kernels
from jwcal.detector1.superstripes import check_collated


class DarkCurrentParameters(StepParameters):
    """Parameters of dark_current."""

    dark_output: WrittenFile | None = None
    """Name of a file for the dark as it was subtracted."""
    average_dark_current: float | None = None
    """Dark current (e-/s) for the Poisson noise; None takes the reference's."""


@step(
    "dark_current",
    params=DarkCurrentParameters,
    references=(DarkReference,),
    status="dark_sub",
    official="jwst.dark_current.DarkCurrentStep",
)
def subtract_dark(ramp: Ramp, params: DarkCurrentParameters, refs: ReferenceSet) -> Ramp:
    """Subtract a dark ramp (DN) that is matched to the exposure's readout pattern.

    Where dark and exposure have the same NFRAMES and GROUPGAP, group is subtracted from group.  Otherwise NFRAMES dark
    groups are averaged for each group of the exposure and GROUPGAP are passed over.  A dark that is too short is
    continued along the line through its last two groups.  MIRI darks hold a ramp for each integration; integrations
    beyond the last, and all but those of the first segment, use the last.  NaN counts as zero.

    The average dark current (parameter, else plane, else scalar of the reference) goes on to the ramp fit; a plane is
    never used, as in the official step, whose shape test it cannot pass.
    """
    check_collated(ramp)
    dark = refs.get(DarkReference)
    if dark is None:
        raise Skip("no dark reference")
    nframes = int(ramp.metadata.require("exposure.nframes"))
    groupgap = int(ramp.metadata.get("exposure.groupgap", 0))
    _set_average(ramp, params, dark)
    if dark.nframes > nframes or dark.groupgap > groupgap:
        raise Skip("the dark has a larger NFRAMES or GROUPGAP than the exposure")
    if dark.data.shape[-2:] != ramp.data.shape[-2:]:
        raise InvalidReference(
            f"frames have shape {dark.data.shape[-2:]}, the exposure's {ramp.data.shape[-2:]}",
            file=dark.file,
            remedy="darks are not cut: override it with one of this subarray",
        )
    ramps = dark.data if dark.data.ndim == 4 else dark.data[None]
    by_integration = dark.data.ndim == 4
    averaged = (dark.nframes, dark.groupgap) != (nframes, groupgap)
    if averaged:
        used = min(len(ramps), ramp.nints) if by_integration else 1
        ramps = _averaged(ramps, used, ramp.ngroups, nframes, groupgap)
    start = int(ramp.metadata.get("exposure.integration_start", 1))
    alone = min(len(ramps) - 1, ramp.nints) if by_integration and start == 1 else 0
    for part in integration_blocks(ramp):
        for index in range(part.start, min(part.stop, alone)):
            _subtract(ramp.data[index : index + 1], ramps[index])
        rest = slice(max(part.start, alone), part.stop)
        _subtract(ramp.data[rest], ramps[-1] if by_integration else ramps[0])
    flags = dark.dq.reshape(-1, *dark.dq.shape[-2:])
    ramp.pixeldq |= np.bitwise_or.reduce(flags, axis=0)
    if params.dark_output is not None:
        side = _side_product(ramp, dark, _whole(ramps, ramp.ngroups), nframes, groupgap)
        side.file = Path(params.dark_output).with_suffix(".fits").name
        ramp.side_products["dark_output"] = side
    return ramp


def _subtract(integrations: Float32, dark: Float32) -> None:
    """Subtract one dark ramp from each of ``(nints, ngroups, ny, nx)``."""
    nints, ngroups, ny, nx = integrations.shape
    if len(dark) >= ngroups:  # a ramp is subtracted as one tall plane
        kernels.subtract_plane(integrations.reshape(nints, ngroups * ny, nx), dark[:ngroups].reshape(ngroups * ny, nx))
    else:
        for integration in integrations:
            kernels.subtract_extrapolated_ramp(integration, dark)


def _set_average(ramp: Ramp, params: DarkCurrentParameters, dark: DarkReference) -> None:
    value = params.average_dark_current
    if value is None and (dark.average_dark_current is None or np.ndim(dark.average_dark_current) == 0):
        value = float(dark.average_dark_current or 0.0)
    if value is not None:
        ramp.average_dark_current = np.full(ramp.data.shape[-2:], value, np.float32)


def _averaged(ramps: Float32, used: int, ngroups: int, nframes: int, groupgap: int) -> Float32:
    """Darks ``(nints, ngroups, ny, nx)`` averaged to the exposure's groups; those not `used` are zero."""
    _, known, ny, nx = ramps.shape
    needed = ngroups * nframes + (ngroups - 1) * groupgap
    out = np.zeros((len(ramps), ngroups, ny, nx), np.float32)
    last = max(known, ceil(needed))
    for integration in range(used):
        for group in range(ngroups):
            start = group * (nframes + groupgap)
            stop = min(start + nframes, last)
            kernels.average_frames(ramps[integration], start, stop, out[integration, group])
    return out


def _whole(ramps: Float32, ngroups: int) -> Float32:
    """Darks ``(nints, ngroups, ny, nx)`` as they are subtracted: continued where too short, zero where NaN."""
    if ramps.shape[1] >= ngroups:
        return np.where(np.isnan(ramps), np.float32(0), ramps)
    subtracted = np.zeros((len(ramps), ngroups, *ramps.shape[-2:]), np.float32)
    for out, dark in zip(subtracted, ramps, strict=True):
        kernels.subtract_extrapolated_ramp(out, dark)
    return -subtracted


def _side_product(ramp: Ramp, dark: DarkReference, ramps: Float32, nframes: int, groupgap: int) -> SideProduct:
    metadata = dark.metadata.copy()
    metadata.set("exposure.nframes", nframes)
    metadata.set("exposure.groupgap", groupgap)
    metadata.set("exposure.ngroups", int(ramps.shape[1]))
    miri = ramp.metadata.instrument == "MIRI"
    return SideProduct(
        model="DarkMIRIModel" if miri else "DarkModel",
        arrays={"data": ramps if miri else ramps[0], "dq": dark.dq},
        metadata=metadata,
    )
