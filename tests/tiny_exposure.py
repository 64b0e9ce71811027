"""A NIRCam exposure of 24 x 24 pixels and every reference it needs, for tests that run whole pipelines in a second."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stdatamodels.jwst import datamodels

from jwcal.detector1.plans import NEAR_INFRARED
from jwcal.detector1.settings import definitions

SHAPE = (24, 24)
CORNER = 501
"""1-based, away from the reference pixels."""
SLOPE = 20.0
"""DN/s of the sky."""
GROUP_TIME = 10.0
NAME = "jw01234001001_02101_00001_nrca1_uncal.fits"


def write_uncal(
    directory: Path,
    *,
    ngroups: int = 5,
    nints: int = 1,
    counts: NDArray[np.uint16] | None = None,
    header: dict[str, Any] | None = None,
    name: str = NAME,
) -> Path:
    """An exposure whose every pixel rises by SLOPE; `header` replaces metadata (None removes them)."""
    if counts is None:
        rise = 1000 + SLOPE * GROUP_TIME * np.arange(1, ngroups + 1)
        counts = np.broadcast_to(rise[None, :, None, None], (nints, ngroups, *SHAPE)).astype(np.uint16)
    model = datamodels.Level1bModel(data=np.ascontiguousarray(counts))
    for path, value in (_EXPOSURE | {"exposure.ngroups": ngroups, "exposure.nints": nints} | (header or {})).items():
        if value is not None:
            model[f"meta.{path}"] = value
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(str(path))
    model.close()
    return path


def write_references(directory: Path, **replaced: NDArray[Any]) -> dict[str, str]:
    """Paths by type, ready for ``overrides``; `replaced` gives the data of a type."""
    directory.mkdir(parents=True, exist_ok=True)
    linear = np.zeros((2, *SHAPE), np.float32)
    linear[1] = 1
    models: dict[str, Any] = {
        "mask": datamodels.MaskModel(dq=np.zeros(SHAPE, np.uint32)),
        "saturation": datamodels.SaturationModel(
            data=replaced.get("saturation", np.full(SHAPE, 60000, np.float32)), dq=np.zeros(SHAPE, np.uint32)
        ),
        "superbias": datamodels.SuperBiasModel(data=replaced.get("superbias", np.full(SHAPE, 1000, np.float32))),
        "linearity": datamodels.LinearityModel(coeffs=replaced.get("linearity", linear), dq=np.zeros(SHAPE, np.uint32)),
        "dark": datamodels.DarkModel(data=replaced.get("dark", np.zeros((10, *SHAPE), np.float32))),
        "gain": datamodels.GainModel(data=replaced.get("gain", np.full(SHAPE, 2, np.float32))),
        "readnoise": datamodels.ReadnoiseModel(data=replaced.get("readnoise", np.full(SHAPE, 10, np.float32))),
    }
    wanted = {reference.reftype for name in NEAR_INFRARED for reference in definitions()[name].references}
    paths = dict.fromkeys(wanted, "N/A")
    for reftype, model in models.items():
        for path, value in _REFERENCE.items():
            model[f"meta.{path}"] = value
        model.meta.reftype = reftype
        ny, nx = getattr(model, "coeffs" if reftype == "linearity" else "dq" if reftype == "mask" else "data").shape[
            -2:
        ]
        model.meta.subarray.ysize, model.meta.subarray.xsize = ny, nx
        paths[reftype] = str(directory / f"{reftype}.fits")
        model.save(paths[reftype])
        model.close()
    return paths


_PLACE: dict[str, Any] = {
    "telescope": "JWST",
    "instrument.name": "NIRCAM",
    "instrument.detector": "NRCA1",
    "instrument.channel": "SHORT",
    "instrument.module": "A",
    "instrument.filter": "F200W",
    "instrument.pupil": "CLEAR",
    "subarray.name": "SUB160",
    "subarray.xstart": CORNER,
    "subarray.ystart": CORNER,
    "subarray.xsize": SHAPE[1],
    "subarray.ysize": SHAPE[0],
    "subarray.fastaxis": -1,
    "subarray.slowaxis": 2,
}
_EXPOSURE: dict[str, Any] = _PLACE | {
    "exposure.type": "NRC_IMAGE",
    "exposure.readpatt": "RAPID",
    "exposure.nframes": 1,
    "exposure.groupgap": 0,
    "exposure.frame_divisor": 1,
    "exposure.frame_time": GROUP_TIME,
    "exposure.group_time": GROUP_TIME,
    "exposure.drop_frames1": 0,
    "exposure.noutputs": 1,
    "observation.date": "2024-01-01",
    "observation.time": "00:00:00",
}
_REFERENCE: dict[str, Any] = _PLACE | {
    "author": "jwcal tests",
    "description": "a reference for tests",
    "pedigree": "GROUND",
    "useafter": "2020-01-01T00:00:00",
    "exposure.readpatt": "RAPID",
    "exposure.nframes": 1,
    "exposure.groupgap": 0,
}
