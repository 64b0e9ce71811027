"""MIRI's own references: dark, reset anomaly, groups to skip, electromagnetic interference."""

from typing import Any

import numpy as np
from stdatamodels.jwst import datamodels

from jwcal.observatory import mid_infrared
from jwcal.observatory.detector import Pixels
from jwcal.observatory.mode import Mode
from jwcal.observatory.modes import MODES
from jwcal.observatory.references_common import compact, definitions
from jwcal.observatory.references_near_infrared import dark_ramp


def dark(mode: Mode, pixels: Pixels) -> Any:
    """Dark ramps of the first and of later integrations."""
    names = ("DO_NOT_USE", "UNRELIABLE_DARK")
    groups = mode.ngroups
    ramp = dark_ramp(pixels, groups, mode.frame_time, mode.frame_time)
    flags = compact({"UNRELIABLE_DARK": pixels.unreliable_dark}, names)
    model = datamodels.DarkMIRIModel(
        data=np.stack([ramp, ramp * np.float32(1.02)]),
        dq=np.stack([flags[None], flags[None]]),
        dq_def=definitions(names),
    )
    model.average_dark_current = pixels.dark
    exposure = model.meta.exposure
    exposure.nframes, exposure.groupgap, exposure.ngroups = 1, 0, groups
    exposure.readpatt, exposure.type = mode.readpatt, mode.exposure_type
    return model


def reset(mode: Mode, pixels: Pixels) -> Any:
    """The reset anomaly by integration and group, DN."""
    data = np.zeros((mid_infrared.RESET_INTEGRATIONS, mid_infrared.RESET_GROUPS, *mode.shape), np.float32)
    for integration, ramp in enumerate(data):
        for group, plane in enumerate(ramp):
            plane[:] = mid_infrared.reset_anomaly(mode, integration, group)
    model = datamodels.ResetModel(data=data, dq=np.zeros(mode.shape, np.uint32))
    exposure = model.meta.exposure
    exposure.nints, exposure.ngroups = mid_infrared.RESET_INTEGRATIONS, mid_infrared.RESET_GROUPS
    exposure.readpatt = mode.readpatt
    return model


def rscd(mode: Mode, pixels: Pixels) -> Any:
    """Groups that the reset switch leaves unusable."""
    rows = [
        (subarray, pattern, *skipped)
        for subarray, skipped in mid_infrared.SKIPPED_GROUPS.items()
        for pattern in ("FASTR1", "SLOWR1")
    ]
    kind = [("subarray", "S17"), ("readpatt", "S12"), ("group_skip1", "i4"), ("group_skip", "i4")]
    return datamodels.RSCDModel(rscd_group_skip_table=np.array(rows, dtype=kind))


def emicorr(mode: Mode, pixels: Pixels) -> Any:
    """Timing of each subarray and the waves that disturb it."""
    detectors = sorted({other.detector.name for other in MODES.values() if other.instrument == "MIRI"})
    model = datamodels.EmiModel()
    model.frequencies = {
        name: {"frequency": frequency, "phase_amplitudes": [float(v) for v in mid_infrared.wave(name)]}
        for name, frequency in mid_infrared.FREQUENCIES.items()
    }
    model.subarray_cases = {
        name: {
            "rowclocks": clocks.row,
            "frameclocks": clocks.frame,
            "freqs": {
                "FAST": [clocks.frequency],
                "SLOW": {detector: [clocks.frequency] for detector in detectors},
            },
        }
        for name, clocks in mid_infrared.CASES.items()
    }
    return model
