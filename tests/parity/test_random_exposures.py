"""Exposures and references of random numbers, so that every corner of the rules is met, against the official package.

No pixel may differ here but by rounding.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from jwcal.detector1 import run
from tests.builders import use_crds
from tests.tiny_exposure import SHAPE, write_references, write_uncal

from . import oracle
from .case import CODE_DEFAULTS
from .exposures import exposure
from .tolerances import Tolerance

pytestmark = [pytest.mark.parity, pytest.mark.skipif(not oracle.available(), reason=oracle.MISSING)]

USES = {
    "dq_init": ("mask",),
    "saturation": ("saturation", "superbias"),
    "ipc": ("ipc",),
    "superbias": ("superbias",),
    "refpix": ("refpix", "sirskernel"),
    "linearity": ("linearity",),
    "dark_current": ("dark",),
    "jump": ("gain", "readnoise"),
    "ramp_fit": ("gain", "readnoise"),
    "gain_scale": ("gain",),
}
SEEDS = (1,)
"""One takes a minute or two; any others must pass too."""
EXACT = Tolerance(relative=2e-6, sigma=1e-5, fraction=1.0)
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


def set_dq(path: str, rng: np.random.Generator, **shares: float) -> None:
    """Flags of a reference, each in a share of the pixels; their bits are numbered as they come."""
    columns = [("BIT", "i4"), ("VALUE", "i4"), ("NAME", "S40"), ("DESCRIPTION", "S80")]
    with datamodels.open(path) as model:
        dq = np.zeros(SHAPE, np.uint32)
        for bit, share in enumerate(shares.values()):
            dq[rng.random(SHAPE) < share] |= np.uint32(1 << bit)
        model.dq = dq
        model.dq_def = np.array([(bit, 1 << bit, name, "") for bit, name in enumerate(shares)], columns)
        if model.meta.reftype == "dark":
            model.meta.exposure.ngroups = len(model.data)  # the official step extrapolates from this
        model.save(path)


def some_references(folder: Path, rng: np.random.Generator) -> dict[str, str]:
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
    set_dq(paths["linearity"], rng, NO_LIN_CORR=0.03, NONLINEAR=0.02)
    set_dq(paths["dark"], rng, UNRELIABLE_DARK=0.03)
    return paths


@dataclass(frozen=True)
class Exposure:
    """One of the cases, and where the official products are."""

    uncal: Path
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
        },
    )
    return Exposure(uncal, some_references(folder / "references", rng), case.get("steps", {}), official)


@pytest.fixture(scope="module")
def exposures(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Exposure]:
    """All of them, calibrated by the official package in one process."""
    folder = tmp_path_factory.mktemp("random")
    made = {(name, seed): an_exposure(folder / f"{name} {seed}", name, seed) for name in CASES for seed in SEEDS}
    jobs = [one.job() for one in made.values()]
    oracle.run_jobs(jobs, folder / "spec.json", exposure("nircam-sw-sub")[1], CODE_DEFAULTS)
    return made


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CASES)
def test_random_numbers_are_calibrated_as_officially(
    exposures: dict[tuple[str, int], Exposure], name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = exposures[name, seed]
    use_crds(exposure("nircam-sw-sub")[1], monkeypatch)
    with np.errstate(all="ignore"):
        run(
            one.uncal,
            output_dir=tmp_path,
            context=CODE_DEFAULTS,
            parameters=one.steps,
            overrides=one.references,
            save_steps=True,
        )
    products = sorted(one.official.glob("*.fits"))
    assert len(products) > 10
    problems = []
    for expected in products:
        ours = tmp_path / expected.name
        lines = oracle.compare(expected, ours, EXACT) if ours.exists() else ["missing"]
        problems += [f"{expected.name}: {line}" for line in lines]
    assert not problems, "\n".join(problems[:40])
