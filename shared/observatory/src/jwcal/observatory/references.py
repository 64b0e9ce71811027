"""Make the reference files that a mode needs, once."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jwcal.observatory import references_common, references_mid_infrared, references_near_infrared
from jwcal.observatory.crds_mappings import write_mappings
from jwcal.observatory.detector import Pixels, pixels
from jwcal.observatory.files import replaced
from jwcal.observatory.mode import Mode
from jwcal.observatory.reference_catalogue import Entry, entries_of
from jwcal.observatory.step_parameters import write_parameters
from jwcal.observatory.striping import Striping

Maker = Callable[[Mode, Pixels], Any]

MAKERS: dict[str, Maker] = {
    "mask": references_common.mask,
    "saturation": references_common.saturation,
    "linearity": references_common.linearity,
    "gain": references_common.gain,
    "readnoise": references_common.readnoise,
    "flat": references_common.flat,
    "ipc": references_common.ipc,
    "dark": references_near_infrared.dark,
    "superbias": references_near_infrared.superbias,
    "sirskernel": references_near_infrared.sirskernel,
    "refpix": references_near_infrared.refpix,
    "pictureframe": references_near_infrared.pictureframe,
    "reset": references_mid_infrared.reset,
    "rscd": references_mid_infrared.rscd,
    "emicorr": references_mid_infrared.emicorr,
}
"""What makes each type; MIRI has a dark of its own."""

_WITHOUT_FRAME = ("ipc", "rscd", "emicorr", "sirskernel", "refpix", "pictureframe")


def provide(mode: Mode, crds: Path) -> None:
    """Put mappings, parameter references and what the mode needs into the cache `crds`."""
    write_mappings(crds)
    folder = crds / "references" / "jwst" / mode.instrument.lower()
    folder.mkdir(parents=True, exist_ok=True)
    write_parameters(folder, mode.exposure_type, mode.instrument)
    for entry in entries_of(mode):
        if not (folder / entry.file).exists():
            _make(entry, folder / entry.file)


def _make(entry: Entry, path: Path) -> None:
    mode = entry.mode
    maker = MAKERS[entry.reftype]
    if (mode.instrument, entry.reftype) == ("MIRI", "dark"):
        maker = references_mid_infrared.dark
    model = maker(mode, _frame(mode))
    _stamp(model, entry, path.name)
    with warnings.catch_warnings(), replaced(path) as temporary:
        warnings.simplefilter("ignore")
        model.save(str(temporary))
    model.close()


def _frame(mode: Mode) -> Pixels:
    """The pixels of a reference: the mode's, or those of its calibrated products where it reads in stripes."""
    maps = pixels(mode.whole_detector)
    if mode.stripes is None:
        return maps
    striping = Striping.of(mode)
    return striping.pixels(maps, striping.product_lines)


def _stamp(model: Any, entry: Entry, name: str) -> None:
    """The metadata that every reference carries."""
    mode, meta = entry.mode, model.meta
    meta.filename = name
    meta.telescope = "JWST"
    meta.instrument.name = mode.instrument
    meta.instrument.detector = mode.detector.name if entry.match else "N/A"
    meta.reftype = entry.reftype.upper() if entry.reftype not in ("emicorr", "sirskernel") else entry.reftype
    meta.author = "jwcal synthetic observatory"
    meta.pedigree = "DUMMY"
    meta.useafter = "2022-01-01T00:00:00"
    meta.description = f"Synthetic {entry.reftype} reference"
    if entry.reftype in _WITHOUT_FRAME:
        return
    meta.subarray.name = mode.subarray
    corner, size = mode.corner, mode.size
    if mode.stripes is not None:
        corner, size = Striping.of(mode).product_corner, model.data.shape[:-3:-1]
    meta.subarray.xstart, meta.subarray.ystart = corner
    meta.subarray.xsize, meta.subarray.ysize = size
    meta.subarray.fastaxis, meta.subarray.slowaxis = mode.detector.fast, mode.detector.slow
