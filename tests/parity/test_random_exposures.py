"""Exposures and references of random numbers, so that every corner of the rules is met, against the official package.

No pixel may differ here but by rounding.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from jwcal.core.array_types import Float32
from jwcal.detector1 import run
from jwcal.detector1.plans import PLANS
from jwcal.detector1.settings import definitions
from tests.builders import use_crds
from tests.tiny_exposure import CORNER, SHAPE, write_references, write_uncal

from . import oracle
from .case import CODE_DEFAULTS
from .comparison import compare
from .exposures import exposure as simulated
from .tolerances import Tolerance

pytestmark = [pytest.mark.parity, pytest.mark.skipif(not oracle.available(), reason=oracle.MISSING)]

USES = {
    "dq_init": ("mask",),
    "saturation": ("saturation", "superbias"),
    "ipc": ("ipc",),
    "superbias": ("superbias",),
    "refpix": ("refpix", "sirskernel"),
    "linearity": ("linearity",),
    "reset": ("reset",),
    "rscd": ("rscd",),
    "dark_current": ("dark",),
    "jump": ("gain", "readnoise"),
    "ramp_fit": ("gain", "readnoise"),
    "gain_scale": ("gain",),
}
SEEDS = (1,)
"""One takes a minute or two; any others must pass too."""
EXACT = Tolerance(relative=2e-6, sigma=1e-5, fraction=1.0)
MIRI = {
    "instrument.name": "MIRI",
    "instrument.detector": "MIRIMAGE",
    "instrument.channel": None,
    "instrument.module": None,
    "instrument.filter": "F770W",
    "instrument.pupil": None,
    "exposure.type": "MIR_IMAGE",
    "exposure.readpatt": "FASTR1",
    "subarray.name": "SUB64",
    "subarray.fastaxis": 1,
}
MODES = {"NIRCAM": "nircam-sw-sub", "MIRI": "miri-sub"}
"""Whose CRDS cache serves exposures of an instrument."""
CASES: dict[str, dict[str, Any]] = {
    "few groups": {"shape": (2, 6)},
    "averaged frames": {"shape": (2, 7), "nframes": 4, "steps": {"ramp_fit": {"save_opt": True}}},
    "many groups": {
        "shape": (1, 14),
        "steps": {
            "jump": {
                "rejection_threshold": 3.0,
                "after_jump_flag_dn1": 100.0,
                "after_jump_flag_time1": 20.0,
                "after_jump_flag_dn2": 3000.0,
                "after_jump_flag_time2": 50.0,
            }
        },
    },
    "many integrations": {"shape": (24, 4), "steps": {"jump": {"minimum_sigclip_groups": 20}}},
    "all groups clipped": {
        "shape": (5, 6),
        "steps": {"jump": {"minimum_sigclip_groups": 20, "only_use_ints": False, "rejection_threshold": 3.0}},
    },
    "three groups": {"shape": (2, 3), "steps": {"ramp_fit": {"suppress_one_group": False, "save_opt": True}}},
    "one group": {"shape": (3, 1)},
    "charge migration": {
        "shape": (2, 8),
        "steps": {
            "charge_migration": {"skip": False, "signal_threshold": 15000.0},
            "saturation": {"n_pix_grow_sat": 2},
        },
    },
    "miri": {"shape": (3, 12), "header": MIRI},
    "miri, few groups": {"shape": (2, 6), "header": MIRI, "steps": {"firstframe": {"skip": False}}},
    "persistence": {"shape": (3, 5), "steps": {"persistence": {"skip": False, "persistence_time": 120}}},
}


def some_counts(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Ramps from dark to saturated at once, with hits, steps down, repeated values and zeros."""
    cube = (*shape, *SHAPE)
    rate = 10.0 ** rng.uniform(0, 4, SHAPE)
    rate[:, ::3] = np.round(rate[:, ::3])
    steps = rng.normal(rate, np.sqrt(rate) * rng.choice([0.0, 1.0], SHAPE), cube)
    steps += np.where(rng.random(cube) < 0.04, rng.choice([60.0, 500.0, 2e4, -200.0], cube), 0.0)
    counts = 1000 + np.cumsum(steps, axis=1)
    counts[rng.random(cube) < 0.005] = 0
    return np.clip(np.round(counts), 0, 65535).astype(np.uint16)


