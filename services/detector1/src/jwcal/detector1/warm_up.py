"""Compile, or load from numba's cache on disk, what the plans run: small exposures made of nothing through the steps.

Images are built with the cache this leaves behind, so that a new pod is ready in seconds.
"""

import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jwcal.core.data import Ramp
from jwcal.core.events import ignore
from jwcal.core.metadata import Metadata
from jwcal.core.parameters import build
from jwcal.core.products.read import open_exposure
from jwcal.core.products.write import write_ramp
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import (
    DarkReference,
    FlatReference,
    GainReference,
    IpcReference,
    Irs2Reference,
    LinearityReference,
    MaskReference,
    ReadnoiseReference,
    Reference,
    ResetReference,
    RscdReference,
    SaturationReference,
    SuperbiasReference,
)
from jwcal.core.scratch import Scratch
from jwcal.core.step import Skip
from jwcal.detector1.plans import PLANS
from jwcal.detector1.products import ProductWriter
from jwcal.detector1.reference_pixels.irs2 import LENGTH, LINES
from jwcal.detector1.settings import definitions

Choice = Mapping[str, Mapping[str, Any]]
_ON = {"skip": False}
_DEFAULT: Choice = {}
_SINGLE_PASS: Choice = {"jump": {"min_diffs_single_pass": 3, "expand_large_events": True}}
_CLIPPED: Choice = {"jump": {"minimum_sigclip_groups": 2}, "ramp_fit": {"algorithm": "LIKELY"}}
_CLEANED: Choice = {"clean_flicker_noise": _ON, "charge_migration": _ON}
_SHAPE = (2, 8, 32, 64)


def warm_up() -> None:
    """Run the plans on small exposures; takes a minute where nothing is compiled yet, seconds otherwise.

    Whole detectors have kernels of their own up to the reference pixels; what follows is that of subarrays.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for choice in (_DEFAULT, _SINGLE_PASS, _CLIPPED, _CLEANED):
            rates = _run(
                "NEAR_INFRARED", _ramp(_SHAPE, "NIRCAM", "NRCA1", "SUB64P"), _near_infrared(_SHAPE[2:]), choice
            )
        _read_and_write(_ramp(_SHAPE, "NIRCAM", "NRCA1", "SUB64P"), rates)
        full = (1, 4, 2048, 2048)
        ramp = _ramp(full, "NIRCAM", "NRCA1", "FULL")
        _run("NEAR_INFRARED", ramp, _near_infrared(full[2:]), _DEFAULT, through="refpix")
        _run("MID_INFRARED", _ramp(_SHAPE, "MIRI", "MIRIMAGE", "SUB256"), _mid_infrared(_SHAPE), _DEFAULT)
        full = (1, 6, 1024, 1032)
        ramp = _ramp(full, "MIRI", "MIRIMAGE", "FULL")
        _run("MID_INFRARED", ramp, _mid_infrared(full), _DEFAULT, through="refpix")
        interleaved = (1, 1, LINES, 2048)
        ramp = _ramp(interleaved, "NIRSPEC", "NRS1", "FULL", readpatt="NRSIRS2")
        references = (*_near_infrared((2048, 2048)), *_interleaved())
        _run("NEAR_INFRARED", ramp, references, _DEFAULT, through="refpix")


def _read_and_write(ramp: Ramp, rates: Any) -> None:
    """Load what reading and writing need: the schemas of the products take as long as all kernels."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_ramp(ramp, directory / "warm_uncal.fits")
        open_exposure(directory / "warm_uncal.fits").read(Scratch(None))
        ProductWriter(directory, "warm", ignore).save_result(rates, "rate", {})


def _run(plan: str, ramp: Ramp, references: Iterable[Reference], choice: Choice, *, through: str = "") -> Any:
    """Run a plan's steps, all or up to one; those that have nothing to do are left out."""
    known = definitions()
    given = ReferenceSet.of(*references)
    product: Any = ramp
    names = PLANS[plan][: PLANS[plan].index(through) + 1] if through else PLANS[plan]
    for name in names:
        params = build(known[name], choice.get(name, {}))
        if params.skip:
            continue
        try:
            product = known[name].function(product, params, given)
        except Skip:
            continue
    return product


