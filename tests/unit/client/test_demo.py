"""``jwcal demo``: from the sky to the count rate, held against the truth."""

import contextlib
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from jwcal.client import exit_codes
from jwcal.client.demo import run_demo
from jwcal.core.errors import OutputError
from tests.builders import use_crds


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What one demonstration says of itself; `out` is added: where it did it."""
    out, said = tmp_path_factory.mktemp("demo"), io.StringIO()
    with pytest.MonkeyPatch.context() as environment, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        use_crds(out, environment)  # the demonstration then uses its own
        with contextlib.redirect_stdout(said):
            assert run_demo(out, seed=3, as_json=True) == exit_codes.DONE
        yield json.loads(said.getvalue()) | {"out": out}


def test_the_demonstration_makes_rates_and_a_picture(document: Any) -> None:
    names = [Path(path).stem.rsplit("_", 1)[-1] for path in document["run"]["products"]]
    assert names == ["jump", "rateints", "rate"]
    assert all(Path(path).is_file() for path in document["run"]["products"])
    assert Path(document["picture"]) == document["out"] / "demo.png"
    assert Path(document["picture"]).read_bytes().startswith(b"\x89PNG")


def test_every_step_completes_or_says_why_not(document: Any) -> None:
    assert {step["status"] for step in document["run"]["steps"]} == {"COMPLETE", "SKIPPED"}
    assert all(step["reason"] for step in document["run"]["steps"] if step["status"] == "SKIPPED")


def test_cosmic_rays_are_caught_without_false_alarms(document: Any) -> None:
    found = document["cosmic_rays"]
    assert found["hits"] > 50
    assert found["caught"] > 0.95 * found["hits"]
    assert found["false_alarm_rate"] < 1e-3


def test_slopes_come_near_the_truth_with_honest_errors(document: Any) -> None:
    slopes = document["slopes"]
    assert abs(slopes["relative_bias"]) < 0.01
    assert abs(slopes["bias"]) < 0.5 * slopes["scatter"]
    assert 0.9 < slopes["pull_width"] < 1.2


def test_the_rate_is_of_the_simulated_exposure(document: Any) -> None:
    header = fits.getheader(document["run"]["products"][-1])
    assert (header["DETECTOR"], header["SUBARRAY"]) == ("NRCB1", "SUB320")
    assert header["S_RAMP"] == "COMPLETE"


def test_a_file_in_the_way_is_refused_before_any_work(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(OutputError, match="file"):
        run_demo(place, seed=1, as_json=True)
