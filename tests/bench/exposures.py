"""The exposures that are measured: simulated once, kept under ``.work/bench/exposures``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from jwcal.observatory import simulate
from jwcal.observatory.modes import MODES

from .measuring import WORK, digest, source_digest

SEED = 3


@dataclass(frozen=True)
class Exposure:
    """One simulated exposure."""

    name: str
    mode: str
    """Of the synthetic observatory."""
    size: Mapping[str, int] = field(default_factory=dict)
    """``ngroups``, ``nints`` where they differ from the mode's."""
    repeat: int = 1
    """The integrations are simulated once and repeated so many times: long time series at little cost."""
    seed: int = SEED

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(nints, ngroups, ny, nx)`` of the calibrated ramp."""
        mode = MODES[self.mode]
        nints = self.size.get("nints", mode.nints) * self.repeat
        return nints, self.size.get("ngroups", mode.ngroups), *mode.shape

    @property
    def ramp_bytes(self) -> int:
        """Size of the ramp as it is read, in single precision; IRS2 frames have reference samples in between."""
        interleaved = 3200 / 2048 if MODES[self.mode].is_irs2 else 1
        return int(np.prod(self.shape) * interleaved) * 4


@dataclass(frozen=True)
class Files:
    """Where an exposure lies."""

    uncal: Path
    truth: Path
    crds: Path


def provide(exposure: Exposure) -> Files:
    """The files of an exposure, simulated where they are not there yet."""
    what = {"mode": exposure.mode, "size": dict(exposure.size), "repeat": exposure.repeat, "seed": exposure.seed}
    out = WORK / "exposures" / f"{exposure.mode}-{digest(what | {'observatory': source_digest('shared/observatory')})}"
    made = out / "files.json"
    if not made.exists():
        simulation = simulate(exposure.mode, out, seed=exposure.seed, crds=out / "crds", **exposure.size)
        if exposure.repeat > 1:
            repeat_integrations(simulation.exposures[0], exposure.repeat)
        made.write_text(json.dumps([str(simulation.exposures[0]), str(simulation.truth), str(simulation.crds)]))
    return Files(*map(Path, json.loads(made.read_text())))


def repeat_integrations(uncal: Path, times: int) -> None:
    """Rewrite a raw exposure with its integrations repeated; keywords and tables count them all."""
    with fits.open(uncal, do_not_scale_image_data=True, memmap=False) as hdus:
        nints = int(hdus[0].header["NINTS"])
        for keyword in ("NINTS", "INTEND"):
            if keyword in hdus[0].header:
                hdus[0].header[keyword] = nints * times
        for hdu in hdus:
            if hdu.name in ("SCI", "REFOUT", "ZEROFRAME"):
                hdu.data = np.tile(hdu.data, (times,) + (1,) * (hdu.data.ndim - 1))
            elif hdu.name in ("INT_TIMES", "GROUP"):
                hdu.data = _repeated_rows(hdu.data, times)
        hdus.writeto(uncal, overwrite=True)


def _repeated_rows(rows: Any, times: int) -> Any:
    """A table's rows repeated, integrations numbered on; the times of day are those of the first ones."""
    out = np.tile(np.asarray(rows), times)
    if "integration_number" in (out.dtype.names or ()):
        count = int(rows["integration_number"].max())
        out["integration_number"] += count * (np.arange(out.size) // len(rows)).astype(out["integration_number"].dtype)
    return out
