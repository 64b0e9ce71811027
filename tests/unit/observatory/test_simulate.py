"""Exposures and the world they come with."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from jwcal.observatory import MODES, Dither, Simulation, box, simulate
from jwcal.observatory.reference_catalogue import entries_of
from jwcal.observatory.truth import read_truth


@pytest.fixture(scope="module")
def crds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world") / "crds"


def _taken(crds: Path, out: Path, **changes: int) -> Simulation:
    return simulate("nircam-tso", out, crds=crds, **({"nints": 3, "ngroups": 4} | changes))


def test_the_same_seed_gives_the_same_pixels(crds: Path, tmp_path: Path) -> None:
    first, second = (_taken(crds, tmp_path / name, seed=7) for name in "ab")
    assert np.array_equal(fits.getdata(first.exposures[0], "SCI"), fits.getdata(second.exposures[0], "SCI"))


def test_another_seed_gives_other_pixels(crds: Path, tmp_path: Path) -> None:
    first, second = (_taken(crds, tmp_path / str(seed), seed=seed) for seed in (1, 2))
    assert not np.array_equal(fits.getdata(first.exposures[0], "SCI"), fits.getdata(second.exposures[0], "SCI"))


def test_references_already_there_are_not_made_again(crds: Path, tmp_path: Path) -> None:
    _taken(crds, tmp_path / "a")
    folder = crds / "references" / "jwst" / "nircam"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    _taken(crds, tmp_path / "b", seed=2)
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_segments_divide_the_integrations_of_one_exposure(crds: Path, tmp_path: Path) -> None:
    whole = _taken(crds, tmp_path / "whole", nints=5)
    parts = _taken(crds, tmp_path / "parts", nints=5, segments=2)
    headers = [fits.getheader(path) for path in parts.exposures]
    assert [(h["INTSTART"], h["INTEND"], h["EXSEGNUM"], h["EXSEGTOT"]) for h in headers] == [(1, 3, 1, 2), (4, 5, 2, 2)]
    joined = np.concatenate([fits.getdata(path, "SCI") for path in parts.exposures])
    assert np.array_equal(joined, fits.getdata(whole.exposures[0], "SCI"))


def test_more_segments_than_integrations_are_refused(crds: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be exposed"):
        _taken(crds, tmp_path, nints=2, segments=3)


def test_a_ramp_rises_by_the_true_slope(crds: Path, tmp_path: Path) -> None:
    taken = _taken(crds, tmp_path, nints=1, ngroups=8)
    ramp = fits.getdata(taken.exposures[0], "SCI")[0].astype(float)
    truth = read_truth(taken.truth)
    mode = MODES["nircam-tso"]
    brightest = np.unravel_index(np.argmax(truth.slope), truth.slope.shape)
    rise = (ramp[-1] - ramp[0])[brightest] / (7 * mode.frame_time)
    assert rise == pytest.approx(truth.slope[brightest], rel=0.05)


def test_cosmic_rays_are_recorded_where_the_ramp_steps(crds: Path, tmp_path: Path) -> None:
    taken = simulate("nircam-sw-sub", tmp_path, crds=crds, nints=1, ngroups=6)
    truth = read_truth(taken.truth)
    ramp = fits.getdata(taken.exposures[0], "SCI").astype(float)
    hits = truth.cosmic_rays[(truth.cosmic_rays["electrons"] > 3000) & (truth.cosmic_rays["group"] > 0)]
    hits = hits[truth.electrons[hits["y"], hits["x"]] < 100]
    i, g, y, x = (hits[name] for name in ("integration", "group", "y", "x"))
    steps = ramp[i, g, y, x] - ramp[i, g - 1, y, x]
    expected = np.minimum(hits["electrons"] / truth.gain, 20000)
    assert hits.size > 3
    assert np.all(steps > 0.7 * expected)


def test_irs2_needs_its_weights_and_other_modes_do_not() -> None:
    kinds = {name: {entry.reftype for entry in entries_of(MODES[name])} for name in ("nirspec", "nirspec-irs2")}
    assert "refpix" in kinds["nirspec-irs2"]
    assert "refpix" not in kinds["nirspec"]


@pytest.mark.parametrize("name", ["fgs-acq1", "fgs-track", "fgs-fineguide"])
def test_guide_star_files_hold_unsigned_integers(name: str, crds: Path, tmp_path: Path) -> None:
    taken = simulate(name, tmp_path, crds=crds, nints=2)
    with fits.open(taken.exposures[0]) as hdus:
        assert hdus["SCI"].data.dtype == np.uint16
        assert hdus[0].header["EXP_TYPE"] == MODES[name].exposure_type


def test_dithers_show_one_field_elsewhere_on_the_detector(crds: Path, tmp_path: Path) -> None:
    dithers = box(4.0)
    taken = [simulate("nircam-tso", tmp_path, crds=crds, nints=1, ngroups=2, dither=dither) for dither in dithers]
    first, *others = [read_truth(one.truth).stars for one in taken]
    for dither, stars in zip(dithers[1:], others, strict=True):
        np.testing.assert_allclose(stars["x"] - first["x"], dither.x)
        np.testing.assert_allclose(stars["y"] - first["y"], dither.y)
        np.testing.assert_array_equal(stars["flux"], first["flux"])
    headers = [fits.getheader(one.exposures[0]) for one in taken]
    assert [header["EXPOSURE"] for header in headers] == ["00001", "00002", "00003", "00004"]
    assert [header["PATT_NUM"] for header in headers] == [1, 2, 3, 4]
    starts = [header["EXPSTART"] for header in headers]
    assert starts == sorted(starts)
    assert len({one.exposures[0].name for one in taken}) == 4


def test_exposures_of_a_pattern_have_noise_of_their_own(crds: Path, tmp_path: Path) -> None:
    first, second = (
        simulate("nircam-tso", tmp_path, crds=crds, nints=1, ngroups=2, dither=Dither(number)) for number in (1, 2)
    )
    assert np.array_equal(read_truth(first.truth).electrons, read_truth(second.truth).electrons)
    assert not np.array_equal(fits.getdata(first.exposures[0], "SCI"), fits.getdata(second.exposures[0], "SCI"))


def test_a_mode_without_dithers_refuses_one(crds: Path, tmp_path: Path) -> None:
    guider = next(name for name, mode in MODES.items() if mode.is_guider)
    with pytest.raises(ValueError, match="not dithered"):
        simulate(guider, tmp_path, crds=crds, dither=Dither(2, 1.0, 1.0))
