"""References of the near-infrared detectors: dark, bias, reference-pixel weights, picture frame."""

from typing import Any

import numpy as np
from stdatamodels.jwst import datamodels

from jwcal.core.array_types import Float32
from jwcal.observatory.detector import BUILT, Mask, Pixels
from jwcal.observatory.interleaving import ROW_CLOCKS
from jwcal.observatory.mode import Mode
from jwcal.observatory.modes import MODES
from jwcal.observatory.randomness import smooth_field, stream
from jwcal.observatory.references_common import as_read, compact, definitions
from jwcal.observatory.striping import Striping

_LONGEST_FULL_DARK, _LONGEST_DARK = 10, 40
_RAPID = {"NIRCAM": "RAPID", "NIRISS": "NISRAPID", "NIRSPEC": "NRSRAPID", "MIRI": "FASTR1"}


def dark_ramp(pixels: Pixels, groups: int, group_time: float, first: float) -> Float32:
    """Dark signal in DN ``(groups, ny, nx)``; pixels known to be unreliable are a fifth too bright."""
    rate = pixels.dark / pixels.gain
    rate = np.where(pixels.unreliable_dark, 1.2 * rate, rate).astype(np.float32)
    times = (first + group_time * np.arange(groups)).astype(np.float32)
    return np.asarray(rate[None] * times[:, None, None], np.float32)


def dark(mode: Mode, pixels: Pixels) -> Any:
    """Dark ramp: by single frames for subarrays (pipelines average them), by groups for full frames."""
    names = ("DO_NOT_USE", "UNRELIABLE_DARK")
    pattern, time = mode.pattern, mode.frame_time
    nframes, gap = (pattern.nframes, pattern.groupgap) if mode.is_full else (1, 0)
    groups = min(mode.ngroups, _LONGEST_FULL_DARK) if mode.is_full else min(pattern.frames(mode.ngroups), _LONGEST_DARK)
    if mode.stripes is not None:
        groups, time = groups * Striping.of(mode).product_groups, time / Striping.of(mode).product_groups
    cls = datamodels.DarkNirspecModel if mode.instrument == "NIRSPEC" else datamodels.DarkModel
    model = cls(
        data=dark_ramp(pixels, groups, (nframes + gap) * time, 0.5 * (nframes + 1) * time),
        dq=compact({"UNRELIABLE_DARK": pixels.unreliable_dark}, names),
        dq_def=definitions(names),
    )
    exposure = model.meta.exposure
    exposure.nframes, exposure.groupgap, exposure.ngroups = nframes, gap, groups
    exposure.readpatt = mode.readpatt if mode.is_full else _RAPID[mode.instrument]
    exposure.type = mode.exposure_type
    exposure.average_dark_current = mode.detector.dark
    return model


def superbias(mode: Mode, pixels: Pixels) -> Any:
    """Bias level; a few pixels unknown."""
    names = ("DO_NOT_USE", "UNRELIABLE_BIAS")
    rng = stream(BUILT, mode.site, "superbias")
    unreliable: Mask = rng.random(mode.shape) < 1e-4
    data = pixels.bias.copy()
    data[(rng.random(mode.shape) < 5e-6) & ~pixels.reference] = np.nan
    data = as_read(data, mode, mode.detector.bias)
    model = datamodels.SuperBiasModel(
        data=data,
        dq=as_read(compact({"UNRELIABLE_BIAS": unreliable}, names), mode, 0),
        err=np.full(data.shape, 1.5, np.float32),
        dq_def=definitions(names),
    )
    model.meta.exposure.readpatt = mode.readpatt
    return model


def sirskernel(mode: Mode, pixels: Pixels) -> Any:
    """Fourier weights by which side reference pixels predict each output's 1/f noise, for all detectors.

    SIRS, Brandt 2023; the weights fall with frequency and lean to the nearer side.
    """
    frequencies = np.linspace(0, 1, 257)
    low_pass = 1 / (1 + (frequencies / 0.04) ** 2)
    near = np.array([0.62, 0.54, 0.42, 0.34])
    model = datamodels.SIRSKernelModel()
    for other in MODES.values():
        if other.instrument == mode.instrument:
            model[other.detector.name] = {
                "gamma": (near[:, None] * low_pass).astype(np.complex64),
                "zeta": (near[::-1, None] * low_pass).astype(np.complex64),
            }
    return model


def refpix(mode: Mode, pixels: Pixels) -> Any:
    """IRS2 weights of reference pixels (alpha) and reference output (beta), in readout order, and bad samples."""
    clocks = ROW_CLOCKS * 2048
    frequency = np.minimum(np.arange(clocks), clocks - np.arange(clocks)) / clocks
    low_pass = 1 / (1 + (frequency * 44) ** 2)
    kind = [(f"{name}_{output}", "f4") for name in ("alpha", "beta") for output in range(4)]
    table = np.zeros(2 * clocks, kind)
    for output in range(4):
        table[f"alpha_{output}"][::2] = (0.75 + 0.03 * output) * low_pass
        table[f"beta_{output}"][::2] = (0.22 - 0.02 * output) * low_pass
    bad = np.array(
        [(output, parity, 1 << (5 * output + parity)) for output in (1, 2, 3, 4) for parity in (1, 2)],
        [("OUTPUT", "u2"), ("ODD_EVEN", "u2"), ("MASK", "u4")],
    )
    model = datamodels.IRS2Model(irs2_table=table, dq_table=bad)
    model.meta.exposure.readpatt = mode.readpatt
    return model


def pictureframe(mode: Mode, pixels: Pixels) -> Any:
    """Glow of the frame around the detector, arbitrary scale."""
    ny, nx = mode.shape
    y, x = np.abs(np.linspace(-1, 1, ny))[:, None], np.abs(np.linspace(-1, 1, nx))[None, :]
    glow = 0.02 * np.maximum(y, x) ** 8 + smooth_field(stream(BUILT, mode.site, "frame"), mode.shape, 128, 5e-4)
    return datamodels.PictureFrameModel(data=glow.astype(np.float32))
