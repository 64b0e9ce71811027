"""The picture of a run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from jwcal.client.figure import Products, draw, read_products, telling_pixel
from jwcal.core import dqflags
from jwcal.core.data import Rates
from jwcal.core.products.write import write_cube, write_image, write_ramp
from tests.builders import a_ramp, a_rate_cube, a_rate_image, some_metadata

NINTS, NGROUPS, NY, NX = 2, 9, 8, 6
GROUP_TIME = 10.0
SLOPE = 5.0


def a_run(hits: dict[tuple[int, int, int, int], float], **changes: Any) -> Products:
    """Even light, and cosmic rays that add counts from (integration, group, row, column) on."""
    times = GROUP_TIME * np.arange(1, NGROUPS + 1)
    counts = np.tile((SLOPE * times)[:, None, None], (NINTS, 1, NY, NX)).astype(np.float32)
    groupdq = np.zeros(counts.shape, np.uint8)
    for (integration, group, row, column), size in hits.items():
        counts[integration, group:, row, column] += size
        groupdq[integration, group, row, column] = dqflags.JUMP_DET
    rate = np.full((NY, NX), SLOPE, np.float32) + np.linspace(0, 1, NX, dtype=np.float32)
    fields: dict[str, Any] = {
        "counts": counts,
        "groupdq": groupdq,
        "rate": rate,
        "rateints": np.broadcast_to(rate, (NINTS, NY, NX)).copy(),
        "dq": np.zeros((NY, NX), np.uint32),
        "group_time": GROUP_TIME,
    }
    return Products(**(fields | changes))


def test_the_pixel_shown_has_one_jump_in_its_middle() -> None:
    run = a_run({(0, 1, 2, 2): 400.0, (1, 4, 5, 3): 300.0, (0, 8, 6, 1): 400.0})
    assert telling_pixel(run) == (1, 5, 3)


def test_the_larger_of_two_jumps_is_shown() -> None:
    assert telling_pixel(a_run({(0, 4, 2, 2): 100.0, (0, 4, 3, 3): 300.0})) == (0, 3, 3)


def test_a_ramp_with_two_jumps_is_not_shown() -> None:
    run = a_run({(0, 3, 2, 2): 300.0, (0, 5, 2, 2): 300.0, (0, 4, 3, 3): 100.0})
    assert telling_pixel(run) == (0, 3, 3)


def test_a_saturated_ramp_is_not_shown() -> None:
    run = a_run({(0, 4, 2, 2): 300.0, (0, 4, 3, 3): 100.0})
    run.groupdq[0, 7:, 2, 2] = dqflags.SATURATED
    assert telling_pixel(run) == (0, 3, 3)


def test_a_pixel_without_a_slope_is_not_shown() -> None:
    run = a_run({(0, 4, 2, 2): 300.0, (0, 4, 3, 3): 100.0})
    run.rateints[0, 2, 2] = np.nan
    assert telling_pixel(run) == (0, 3, 3)


@pytest.mark.parametrize("hits", [{(0, 4, 3, 3): 300.0}, {}])
def test_a_picture_is_drawn_of_any_run(tmp_path: Path, hits: dict[tuple[int, int, int, int], float]) -> None:
    draw(a_run(hits), "A run", tmp_path / "run.png")
    picture = imread(tmp_path / "run.png")
    assert picture.shape[1] > 1500
    assert picture[..., :3].std() > 0.05


def test_flags_change_the_picture(tmp_path: Path) -> None:
    flagged = np.full((NY, NX), dqflags.DO_NOT_USE, np.uint32)
    draw(a_run({(0, 4, 3, 3): 300.0}), "A run", tmp_path / "plain.png")
    draw(a_run({(0, 4, 3, 3): 300.0}, dq=flagged), "A run", tmp_path / "flagged.png")
    assert (imread(tmp_path / "plain.png") != imread(tmp_path / "flagged.png")).any()


def test_pixels_that_hold_no_number_leave_the_picture_whole(tmp_path: Path) -> None:
    run = a_run({(0, 4, 3, 3): 300.0})
    run.rate[0] = np.nan
    draw(run, "A run", tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_the_products_of_a_run_are_read_in_native_order(tmp_path: Path) -> None:
    ramp, rates = a_ramp(), Rates(rate=a_rate_image(), rateints=a_rate_cube(), metadata=some_metadata())
    assert rates.rate is not None
    assert rates.rateints is not None
    write_ramp(ramp, tmp_path / "jump.fits")
    write_image(rates.rate, tmp_path / "rate.fits")
    write_cube(rates.rateints, tmp_path / "rateints.fits")
    found = read_products(*(tmp_path / f"{name}.fits" for name in ("jump", "rate", "rateints")))
    for name, expected in (
        ("counts", ramp.data),
        ("groupdq", ramp.groupdq),
        ("rate", rates.rate.data),
        ("rateints", rates.rateints.data),
        ("dq", rates.rate.dq),
    ):
        assert getattr(found, name).dtype == expected.dtype
        np.testing.assert_array_equal(getattr(found, name), expected)
    assert found.group_time == GROUP_TIME
