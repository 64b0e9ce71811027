"""Write products as official-style FITS (or ASDF) files: whole, or not at all."""

import tempfile
import warnings
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from jwcal.core.data import GuiderCube, GuiderRamp, Ramp, RateCube, RateImage, SideProduct
from jwcal.core.metadata import Metadata
from jwcal.core.products.replacing import output_error, replacing
from jwcal.core.products.windows import PERSISTENCE_WINDOWS, write_windows
from jwcal.core.stripes import superstripe_positions

IFU_TYPES = ("NRS_IFU", "MIR_MRS")


def check_directory(directory: Path) -> None:
    """Make `directory`; OutputError where that cannot be done or it cannot be written to."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise output_error(directory, error) from error


def write_image(image: RateImage, path: Path, *, extra: Any = None, logs: Mapping[str, Any] | None = None) -> None:
    """Write an exposure's rate (``ImageModel``, ``IFUImageModel`` for integral-field exposures)."""
    kind = image.metadata.exposure_type
    is_ifu = kind in IFU_TYPES or (
        "LAMP" in kind and str(image.metadata.get("instrument.lamp_mode", "")).upper() == "IFU"
    )
    _write("IFUImageModel" if is_ifu else "ImageModel", _rate_arrays(image), image.metadata, path, extra, logs)


def write_cube(cube: RateCube, path: Path, *, extra: Any = None, logs: Mapping[str, Any] | None = None) -> None:
    """Write the rates of the integrations (``CubeModel``)."""
    arrays = _rate_arrays(cube) | {
        name: cube.tables[name] for name in ("int_times", "int_times_stripe") if name in cube.tables
    }
    _write("CubeModel", arrays, cube.metadata, path, extra, logs)


def write_ramp(ramp: Ramp, path: Path, *, logs: Mapping[str, Any] | None = None) -> None:
    """Write a ramp (``RampModel``)."""
    model = "SuperstripeRampModel" if superstripe_positions(ramp.metadata) else "RampModel"
    arrays: dict[str, Any] = {"data": ramp.data, "pixeldq": ramp.pixeldq, "groupdq": ramp.groupdq, **ramp.tables}
    for name in ("zeroframe", "refout", "average_dark_current"):
        if getattr(ramp, name) is not None:
            arrays[name] = getattr(ramp, name)
    metadata = ramp.metadata
    if ramp.read_times is not None:
        metadata = metadata.copy()
        metadata.set("exposure.read_times", ramp.read_times.tolist())
    _write(model, arrays, metadata, path, ramp.extra, logs)


def write_guider(product: GuiderCube | GuiderRamp, path: Path, *, logs: Mapping[str, Any] | None = None) -> None:
    """Write a guide-star product (``GuiderCalModel``, or ``GuiderRawModel`` before the rates are made)."""
    arrays: dict[str, Any] = {"data": product.data, "dq": product.dq, **product.tables}
    arrays["err"] = product.err if isinstance(product, GuiderCube) else np.zeros_like(product.data)
    model = "GuiderCalModel" if isinstance(product, GuiderCube) else "GuiderRawModel"
    _write(model, arrays, product.metadata, path, product.extra, logs)


def write_side_product(side: SideProduct, metadata: Metadata, path: Path) -> None:
    """Write an optional product with its own metadata, or the exposure's."""
    if side.model == PERSISTENCE_WINDOWS:
        write_windows(path, side.arrays)
    else:
        _write(side.model, side.arrays, side.metadata or metadata, path, None, None)


def _rate_arrays(rate: RateImage | RateCube) -> dict[str, Any]:
    return {
        "data": rate.data,
        "err": rate.err,
        "dq": rate.dq,
        "var_poisson": rate.var_poisson,
        "var_rnoise": rate.var_rnoise,
    }


def _write(
    model_name: str,
    arrays: Mapping[str, Any],
    metadata: Metadata,
    path: Path,
    extra: Any,
    logs: Mapping[str, Any] | None,
) -> None:
    from stdatamodels.jwst import datamodels

    with replacing(path) as staging, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(datamodels, model_name)(validate_on_assignment=False)  # schemas cost more than the writing
        tree = deepcopy(metadata.tree)
        tree.pop("model_type", None)
        tree.pop("filetype", None)
        model._instance["meta"] = tree
        for name, array in arrays.items():
            setattr(model, name, array)
        if metadata.history:
            model._instance["history"] = {"entries": [{"description": card} for card in metadata.history]}
        if extra is not None:
            model._instance["extra_fits"] = deepcopy(extra)
        if logs is not None:
            model.cal_logs = dict(logs)
        model.save(str(staging))
        model.close()
