"""Write raw exposures as the archive has them."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from stdatamodels.jwst import datamodels

from jwcal.observatory.guiding import guider_tables
from jwcal.observatory.keywords import Clock, group_times, integration_times, keywords, root_name
from jwcal.observatory.mode import Mode
from jwcal.observatory.ramps import RawExposure


def write_exposure(
    raw: RawExposure, mode: Mode, clock: Clock, out: Path, *, segments: int, seed: int
) -> tuple[Path, ...]:
    """Write ``_uncal.fits``, one file a segment; their paths."""
    paths = []
    at_once = max(1, mode.stripes.superstripes) if mode.stripes is not None else 1
    for segment, part in enumerate(np.array_split(np.arange(clock.nints // at_once), segments)):
        integrations = range(int(part[0]) * at_once, (int(part[-1]) + 1) * at_once)
        path = out / f"{root_name(mode, segment, segments, clock.dither.number)}_uncal.fits"
        values = keywords(mode, clock, integrations, segment, segments) | {"filename": path.name, "filetype": "raw"}
        chosen = slice(integrations.start, integrations.stop)
        model: Any
        if mode.is_guider:
            model = datamodels.GuiderRawModel(data=raw.data[chosen].astype(np.float32))
            for name, rows in guider_tables(mode, clock, seed).items():
                setattr(model, name, np.array(rows, dtype=model.get_dtype(name)))
        else:
            model = datamodels.Level1bModel(data=raw.data[chosen])
            if raw.zeroframe is not None:
                model.zeroframe = raw.zeroframe[chosen]
            if raw.refout is not None:
                model.refout = raw.refout[chosen]
            model.int_times = np.array(integration_times(clock, integrations), dtype=model.get_dtype("int_times"))
            model.group = np.array(group_times(clock, integrations), dtype=model.get_dtype("group"))
        for name, value in values.items():
            model[f"meta.{name}"] = value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(str(path))
        model.close()
        if mode.is_guider:
            _as_integers(path, raw.data[chosen])
        paths.append(path)
    return tuple(paths)


def _as_integers(path: Path, data: np.ndarray[Any, np.dtype[np.uint16]]) -> None:
    """Raw guider files hold unsigned integers; the model's schema would make them floats."""
    with fits.open(path, mode="update") as hdus:
        hdus["SCI"].data = data
