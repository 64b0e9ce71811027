"""``jwcal demo``: from the sky to the count rates, through the services, held against the truth."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from jwcal.client.local.installation import Installation

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "jwcal.client"]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one demonstration says of itself; `out` is added: where it did it."""
    out = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [*COMMAND, "demo", "--out", str(out), "--seed", "3", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"out": out}


def test_the_demonstration_makes_rates_of_four_dithers_and_a_picture(document: Any) -> None:
    names = sorted(Path(path).name for path in document["files"])
    kinds = ("jump", "rate", "rateints")
    roots = sorted(one["exposure"] for one in document["exposures"])
    assert len(roots) == 4
    assert names == [f"{root}_{kind}.fits" for root in roots for kind in kinds]
    assert all(Path(path).is_file() for path in document["files"])
    assert Path(document["picture"]) == document["out"] / "demo.png"
    assert Path(document["picture"]).read_bytes().startswith(b"\x89PNG")


def test_every_step_completes_or_says_why_not(document: Any) -> None:
    steps = [step for job in document["jobs"] for step in job["steps"]]
    assert {step["outcome"] for step in steps} == {"COMPLETE", "SKIPPED"}
    assert all(step["reason"] for step in steps if step["outcome"] == "SKIPPED")


def test_cosmic_rays_are_caught_without_false_alarms(document: Any) -> None:
    for one in document["exposures"]:
        found = one["cosmic_rays"]
        assert found["hits"] > 50
        assert found["caught"] > 0.95 * found["hits"]
        assert found["false_alarm_rate"] < 1e-3


def test_slopes_come_near_the_truth_with_honest_errors(document: Any) -> None:
    for one in document["exposures"]:
        slopes = one["slopes"]
        assert abs(slopes["relative_bias"]) < 0.01
        assert abs(slopes["bias"]) < 0.5 * slopes["scatter"]
        assert 0.9 < slopes["pull_width"] < 1.2


def test_the_rates_are_of_the_simulated_exposures(document: Any) -> None:
    headers = [fits.getheader(path) for path in document["files"] if path.endswith("_rate.fits")]
    assert sorted(header["EXPOSURE"] for header in headers) == ["00001", "00002", "00003", "00004"]
    assert {(h["DETECTOR"], h["SUBARRAY"], h["S_RAMP"]) for h in headers} == {("NRCB1", "SUB320", "COMPLETE")}


def test_nothing_runs_any_more(document: Any) -> None:
    services = Installation(document["out"] / "services").services()
    assert services
    assert not any(one.running for one in services)


def test_a_file_in_the_way_is_refused_before_any_work(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    done = subprocess.run([*COMMAND, "demo", "--out", str(place)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "file" in done.stderr
    assert done.stdout == ""
