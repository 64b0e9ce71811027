"""Optional products: what is saved, and under which name."""

from pathlib import Path
from typing import Any

import asdf
import numpy as np
from astropy.io import fits

from jwcal.detector1 import run
from tests.tiny_exposure import NAME, SHAPE, write_references, write_uncal

TIMES = {"exposure.start_time": 60000.0, "exposure.integration_time": 40.0}
ROOT = NAME.removesuffix("_uncal.fits")


def products(tmp_path: Path, counts: Any = None, **parameters: dict[str, Any]) -> Path:
    """The directory of a run's products."""
    out = tmp_path / "out"
    run(
        write_uncal(
            tmp_path, counts=counts, header={"exposure.start_time": 60000.0, "exposure.integration_time": 40.0}
        ),
        output_dir=out,
        context="jwst_0000.pmap",
        use_crds_parameters=False,
        overrides=write_references(tmp_path / "references"),
        parameters=parameters,
    )
    return out


def saturating_counts() -> np.ndarray[Any, np.dtype[np.uint16]]:
    """One pixel saturates in the third group."""
    counts = np.broadcast_to(1000 + 200 * np.arange(1, 6)[None, :, None, None], (1, 5, *SHAPE)).astype(np.uint16)
    counts[0, 2:, 7, 9] = 65535
    return counts


def test_windows_left_open_are_saved_by_detector(tmp_path: Path) -> None:
    settings = {"skip": False, "persistence_time": 500, "save_persistence": "windows"}
    out = products(tmp_path, saturating_counts(), saturation={"n_pix_grow_sat": 0}, persistence=settings)
    with asdf.open(out / "windows.asdf") as file:
        entry = file.tree["NRCA1"]
        assert (list(entry["rows"]), list(entry["cols"]), entry["pers_time"]) == ([7], [9], 500)


def test_the_dark_that_was_subtracted_is_saved_under_the_name_asked_for(tmp_path: Path) -> None:
    out = products(tmp_path, dark_current={"dark_output": "used.fits"})
    with fits.open(out / "used.fits") as hdus:
        assert hdus[0].header["AUTHOR"] == "jwcal tests"  # the reference's metadata
        assert hdus["SCI"].shape[-2:] == SHAPE


def test_the_optional_fit_takes_the_name_asked_for(tmp_path: Path) -> None:
    out = products(tmp_path, ramp_fit={"save_opt": True, "opt_name": "mine_rate.fits"})
    assert (out / "mine_fitopt.fits").exists()
    assert not (out / f"{ROOT}_fitopt.fits").exists()


def test_an_optional_product_knows_nothing_of_later_steps(tmp_path: Path) -> None:
    out = products(tmp_path, ramp_fit={"save_opt": True})
    header = fits.getheader(out / f"{ROOT}_fitopt.fits")
    assert header["S_JUMP"] == "COMPLETE"
    assert "S_RAMP" not in header
