"""Parameter references as operations has them: which steps run, and how, for each exposure type."""

from pathlib import Path
from typing import Any

import asdf

from jwcal.observatory.files import replaced
from jwcal.observatory.modes import MODES

Values = dict[str, Any]

PARAMETER_TYPES = (
    "detector1pipeline",
    "darkpipeline",
    "guiderpipeline",
    "image2pipeline",
    "image3pipeline",
    "spec2pipeline",
    "spec3pipeline",
    "groupscalestep",
    "dqinitstep",
    "emicorrstep",
    "saturationstep",
    "ipcstep",
    "superbiasstep",
    "refpixstep",
    "rscdstep",
    "firstframestep",
    "lastframestep",
    "linearitystep",
    "darkcurrentstep",
    "resetstep",
    "persistencestep",
    "chargemigrationstep",
    "jumpstep",
    "pictureframestep",
    "cleanflickernoisestep",
    "rampfitstep",
    "gainscalestep",
    "guidercdsstep",
    "undersamplecorrectionstep",
    "undersamplingcorrectionstep",
    "backgroundstep",
    "assignwcsstep",
    "flatfieldstep",
    "photomstep",
    "resamplestep",
    "assignmtwcsstep",
    "tweakregstep",
    "skymatchstep",
    "outlierdetectionstep",
    "sourcecatalogstep",
    "nscleanstep",
)
"""Every parameter reference that a pipeline may ask for."""

CLASSES = {
    "detector1pipeline": "jwst.pipeline.calwebb_detector1.Detector1Pipeline",
    "jumpstep": "jwst.jump.jump_step.JumpStep",
    "ipcstep": "jwst.ipc.ipc_step.IPCStep",
    "emicorrstep": "jwst.emicorr.emicorr_step.EmiCorrStep",
    "chargemigrationstep": "jwst.charge_migration.charge_migration_step.ChargeMigrationStep",
    "cleanflickernoisestep": "jwst.clean_flicker_noise.clean_flicker_noise_step.CleanFlickerNoiseStep",
    "pictureframestep": "jwst.picture_frame.picture_frame_step.PictureFrameStep",
    "persistencestep": "jwst.persistence.persistence_step.PersistenceStep",
    "rampfitstep": "jwst.ramp_fitting.ramp_fit_step.RampFitStep",
    "refpixstep": "jwst.refpix.refpix_step.RefPixStep",
}

_SNOWBALLS: Values = {
    "expand_large_events": True,
    "min_jump_to_flag_neighbors": 15.0,
    "after_jump_flag_dn1": 10.0,
    "after_jump_flag_time1": 20.0,
    "expand_factor": 2.0,
}
_NO_IPC: Values = {"skip": True}

_BY_TYPE: dict[str, dict[str, Values]] = {
    "NRC_IMAGE": {
        "detector1pipeline": {"save_calibrated_ramp": False},
        "ipcstep": _NO_IPC,
        "jumpstep": _SNOWBALLS,
        "rampfitstep": {"suppress_one_group": False},
    },
    "NRC_TSIMAGE": {"ipcstep": _NO_IPC, "jumpstep": {"rejection_threshold": 6.0}},
    "NRC_TSGRISM": {"ipcstep": _NO_IPC, "jumpstep": {"rejection_threshold": 6.0}},
    "NIS_SOSS": {"ipcstep": _NO_IPC, "jumpstep": {"rejection_threshold": 5.0, "flag_4_neighbors": False}},
    "NIS_IMAGE": {
        "ipcstep": _NO_IPC,
        "jumpstep": _SNOWBALLS,
        "chargemigrationstep": {"skip": False, "signal_threshold": 16000.0},
        "cleanflickernoisestep": {"skip": False, "autoparam": True},
        "rampfitstep": {"suppress_one_group": False},
    },
    "NRS_IFU": {
        "ipcstep": _NO_IPC,
        "jumpstep": _SNOWBALLS,
        "pictureframestep": {"skip": False, "mask_science_regions": False},
        "cleanflickernoisestep": {"skip": False, "fit_method": "median"},
    },
    "NRS_FIXEDSLIT": {"ipcstep": _NO_IPC, "jumpstep": _SNOWBALLS},
    "MIR_IMAGE": {
        "ipcstep": _NO_IPC,
        "emicorrstep": {"skip": False},
        "jumpstep": {"rejection_threshold": 5.0, "find_showers": True},
        "persistencestep": {"skip": False, "persistence_time": 60},
    },
    "MIR_MRS": {
        "ipcstep": _NO_IPC,
        "emicorrstep": {"skip": False, "algorithm": "joint"},
        "jumpstep": {"rejection_threshold": 4.5, "find_showers": True, "time_masked_after_shower": 30.0},
    },
}


def _table() -> dict[tuple[str, str], dict[str, Values | None]]:
    """Values by instrument and parameter type, then by exposure type; None where an exposure type has none."""
    table: dict[tuple[str, str], dict[str, Values | None]] = {}
    types = {mode.exposure_type: mode.instrument for mode in MODES.values()}
    for exposure_type, kinds in _BY_TYPE.items():
        for kind in kinds:
            table.setdefault((types[exposure_type], kind), {})
    for (instrument, kind), rules in table.items():
        for exposure_type, owner in types.items():
            if owner == instrument:
                rules[exposure_type] = _BY_TYPE.get(exposure_type, {}).get(kind)
    return table


OPERATIONS = _table()


def parameter_file(instrument: str, kind: str, exposure_type: str) -> str:
    """Name of a parameter reference."""
    serial = list(OPERATIONS[instrument, kind]).index(exposure_type) + 1
    return f"jwst_{instrument.lower()}_pars-{kind}_{serial:04d}.asdf"


def write_parameters(folder: Path, exposure_type: str, instrument: str) -> None:
    """Write an exposure type's parameter references, as ``strun --save-parameters`` writes them."""
    for kind, values in _BY_TYPE.get(exposure_type, {}).items():
        path = folder / parameter_file(instrument, kind, exposure_type)
        if path.exists():
            continue
        tree: dict[str, Any] = {
            "class": CLASSES[kind],
            "name": CLASSES[kind].rsplit(".", 1)[1],
            "parameters": dict(values),
            "meta": {
                "author": "jwcal synthetic observatory",
                "date": "2024-01-01T00:00:00",
                "description": f"Parameters of {kind} for {exposure_type}",
                "exposure": {"type": exposure_type},
                "instrument": {"name": instrument},
                "origin": "jwcal synthetic observatory",
                "pedigree": "DUMMY",
                "reftype": f"pars-{kind}",
                "telescope": "JWST",
                "useafter": "2022-01-01T00:00:00",
            },
        }
        if kind == "detector1pipeline":
            tree["steps"] = []
        with replaced(path) as temporary:
            asdf.AsdfFile(tree).write_to(str(temporary))
