"""Persistence after saturation: a window in time."""

from pathlib import Path

import numpy as np

from jwcal.core import dqflags
from jwcal.core.array_types import Float64
from jwcal.core.data import Ramp, SideProduct
from jwcal.core.products.windows import PERSISTENCE_WINDOWS, read_windows
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.step import ReadFile, Skip, StepParameters, WrittenFile, step
from jwcal.detector1.kernels.flags import open_windows

_UNIX_EPOCH_MJD = 40587.0


class PersistenceParameters(StepParameters):
    """Parameters of persistence."""

    save_persistence: WrittenFile | None = None
    """Name of an ASDF file for the windows still open at the end, by detector; other detectors' are kept in it."""
    persistence_time: int | None = None
    """Length of a window in s; required."""
    dn_threshold: float | None = None
    """Signal in DN that opens a window without saturation."""
    persistence_array_file: ReadFile | None = None
    """ASDF file with the windows that earlier exposures left open."""
    persistence_dnu: bool = False
    """Set DO_NOT_USE too."""
    skip: bool = True
    """Leave this step out."""


@step("persistence", params=PersistenceParameters, official="jwst.persistence.PersistenceStep")
def flag_persistence(ramp: Ramp, params: PersistenceParameters, refs: ReferenceSet) -> Ramp:
    """Flag groups that follow a saturation of their pixel within `persistence_time` seconds.

    The first saturated group of a ramp opens a window that ends `persistence_time` later; a signal above
    `dn_threshold` opens one where none is open.  While it is open PERSISTENCE is set in every group, in later
    exposures too when the windows are saved and given to them in order of time.
    """
    del refs
    if params.persistence_time is None or params.persistence_time <= 0:
        raise Skip("persistence_time is not set", status="FAILED")
    detector = ramp.metadata.detector
    windows: Float64 = np.zeros(ramp.data.shape[-2:], np.float64)
    if params.persistence_array_file is not None:
        read_windows(Path(params.persistence_array_file), detector, params.persistence_time, windows)
    flag = np.uint8(dqflags.PERSISTENCE | (dqflags.DO_NOT_USE if params.persistence_dnu else 0))
    group_time = ramp.metadata.require_number("exposure.group_time", positive=True)
    threshold = np.inf if params.dn_threshold is None else params.dn_threshold
    for index in range(ramp.nints):
        open_windows(
            ramp.data[index],
            ramp.groupdq[index],
            windows,
            _start_seconds(ramp, index),
            group_time,
            float(params.persistence_time),
            threshold,
            flag,
        )
    if params.save_persistence is not None:
        rows, columns = np.nonzero(windows)
        ramp.side_products["persistence"] = SideProduct(
            model=PERSISTENCE_WINDOWS,
            file=str(Path(params.save_persistence).with_suffix(".asdf")),
            arrays={
                "detector": detector,
                "filename": ramp.metadata.get("filename"),
                "rows": rows,
                "cols": columns,
                "vals": windows[rows, columns],
                "pers_time": params.persistence_time,
            },
        )
    return ramp


def _start_seconds(ramp: Ramp, index: int) -> float:
    """Start of an integration in s since 1970."""
    table = ramp.tables.get("int_times")
    if table is not None and len(table) > index:
        mjd = float(table[index]["int_start_MJD_UTC"])
        return (mjd - _UNIX_EPOCH_MJD) * 86400.0
    start = (ramp.metadata.require_number("exposure.start_time") - _UNIX_EPOCH_MJD) * 86400.0
    return start + index * ramp.metadata.require_number("exposure.integration_time")