def _ramp(shape: tuple[int, int, int, int], instrument: str, detector: str, subarray: str, **exposure: Any) -> Ramp:
    """Ramps that rise, some with a jump, some saturated."""
    nints, ngroups, ny, nx = shape
    rng = np.random.default_rng(1)
    steps = rng.normal(100, 10, (nints, ngroups, 1, nx)).astype(np.float32)
    steps[0, ngroups // 2, 0, nx // 2 :: 5] += 3000
    steps[:, -2:, 0, nx // 3 :: 11] += 80000
    data = np.repeat(np.cumsum(steps, axis=1) + np.float32(10000), ny, axis=2)
    tree = {
        "telescope": "JWST",
        "instrument": {"name": instrument, "detector": detector, "filter": "F200W", "pupil": "CLEAR"},
        "exposure": {
            "type": {"NIRCAM": "NRC_IMAGE", "MIRI": "MIR_IMAGE"}.get(instrument, "NRS_IMAGE"),
            "readpatt": "FASTR1" if instrument == "MIRI" else "RAPID",
            "nints": nints,
            "ngroups": ngroups,
            "nframes": 1,
            "groupgap": 0,
            "frame_divisor": 1,
            "frame_time": 10.0,
            "group_time": 10.0,
            "noutputs": 4,
            "integration_start": 1,
            "integration_end": nints,
        }
        | exposure,
        "subarray": {
            "name": subarray,
            "xstart": 1,
            "ystart": 1,
            "xsize": nx,
            "ysize": 2048 if ny == LINES else ny,
            "fastaxis": 2 if instrument == "NIRSPEC" else -1 if instrument == "NIRCAM" else 1,
            "slowaxis": 1 if instrument == "NIRSPEC" else 2,
        },
        "observation": {"date": "2024-01-01", "time": "00:00:00"},
    }
    return Ramp(
        data=data,
        groupdq=np.zeros(shape, np.uint8),
        pixeldq=np.zeros((ny, nx), np.uint32),
        metadata=Metadata(tree),
    )


def _common(shape: tuple[int, int]) -> list[Reference]:
    dq = np.zeros(shape, np.uint32)
    kernel = np.array([[0, 0.01, 0], [0.01, 0.96, 0.01], [0, 0.01, 0]], np.float32)
    coefficients = np.zeros((4, *shape), np.float32)
    coefficients[1], coefficients[2] = 1, 1e-7
    return [
        MaskReference(dq=dq.copy()),
        SaturationReference(data=np.full(shape, 60000, np.float32), dq=dq.copy()),
        IpcReference(data=kernel),
        LinearityReference(coeffs=coefficients, dq=dq.copy()),
        GainReference(data=np.full(shape, 2, np.float32)),
        ReadnoiseReference(data=np.full(shape, 8, np.float32)),
        FlatReference(data=np.ones(shape, np.float32), dq=dq.copy(), err=np.ones(shape, np.float32)),
    ]


def _near_infrared(shape: tuple[int, int]) -> list[Reference]:
    dq = np.zeros(shape, np.uint32)
    return [
        *_common(shape),
        SuperbiasReference(data=np.full(shape, 9000, np.float32), dq=dq),
        DarkReference(data=np.zeros((10, *shape), np.float32), dq=dq.copy(), nframes=1, groupgap=0),
    ]


def _mid_infrared(shape: tuple[int, int, int, int]) -> list[Reference]:
    _, ngroups, ny, nx = shape
    ramps = np.zeros((2, ngroups, ny, nx), np.float32)
    return [
        *_common((ny, nx)),
        ResetReference(data=ramps, dq=np.zeros((ny, nx), np.uint32)),
        RscdReference(rows=tuple((subarray, "FASTR1", 1, 2) for subarray in ("FULL", "SUB256"))),
        DarkReference(data=ramps, dq=np.zeros((2, 1, ny, nx), np.uint32), nframes=1, groupgap=0),
    ]


def _interleaved() -> list[Reference]:
    """What IRS2 frames have of their own, reference samples included; of two of a type the last counts."""
    frame = (LINES, 2048)
    names = [f"{kind}_{output}" for kind in ("alpha", "beta") for output in range(4)]
    return [
        MaskReference(dq=np.zeros(frame, np.uint32)),
        SuperbiasReference(data=np.full(frame, 9000, np.float32), dq=np.zeros(frame, np.uint32)),
        Irs2Reference(irs2_table=np.zeros(2 * LENGTH, [(name, np.float32) for name in names])),
    ]


if __name__ == "__main__":
    warm_up()
