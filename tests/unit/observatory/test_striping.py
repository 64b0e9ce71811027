"""Exposures in multistripe readout."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from jwcal.core.dqflags import REFERENCE_PIXEL
from jwcal.observatory import MODES, Simulation, simulate
from jwcal.observatory.detector import pixels
from jwcal.observatory.reference_catalogue import entries_of
from jwcal.observatory.stripe_modes import STRIPE_MODES
from jwcal.observatory.striping import Striping
from jwcal.observatory.truth import read_truth

REPEATED = "nircam-superstripe-repeat"


@pytest.fixture(scope="module")
def crds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world") / "crds"


@pytest.fixture(scope="module")
def taken(crds: Path, tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return simulate(REPEATED, tmp_path_factory.mktemp("exposure"), crds=crds, ngroups=3, nints=2)


@pytest.mark.parametrize("name", [mode["name"] for mode in STRIPE_MODES])
def test_the_lines_of_every_mode_make_up_its_frames(name: str) -> None:
    striping = Striping.of(MODES[name])
    assert striping.readout.lines.shape == (striping.readout.positions, striping.readout.length)


@pytest.mark.parametrize("name", [mode["name"] for mode in STRIPE_MODES])
def test_lines_read_first_are_reference_pixels(name: str) -> None:
    mode = MODES[name]
    striping = Striping.of(mode)
    flags = pixels(mode.whole_detector).flags() & np.uint32(REFERENCE_PIXEL)
    frame = striping.take(flags, striping.readout.science_lines[0])
    leading = striping.readout.in_readout_order(frame)[: striping.readout.reads1]
    assert leading.all()


def test_the_header_tells_of_the_stripes(taken: Simulation) -> None:
    header = fits.getheader(taken.exposures[0])
    found = {name: header[name] for name in ("MSTR_RD1", "MSTR_SK1", "MSTR_RD2", "MSTR_RPT", "SSTR_STP", "SSTR_NST")}
    assert found == {"MSTR_RD1": 1, "MSTR_SK1": 165, "MSTR_RD2": 1, "MSTR_RPT": 1, "SSTR_STP": 1, "SSTR_NST": 64}


def test_every_superstripe_is_an_integration_of_the_file(taken: Simulation) -> None:
    with fits.open(taken.exposures[0]) as hdus:
        assert hdus["SCI"].shape == (128, 3, 8, 64)
        assert hdus[0].header["NINTS"] == len(hdus["INT_TIMES"].data) == 128


def test_a_stripe_read_again_has_gathered_more_light(taken: Simulation) -> None:
    truth = read_truth(taken.truth)
    y, x = np.unravel_index(np.argmax(truth.slope), truth.slope.shape)
    position = 63 - y  # lines run against the rows of the science frame
    raw = fits.getdata(taken.exposures[0], "SCI")[position].astype(float)
    reads = raw[:, 6::-2, x]  # science lines 6, 4, 2, 0: the reads in order, each after a reference line
    assert (np.diff(reads.reshape(-1)) > 0).all()


def test_truth_has_the_frames_of_calibrated_products(taken: Simulation) -> None:
    assert read_truth(taken.truth).slope.shape == (64, 64)


def test_segments_hold_whole_sets_of_superstripes(crds: Path, tmp_path: Path) -> None:
    parts = simulate("nircam-superstripe", tmp_path, crds=crds, ngroups=2, nints=3, segments=2)
    headers = [fits.getheader(path) for path in parts.exposures]
    assert [(header["INTSTART"], header["INTEND"]) for header in headers] == [(1, 16), (17, 24)]


def test_references_of_stripes_are_those_of_the_full_frame_but_for_the_dark() -> None:
    full = {entry.reftype: entry.file for entry in entries_of(MODES["nircam-lw"])}
    striped = {entry.reftype: entry.file for entry in entries_of(MODES["nircam-dhs-lw"])}
    for reftype in ("mask", "saturation", "superbias", "linearity", "gain", "readnoise", "ipc"):
        assert striped[reftype] == full[reftype]
    assert striped["dark"] != full["dark"]


def test_superstripes_have_no_interpixel_capacitance_reference() -> None:
    assert "ipc" not in {entry.reftype for entry in entries_of(MODES[REPEATED])}


@pytest.mark.usefixtures("taken")
def test_the_dark_has_the_frames_and_groups_of_collated_ramps(crds: Path) -> None:
    dark = next(entry.file for entry in entries_of(MODES[REPEATED]) if entry.reftype == "dark")
    with fits.open(crds / "references" / "jwst" / "nircam" / dark) as hdus:
        assert hdus["SCI"].shape == (16, 64, 64)
        assert (hdus[0].header["SUBSTRT1"], hdus[0].header["SUBSTRT2"]) == (1851, 1817)
