"""Real exposures and references through the plans, and through the official package where it is installed."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

from jwcal.core.references.best import use_cache
from jwcal.detector1 import run
from tests.parity import oracle
from tests.parity.case import CODE_DEFAULTS
from tests.parity.comparison import Tolerance, compare
from tests.parity.exposures import exposure

DATA = Path(os.environ.get("JWCAL_REAL_DATA", Path(__file__).parents[3] / "shared" / "real-data"))
ACQ1 = DATA / "spacetelescope-jwst" / "add_wcs_default_acq1.fits"
SUPERBIAS = DATA / "kevin218-Eureka" / "jwst_nirspec_superbias_0075.fits"
DARK = DATA / "kevin218-Eureka" / "jwst_nirspec_dark_0046.fits"
CONTEXT = "jwst_0000.pmap"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not here: set JWCAL_REAL_DATA")
needs_official = pytest.mark.skipif(not oracle.available(), reason=oracle.MISSING)


def guider_references(directory: Path) -> dict[str, str]:
    rng = np.random.default_rng(2)
    shape = (2048, 2048)
    flat = rng.normal(1, 0.02, shape).astype(np.float32)
    models: dict[str, Any] = {
        "mask": datamodels.MaskModel(dq=(rng.random(shape) < 1e-3).astype(np.uint32)),
        "gain": datamodels.GainModel(data=np.full(shape, 1.8, np.float32)),
        "readnoise": datamodels.ReadnoiseModel(data=rng.uniform(8, 12, shape).astype(np.float32)),
        "flat": datamodels.FlatModel(data=flat, err=0.01 * flat, dq=np.zeros(shape, np.uint32)),
    }
    return save(models, directory, "FGS", "GUIDER2")


def nirspec_references(directory: Path) -> dict[str, str]:
    shape = (32, 512)
    linear = np.zeros((4, *shape), np.float32)
    linear[1], linear[2] = 1, 1e-7
    models: dict[str, Any] = {
        "mask": datamodels.MaskModel(dq=np.zeros(shape, np.uint32)),
        "saturation": datamodels.SaturationModel(data=np.full(shape, 60000, np.float32), dq=np.zeros(shape, np.uint32)),
        "linearity": datamodels.LinearityModel(coeffs=linear, dq=np.zeros(shape, np.uint32)),
        "gain": datamodels.GainModel(data=np.full(shape, 1.1, np.float32)),
        "readnoise": datamodels.ReadnoiseModel(data=np.full(shape, 9, np.float32)),
    }
    made = save(models, directory, "NIRSPEC", "NRS1", xstart=1025, ystart=957, xsize=512, ysize=32)
    return made | {"superbias": str(SUPERBIAS), "dark": str(DARK), "ipc": "N/A"}


def save(models: dict[str, Any], directory: Path, instrument: str, detector: str, **subarray: int) -> dict[str, str]:
    paths = {}
    for kind, model in models.items():
        model.meta.instrument.name = instrument
        model.meta.instrument.detector = detector
        place = {"xstart": 1, "ystart": 1, "xsize": 2048, "ysize": 2048} | subarray
        for name, value in place.items():
            setattr(model.meta.subarray, name, value)
        paths[kind] = str(directory / f"{kind}.fits")
        model.save(paths[kind])
    return paths


def nirspec_exposure(directory: Path) -> Path:
    """Counts on the real bias and dark: the sky rises at 30 DN/s, read noise of 6 DN."""
    with fits.open(SUPERBIAS) as hdus:
        bias = np.nan_to_num(hdus["SCI"].data.astype(float))
    with fits.open(DARK) as hdus:
        dark = np.nan_to_num(hdus["SCI"].data.astype(float))
    rng = np.random.default_rng(4)
    seconds = 0.2257 * np.arange(1, 9)
    sky = rng.poisson(30.0 * 1.1 * 0.2257, (8, 32, 512)).cumsum(axis=0) / 1.1
    counts = bias + dark[:8] + sky + rng.normal(0, 6, (8, 32, 512))
    model = datamodels.Level1bModel(data=np.clip(np.round(counts), 0, 65535).astype(np.uint16)[None])
    for path, value in {
        "telescope": "JWST",
        "instrument.name": "NIRSPEC",
        "instrument.detector": "NRS1",
        "instrument.filter": "CLEAR",
        "instrument.grating": "PRISM",
        "exposure.type": "NRS_BRIGHTOBJ",
        "exposure.readpatt": "NRSRAPID",
        "exposure.nints": 1,
        "exposure.ngroups": 8,
        "exposure.nframes": 1,
        "exposure.groupgap": 0,
        "exposure.frame_time": float(seconds[0]),
        "exposure.group_time": float(seconds[0]),
        "exposure.noutputs": 1,
        "exposure.integration_start": 1,
        "exposure.integration_end": 1,
        "exposure.zero_frame": False,
        "subarray.name": "SUB512",
        "subarray.xstart": 1025,
        "subarray.ystart": 957,
        "subarray.xsize": 512,
        "subarray.ysize": 32,
        "subarray.fastaxis": 2,
        "subarray.slowaxis": 1,
        "observation.date": "2022-07-30",
        "observation.time": "12:00:00",
    }.items():
        model[f"meta.{path}"] = value
    path = directory / "jw01366001001_04101_00001_nrs1_uncal.fits"
    model.save(str(path))
    return path


def official_parameters(references: dict[str, str], steps: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """The references as overrides of the steps that ask for them."""
    return {step: {f"override_{kind}": references[kind] for kind in kinds} for step, kinds in steps.items()}


@needs_data
def test_a_real_acquisition_exposure_becomes_rates(tmp_path: Path) -> None:
    references = guider_references(tmp_path)
    result = run(ACQ1, output_dir=tmp_path, context=CONTEXT, use_crds_parameters=False, overrides=references)
    assert [step.status for step in result.steps] == ["COMPLETE"] * 3
    with fits.open(ACQ1) as raw, fits.open(result.products[-1]) as cal, fits.open(references["flat"]) as flat:
        counts = raw["SCI"].data.astype(float)
        place = (slice(1021, 1149), slice(886, 1014))
        expected = (counts[:, 1] - counts[:, 0]) / raw[0].header["TGROUP"] / flat["SCI"].data[place]
        np.testing.assert_allclose(cal["SCI"].data, expected, rtol=2e-6, atol=1e-4)
        assert (cal["ERR"].data > 0).all()


@needs_data
def test_a_nirspec_exposure_on_real_bias_and_dark_gives_the_sky(tmp_path: Path) -> None:
    file = nirspec_exposure(tmp_path)
    references = nirspec_references(tmp_path)
    # the outermost columns serve as reference pixels of SUB512: they would take the uniform sky with them
    result = run(
        file,
        output_dir=tmp_path,
        context=CONTEXT,
        use_crds_parameters=False,
        overrides=references,
        skip=["refpix"],
    )
    with fits.open(result.products[-1]) as rate:
        good = (rate["DQ"].data & 1) == 0
        slopes, errors = rate["SCI"].data[good], rate["ERR"].data[good]
    assert good.mean() > 0.9
    assert abs(np.median(slopes) - 30.0) < 0.5
    assert 0.7 < np.median(((slopes - 30.0) / errors) ** 2) / 0.455 < 1.4


@needs_data
@needs_official
@pytest.mark.parity
def test_real_input_gives_the_official_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guider, nirspec = tmp_path / "guider", tmp_path / "nirspec"
    for directory in (guider, nirspec):
        directory.mkdir()
    cases = (
        (
            ACQ1,
            guider_references(guider),
            {"dq_init": ["mask"], "guider_cds": ["gain", "readnoise"], "flat_field": ["flat"]},
            "GuiderPipeline",
            "fgs-acq1",
        ),
        (
            nirspec_exposure(nirspec),
            nirspec_references(nirspec),
            {
                "dq_init": ["mask"],
                "saturation": ["saturation", "superbias"],
                "ipc": ["ipc"],
                "superbias": ["superbias"],
                "linearity": ["linearity"],
                "dark_current": ["dark"],
                "jump": ["gain", "readnoise"],
                "ramp_fit": ["gain", "readnoise"],
                "gain_scale": ["gain"],
            },
            "Detector1Pipeline",
            "nirspec-sub",
        ),
    )
    for file, references, steps, pipeline, mode in cases:
        _, crds = exposure(mode)  # its CRDS cache answers for the types that are not overridden
        official = oracle.run_official(
            file,
            crds,
            context=CODE_DEFAULTS,
            parameters=official_parameters(references, steps),
            pipeline=pipeline,
            save_steps=False,
        )
        for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_MODE", "CRDS_READONLY_CACHE"):
            monkeypatch.setenv(name, "")
        use_cache(crds, offline=True)
        out = tmp_path / "out" / pipeline
        run(file, output_dir=out, context=CODE_DEFAULTS, overrides=references)
        for expected in sorted(official.glob("*.fits")):
            differences = compare(expected, out / expected.name, Tolerance())
            assert not differences, f"{expected.name}: {differences}"