def set_dq(path: str, rng: np.random.Generator, arrays: Mapping[str, Float32] = {}, **shares: float) -> None:
    """Flags of a reference, each in a share of the pixels, their bits numbered as they come; and more `arrays`."""
    columns = [("BIT", "i4"), ("VALUE", "i4"), ("NAME", "S40"), ("DESCRIPTION", "S80")]
    with datamodels.open(path) as model:
        dq = np.zeros(SHAPE, np.uint32)
        for bit, share in enumerate(shares.values()):
            dq[rng.random(SHAPE) < share] |= np.uint32(1 << bit)
        model.dq = dq
        model.dq_def = np.array([(bit, 1 << bit, name, "") for bit, name in enumerate(shares)], columns)
        for name, array in arrays.items():
            setattr(model, name, array)
        if model.meta.reftype == "dark":
            model.meta.exposure.ngroups = len(model.data)  # the official step extrapolates from this
        model.save(path)


def some_references(folder: Path, rng: np.random.Generator, instrument: str) -> dict[str, str]:
    """References with not-a-number, no gain, no noise and every flag that a step looks at."""

    def plane(value: float, spread: float, *odd: float) -> np.ndarray:
        values = rng.normal(value, spread, SHAPE).astype(np.float32)
        for other in odd:
            values[rng.random(SHAPE) < 0.02] = other
        return values

    linear = np.stack([plane(0, 1), plane(1, 0.01, 0.0), plane(0, 1e-7), plane(0, 1e-12, np.nan)])
    dark = np.cumsum([plane(0.5, 0.5, np.nan) for _ in range(10)], axis=0, dtype=np.float32)
    paths = write_references(
        folder,
        saturation=plane(50000, 3000, np.nan),
        superbias=plane(1000, 10, np.nan),
        linearity=linear,
        dark=dark,
        gain=np.abs(plane(2, 0.3, 0.0, np.nan)),
        readnoise=np.abs(plane(10, 2, np.nan)),
    )
    set_dq(paths["mask"], rng, DO_NOT_USE=0.02, HOT=0.02, REFERENCE_PIXEL=0.1)
    set_dq(paths["saturation"], rng, NO_SAT_CHECK=0.03)
    set_dq(paths["superbias"], rng, UNRELIABLE_BIAS=0.03)
    inverse = np.stack([plane(0, 1), plane(1, 0.01, 0.0), plane(0, 1e-7, np.nan)])
    set_dq(paths["linearity"], rng, {"inv_coeffs": inverse}, NO_LIN_CORR=0.03, NONLINEAR=0.02)
    set_dq(paths["dark"], rng, UNRELIABLE_DARK=0.03)
    kernel = rng.normal(0, 0.005, (3, 3)).astype(np.float32)
    kernel[1, 1] = 1 - (kernel.sum() - kernel[1, 1])
    paths["ipc"] = str(folder / "ipc.fits")
    datamodels.IPCModel(data=kernel).save(paths["ipc"])
    if instrument == "MIRI":
        paths |= some_mid_infrared_references(folder, plane)
    return paths


def some_mid_infrared_references(folder: Path, plane: Callable[..., Float32]) -> dict[str, str]:
    """A dark and a reset anomaly for each of two integrations, and the groups that are skipped."""
    kinds = [("subarray", "S17"), ("readpatt", "S12"), ("group_skip1", "i4"), ("group_skip", "i4")]
    dark, reset = (np.array([[plane(1, 1, np.nan) for _ in range(5)] for _ in range(2)]) for _ in range(2))
    no_flags = np.zeros(SHAPE, np.uint32)
    models = {
        "dark": datamodels.DarkMIRIModel(data=dark, dq=np.zeros((2, 1, *SHAPE), np.uint32)),
        "reset": datamodels.ResetModel(data=reset, dq=no_flags),
        "rscd": datamodels.RSCDModel(rscd_group_skip_table=np.array([("SUB64", "FASTR1", 2, 3)], kinds)),
    }
    for name, model in models.items():
        model.meta.instrument.name = "MIRI"
        model.meta.reftype = name
        if name != "rscd":
            exposure, subarray = model.meta.exposure, model.meta.subarray
            exposure.nframes, exposure.groupgap, exposure.nints, exposure.ngroups = 1, 0, 2, 5
            subarray.xstart = subarray.ystart = CORNER
            subarray.ysize, subarray.xsize = SHAPE
        model.save(str(folder / f"miri_{name}.fits"))
    return {name: str(folder / f"miri_{name}.fits") for name in models}


