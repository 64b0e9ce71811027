"""More input files of cases: user masks, persistence windows, references of unusual kinds."""

import warnings
from pathlib import Path
from typing import Any

import asdf
import numpy as np
from astropy.io import fits
from stdatamodels.jwst import datamodels

from jwcal.core import dqflags
from jwcal.observatory.modes import MODES
from jwcal.observatory.reference_catalogue import entries_of

from .case import Place

_UNIX_EPOCH_MJD = 40587.0


def reference(place: Place, reftype: str, mode: str | None = None) -> Path:
    """The file that the cache holds for the mode."""
    chosen = MODES[mode or place.mode]
    entry = next(entry for entry in entries_of(chosen) if entry.reftype == reftype)
    return place.crds / "references" / "jwst" / chosen.instrument.lower() / entry.file


def _frame(place: Place) -> tuple[int, ...]:
    with fits.open(place.exposure) as hdus:
        return tuple(hdus["SCI"].shape[-2:])


def _random(place: Place) -> np.random.Generator:
    return np.random.default_rng([ord(letter) for letter in place.mode])


def _save(model: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(str(path))
    model.close()


def user_dq(place: Place, path: Path) -> None:
    """Scattered flags, DO_NOT_USE among them."""
    rng = _random(place)
    dq = np.zeros(_frame(place), np.uint32)
    for flag in (dqflags.DO_NOT_USE, dqflags.HOT, dqflags.REFERENCE_PIXEL):
        dq[rng.random(dq.shape) < 0.01] |= np.uint32(flag)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(dq, name="DQ")]).writeto(path)


def background_mask(place: Place, path: Path) -> None:
    """A mask that leaves out a third of the pixels."""
    mask = (_random(place).random(_frame(place)) > 0.33).astype(np.float32)
    _save(datamodels.ImageModel(data=mask), path)


def background_masks(place: Place, path: Path) -> None:
    """A mask for each integration."""
    with fits.open(place.exposure) as hdus:
        shape = (hdus["SCI"].shape[0], *hdus["SCI"].shape[-2:])
    _save(datamodels.CubeModel(data=(_random(place).random(shape) > 0.4).astype(np.float32)), path)


def open_windows(place: Place, path: Path) -> None:
    """Persistence windows that earlier exposures left open: some end before the exposure, within it, after it."""
    with fits.open(place.exposure) as hdus:
        header = hdus[0].header
        detector, start = header["DETECTOR"], (header["EXPSTART"] - _UNIX_EPOCH_MJD) * 86400.0
        length = header["DURATION"]
    rng = _random(place)
    ends = np.where(rng.random(_frame(place)) < 0.05, start + rng.uniform(-0.2, 1.2, _frame(place)) * length, 0.0)
    rows, columns = np.nonzero(ends)
    entry = {"filename": "earlier.fits", "rows": rows, "cols": columns, "vals": ends[rows, columns], "pers_time": 400}
    asdf.AsdfFile({detector: entry, "NRCA3": entry | {"filename": "another.fits"}}).write_to(path)


def two_waves(place: Place, path: Path) -> None:
    """An interference reference with two frequencies for the subarray."""
    with datamodels.open(str(reference(place, "emicorr"))) as model:
        case = model.subarray_cases.instance[MODES[place.mode].subarray]
        case["freqs"]["FAST"] = ["Hz218a", "Hz10"]
        _save(model.copy(), path)


def kernels_by_pixel(place: Place, path: Path) -> None:
    """A kernel of interpixel capacitance for each pixel of the detector, as far as the subarray reaches."""
    mode = MODES[place.mode]
    nx, ny = (corner - 1 + size for corner, size in zip(mode.corner, mode.size, strict=True))
    kernel = _random(place).normal(0, 0.002, (3, 3, ny, nx)).astype(np.float32)
    kernel[1, 1] = 1 - kernel.sum(axis=(0, 1)) + kernel[1, 1]
    _save(datamodels.IPCModel(data=kernel), path)


def lopsided_kernel(place: Place, path: Path) -> None:
    """A kernel without any symmetry, larger than usual."""
    kernel = np.linspace(-0.01, 0.014, 15, dtype=np.float32).reshape(3, 5)
    kernel[1, 2] = 0.97
    _save(datamodels.IPCModel(data=kernel), path)


def scaled_gain(place: Place, path: Path) -> None:
    """A gain reference for a non-standard gain."""
    with datamodels.GainModel(str(reference(place, "gain"))) as model:
        scaled = model.copy()
        scaled.meta.exposure.gain_factor = 2.16
        _save(scaled, path)


def spoilt_gain(place: Place, path: Path) -> None:
    """Gains that are negative, zero or no number."""
    with datamodels.GainModel(str(reference(place, "gain"))) as model:
        spoilt = model.copy()
        data = np.array(spoilt.data)
        data[30:33, 10:20], data[33:36, 10:20], data[36:39, 10:20] = -1.0, 0.0, np.nan
        spoilt.data = data
        _save(spoilt, path)


def small_gain(place: Place, path: Path) -> None:
    """A gain of less than a frame, as stacks of strips find it."""
    del place
    model = datamodels.GainModel(data=np.linspace(1.2, 2.0, 32 * 32, dtype=np.float32).reshape(32, 32))
    model.meta.subarray.xstart = model.meta.subarray.ystart = 1
    model.meta.subarray.xsize = model.meta.subarray.ysize = 32
    _save(model, path)


def short_dark(place: Place, path: Path) -> None:
    """A dark with fewer groups than the exposure, some of them no number."""
    with datamodels.open(str(reference(place, "dark"))) as model:
        short = model.copy()
        data = np.array(short.data)[..., :4, :, :]
        data[..., 1, 40:43, 40:60] = np.nan
        data[..., 3, 40:43, 70:90] = np.nan
        short.data = data
        short.meta.exposure.ngroups = 4
        _save(short, path)


def dark_with_plane(place: Place, path: Path) -> None:
    """A dark with an average dark current for each pixel."""
    with datamodels.open(str(reference(place, "dark"))) as model:
        dark = model.copy()
        dark.average_dark_current = _random(place).uniform(0.5, 2.0, _frame(place)).astype(np.float32)
        _save(dark, path)


def forward_linearity(place: Place, path: Path) -> None:
    """Without inverse coefficients, with pixels that have no linear term."""
    with datamodels.LinearityModel(str(reference(place, "linearity"))) as model:
        coefficients = np.array(model.coeffs)
        coefficients[1, 50:53, 10:30] = 0
        forward = datamodels.LinearityModel(coeffs=coefficients, dq=model.dq, dq_def=model.dq_def)
        forward.update(model)
        _save(forward, path)


def another_flat(place: Place, path: Path) -> None:
    """A flat of the user's own."""
    with datamodels.FlatModel(str(reference(place, "flat"))) as model:
        flat = model.copy()
        flat.data = np.array(flat.data) * np.float32(1.25)
        _save(flat, path)
