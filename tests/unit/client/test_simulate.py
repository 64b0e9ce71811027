"""``jwcal simulate``: exposures, their truth, and how to go on."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from jwcal.client import exit_codes
from jwcal.client.simulate_command import list_modes, simulate_exposure
from jwcal.core.errors import InvalidParameter, UnknownParameter
from jwcal.observatory import MODES

QUICK = "fgs-acq1"
"""The mode that is made in no time."""


def simulated(out: Path, mode: str = QUICK, **changes: Any) -> int:
    options: dict[str, Any] = {"seed": 1, "crds": None, "ngroups": None, "nints": None, "segments": None}
    return simulate_exposure(mode, out, **(options | {"as_json": False} | changes))


def test_every_mode_is_listed_with_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_modes(as_json=False) == exit_codes.DONE
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.split()}
    assert set(MODES) <= set(rows)
    assert "FGS_ACQ1" in rows[QUICK]
    assert rows[QUICK].split()[-7:] == ["6", "x", "2", "x", "128", "x", "128"]


def test_modes_come_as_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    list_modes(as_json=True)
    assert json.loads(capsys.readouterr().out) == {"modes": list(MODES)}


def test_an_exposure_comes_with_truth_and_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated(tmp_path / "out", seed=7, nints=2, as_json=True) == exit_codes.DONE
    document = json.loads(capsys.readouterr().out)
    (exposure,) = document["exposures"]
    assert (document["mode"], document["seed"]) == (QUICK, 7)
    assert fits.getdata(exposure, "SCI").shape == (2, 2, 128, 128)
    assert Path(document["truth"]).is_file()
    assert Path(document["crds"]) == tmp_path / "out" / "crds"
    assert (tmp_path / "out" / "crds" / "mappings" / "jwst" / document["context"]).is_file()


def test_references_may_lie_elsewhere(tmp_path: Path) -> None:
    simulated(tmp_path / "out", crds=tmp_path / "world")
    assert (tmp_path / "world" / "references").is_dir()
    assert not (tmp_path / "out" / "crds").exists()


def test_the_text_says_how_to_calibrate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulated(tmp_path, segments=2)
    lines = capsys.readouterr().out.splitlines()
    exposures = lines[: lines.index(f"truth: {next(tmp_path.glob('*_truth.fits'))}")]
    assert [Path(line).is_file() for line in exposures] == [True, True]
    variables = dict(word.split("=", 1) for word in shlex.split(lines[-2])[1:])
    assert variables["CRDS_PATH"] == str(tmp_path / "crds")
    assert "serverless" in variables["CRDS_SERVER_URL"]
    assert lines[-1].split() == ["jwcal", "run", "detector1", *exposures]


def test_an_unknown_mode_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownParameter, match="'nircam-xw'") as caught:
        simulated(tmp_path, "nircam-xw")
    assert QUICK in str(caught.value.remedy)


@pytest.mark.parametrize("option", ["ngroups", "nints", "segments"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_number_below_one_is_refused_and_nothing_made(tmp_path: Path, option: str, value: int) -> None:
    with pytest.raises(InvalidParameter, match=f"--{option} {value} is below one"):
        simulated(tmp_path, **{option: value})
    assert list(tmp_path.iterdir()) == []


def test_more_segments_than_integrations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="2 integrations cannot be cut into 3 segments"):
        simulated(tmp_path, nints=2, segments=3)
    assert list(tmp_path.iterdir()) == []