@dataclass(frozen=True)
class Exposure:
    """One of the cases, and where the official products are."""

    uncal: Path
    instrument: str
    references: dict[str, str]
    steps: dict[str, dict[str, Any]]
    official: Path

    def job(self) -> dict[str, Any]:
        """For the official package; each step is told of the references it uses."""
        parameters = {
            step: self.steps.get(step, {})
            | {f"override_{kind}": self.references.get(kind, "N/A") for kind in USES.get(step, ())}
            for step in {**USES, **self.steps}
        }
        return {
            "pipeline": "Detector1Pipeline",
            "input": str(self.uncal),
            "output_dir": str(self.official),
            "parameters": parameters,
            "save_steps": True,
        }


def instrument_of(name: str) -> str:
    """Instrument of a case."""
    return str(CASES[name].get("header", {}).get("instrument.name", "NIRCAM"))


def an_exposure(folder: Path, name: str, seed: int) -> Exposure:
    """The case `name` with the numbers of `seed`."""
    case, rng = CASES[name], np.random.default_rng([seed, *name.encode()])
    nints, ngroups = case["shape"]
    nframes = case.get("nframes", 1)
    official = folder / "official"
    official.mkdir(parents=True)
    uncal = write_uncal(
        folder,
        nints=nints,
        ngroups=ngroups,
        counts=some_counts(rng, case["shape"]),
        header={
            "exposure.nframes": nframes,
            "exposure.frame_time": 10.0 / nframes,
            "exposure.start_time": 60310.0,
            "exposure.integration_time": 10.0 * ngroups,
            **case.get("header", {}),
        },
    )
    instrument = instrument_of(name)
    references = some_references(folder / "references", rng, instrument)
    return Exposure(uncal, instrument, references, case.get("steps", {}), official)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Exposure]:
    """A case by name and seed; all of an instrument are calibrated by the official package in one process."""

    @cache
    def exposures(instrument: str) -> dict[tuple[str, int], Exposure]:
        folder = tmp_path_factory.mktemp("random")
        names = [name for name in CASES if instrument_of(name) == instrument]
        made = {(name, seed): an_exposure(folder / f"{name} {seed}", name, seed) for name in names for seed in SEEDS}
        official = oracle.worker(simulated(MODES[instrument])[1], CODE_DEFAULTS)
        for waits in [official.start(one.job()) for one in made.values()]:
            assert waits()["error"] == ""
        return made

    return lambda name, seed: exposures(instrument_of(name))[name, seed]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CASES)
def test_random_numbers_are_calibrated_as_officially(
    calibrated: Callable[[str, int], Exposure], name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = calibrated(name, seed)
    use_crds(simulated(MODES[one.instrument])[1], monkeypatch)
    plan = PLANS["MID_INFRARED" if one.instrument == "MIRI" else "NEAR_INFRARED"]
    kinds = {reference.reftype for step in plan for reference in definitions()[step].references}
    with np.errstate(all="ignore"):
        run(
            one.uncal,
            output_dir=tmp_path,
            context=CODE_DEFAULTS,
            parameters=one.steps,
            overrides={kind: one.references.get(kind, "N/A") for kind in kinds},
            save_steps=True,
        )
    products = sorted(one.official.glob("*.fits"))
    assert len(products) > 10
    problems = []
    for expected in products:
        ours = tmp_path / expected.name
        lines = compare(expected, ours, EXACT) if ours.exists() else ["missing"]
        problems += [f"{expected.name}: {line}" for line in lines]
    assert not problems, "\n".join(problems[:40])
