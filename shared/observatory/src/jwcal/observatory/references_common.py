"""References of all instruments: mask, saturation, linearity, gain, read noise, flat, interpixel capacitance.

Flags are numbered compactly in the files, as CRDS has them: a reader must go through DQ_DEF by name.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stdatamodels.jwst import datamodels

from jwcal.core.array_types import UInt32
from jwcal.core.dqflags import PIXEL_FLAGS
from jwcal.observatory.detector import COUPLING, Mask, Pixels
from jwcal.observatory.interleaving import interleave
from jwcal.observatory.mode import Mode

MASK_FLAGS = (
    "DO_NOT_USE",
    "DEAD",
    "HOT",
    "LOW_QE",
    "RC",
    "TELEGRAPH",
    "OPEN",
    "ADJ_OPEN",
    "BAD_REF_PIXEL",
    "REFERENCE_PIXEL",
)


def definitions(names: tuple[str, ...]) -> NDArray[np.void]:
    """A DQ_DEF table that numbers `names` from bit 0."""
    kind = [("BIT", "i4"), ("VALUE", "u4"), ("NAME", "S40"), ("DESCRIPTION", "S80")]
    rows = [(bit, 1 << bit, name.encode(), name.lower().replace("_", " ").encode()) for bit, name in enumerate(names)]
    return np.array(rows, dtype=kind)


def compact(flags: dict[str, Mask], names: tuple[str, ...]) -> UInt32:
    """A plane in the numbering of `definitions`."""
    shape = next(iter(flags.values())).shape
    plane = np.zeros(shape, np.uint32)
    for bit, name in enumerate(names):
        if name in flags:
            plane[flags[name]] |= np.uint32(1 << bit)
    return plane


def as_read(plane: NDArray[Any], mode: Mode, fill: float) -> NDArray[Any]:
    """The plane in the shape of raw frames: with gaps for IRS2's reference pixels."""
    return interleave(plane, fill, mode.detector.name) if mode.is_irs2 else plane


def mask(mode: Mode, pixels: Pixels) -> Any:
    """Bad pixels."""
    standard = pixels.flags()
    flags = {name: (standard & np.uint32(PIXEL_FLAGS[name])) != 0 for name in MASK_FLAGS}
    dq = as_read(compact(flags, MASK_FLAGS), mode, 0)
    return datamodels.MaskModel(dq=dq, dq_def=definitions(MASK_FLAGS))


def saturation(mode: Mode, pixels: Pixels) -> Any:
    """Where each pixel saturates, DN."""
    names = ("DO_NOT_USE", "NO_SAT_CHECK")
    threshold = np.minimum(pixels.bias + pixels.well, 64000).astype(np.float32)
    threshold[pixels.unknown_saturation] = np.nan
    unchecked = pixels.unknown_saturation | pixels.reference
    return datamodels.SaturationModel(
        data=threshold,
        dq=compact({"NO_SAT_CHECK": unchecked}, names),
        dq_def=definitions(names),
    )


def linearity(mode: Mode, pixels: Pixels) -> Any:
    """Polynomial that makes the signal linear, and in the near infrared its inverse."""
    names = ("DO_NOT_USE", "NO_LIN_CORR")
    coefficients = np.zeros((4, *mode.shape), np.float32)
    coefficients[1], coefficients[2], coefficients[3] = 1, pixels.quadratic, pixels.cubic
    coefficients[1:, pixels.unknown_linearity] = np.nan
    model = datamodels.LinearityModel(
        coeffs=coefficients,
        dq=compact({"NO_LIN_CORR": pixels.unknown_linearity}, names),
        dq_def=definitions(names),
    )
    if mode.pattern.nframes > 1:
        inverse = np.zeros((5, *mode.shape), np.float32)
        inverse[1], inverse[2] = 1, -pixels.quadratic
        inverse[3] = 2 * pixels.quadratic**2 - pixels.cubic
        inverse[4] = 5 * pixels.quadratic * (pixels.cubic - pixels.quadratic**2)
        model.inv_coeffs = inverse
    return model


def gain(mode: Mode, pixels: Pixels) -> Any:
    """e-/DN."""
    data = pixels.gain.copy()
    data[pixels.unknown_gain] = np.nan
    return datamodels.GainModel(data=data)


def readnoise(mode: Mode, pixels: Pixels) -> Any:
    """Noise of the difference of two frames, DN."""
    return datamodels.ReadnoiseModel(data=pixels.cds_noise)


def flat(mode: Mode, pixels: Pixels) -> Any:
    """Pixel response; reference pixels have none."""
    names = ("DO_NOT_USE", "NO_FLAT_FIELD", "UNRELIABLE_FLAT", "NON_SCIENCE", "LOW_QE")
    data = pixels.flat.copy()
    unusable = pixels.unknown_flat | pixels.reference
    data[pixels.unknown_flat] = np.nan
    data[pixels.reference] = 1
    dq = compact(
        {
            "DO_NOT_USE": unusable,
            "NO_FLAT_FIELD": unusable,
            "UNRELIABLE_FLAT": pixels.low_efficiency,
            "LOW_QE": pixels.low_efficiency,
        },
        names,
    )
    model = datamodels.FlatModel(
        data=data, dq=dq, err=np.full(mode.shape, 0.002, np.float32), dq_def=definitions(names)
    )
    for name in ("filter", "pupil"):
        if getattr(mode, name) is not None:
            setattr(model.meta.instrument, name, getattr(mode, name))
    return model


def ipc(mode: Mode, pixels: Pixels) -> Any:
    """Kernel that undoes the coupling, to first order."""
    identity = np.zeros((3, 3))
    identity[1, 1] = 1
    return datamodels.IPCModel(data=(2 * identity - COUPLING).astype(np.float32))
