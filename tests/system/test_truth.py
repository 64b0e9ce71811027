"""Simulated exposures through the whole pipeline, held against what is true of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jwcal.core.references.best import use_cache
from jwcal.detector1 import run
from jwcal.observatory import simulate
from tests.bench.truth import ALGORITHMS, parameters, scores

MODES: dict[str, dict[str, int]] = {
    "nircam-sw-sub": {"nints": 3},
    "niriss-sub": {"nints": 3},
    "miri-sub": {"nints": 2, "ngroups": 30},
}
"""Small modes, and sizes; MIRI's first groups are lost to its reset anomaly, so its ramps are longer."""


@pytest.fixture(scope="module", params=[(mode, fit) for mode in MODES for fit in ALGORITHMS], ids=" ".join)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Scores of one mode and algorithm."""
    mode, algorithm = request.param
    place: Path = tmp_path_factory.mktemp("truth")
    simulation = simulate(mode, place, seed=7, **MODES[mode])
    with pytest.MonkeyPatch.context() as environment:
        for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_MODE", "CRDS_READONLY_CACHE"):
            environment.setenv(name, "")
        use_cache(simulation.crds, offline=True)
        run(
            simulation.exposures[0],
            output_dir=place / "products",
            context=simulation.context,
            parameters=parameters(mode, algorithm),
        )
        yield scores(place / "products", simulation.truth) | {"miri": mode.startswith("miri")}


def test_slopes_are_unbiased_within_the_noise(found: Any) -> None:
    """All pixels of a subarray share its drift, which few reference pixels tell; bright pixels hardly feel it."""
    slopes = found["slopes"]
    assert slopes["pixels"] > 20_000
    assert abs(slopes["bias"]) < 0.5 * slopes["scatter"]
    assert abs(slopes["relative_bias"]) < 0.01


def test_errors_are_honest(found: Any) -> None:
    """Without the worst percent a Gaussian gives 0.93; what ERR does not know adds to it: 1/f noise, and drifts.

    MIRI's subarrays get no correction by reference pixels, so their outputs' drifts stay, and show in its chi square
    of 2.4; about the median of each output it is as that of the others.
    """
    assert 0.85 < found["slopes"]["chi_square_about_drift"] < 1.35
    assert found["slopes"]["reduced_chi_square"] < (3.0 if found["miri"] else 1.35)


def test_pixels_that_were_hit_have_honest_slopes_too(found: Any) -> None:
    assert found["hit"]["pixels"] > 30
    assert abs(found["hit"]["bias"]) < 0.6 * found["hit"]["scatter"]


def test_hits_above_ten_sigma_are_found(found: Any) -> None:
    large = [size for size in found["ramps"]["by_size"] if size[0] >= 10]
    hits, caught = sum(size[2] for size in large), sum(size[3] for size in large)
    assert hits > 20
    assert caught >= 0.97 * hits


def test_quiet_samples_are_not_flagged(found: Any) -> None:
    """A threshold of 4 sigma lets 6e-5 of Gaussian samples through, and of ramps as many times more as they have
    samples; MIRI's ramps are the longest, and what is left of its interference adds some."""
    assert found["ramps"]["false_alarm_rate"] < (2e-2 if found["miri"] else 2e-3)
    if "samples" in found:
        assert found["samples"]["false_alarm_rate"] < (5e-4 if found["miri"] else 2e-4)
