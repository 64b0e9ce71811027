"""The comparison itself finds what differs."""

from pathlib import Path
from typing import Any

import asdf
import numpy as np
import pytest
from astropy.io import fits

from .comparison import Tolerance, compare

SHAPE = (200, 100)


def a_product(path: Path, *, keywords: dict[str, Any] | None = None, time: float = 60000.0, **planes: Any) -> Path:
    """SCI of 100 DN/s, ERR of 1, DQ without flags and a table of one row; `planes` takes the place of some."""
    arrays = {
        "SCI": np.full(SHAPE, 100, np.float32),
        "ERR": np.ones(SHAPE, np.float32),
        "DQ": np.zeros(SHAPE, np.uint32),
    } | planes
    table = np.array([(1, time, b"UTC")], [("number", "i4"), ("time", "f8"), ("scale", "S3")])
    hdus = fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(array, name=name) for name, array in arrays.items())])
    hdus.append(fits.BinTableHDU(table, name="INT_TIMES"))
    hdus[0].header.update({"S_JUMP": "COMPLETE", "DATE": path.stem} | (keywords or {}))
    hdus.writeto(path)
    return path


def changed(value: float, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """SCI with `value` in some pixels."""
    plane = np.full(SHAPE, 100, np.float32)
    plane.flat[:count] = value
    return plane


def flagged(count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """DQ with JUMP_DET in some pixels."""
    plane = np.zeros(SHAPE, np.uint32)
    plane.flat[:count] = 4
    return plane


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"keywords": {"S_JUMP": "SKIPPED"}}, "S_JUMP"),
        ({"keywords": {"R_FLAT": "N/A"}}, "keyword R_FLAT: 'absent'"),
        ({"time": 60000.1}, "INT_TIMES: column time differs"),
        ({"SCI": changed(100.01, 3)}, "SCI: 3 of 20000 values differ"),
        ({"SCI": changed(np.nan, 3)}, "NaN patterns"),
        ({"DQ": flagged(3)}, "by bit {4: 3}"),
        ({"SCI": np.zeros((5, 5), np.float32)}, "shapes"),
        ({"EXTRA": np.zeros(SHAPE, np.float32)}, "extensions differ"),
    ],
)
def test_what_differs_is_found(tmp_path: Path, what: dict[str, Any], said: str) -> None:
    found = compare(a_product(tmp_path / "a.fits"), a_product(tmp_path / "b.fits", **what), Tolerance())
    assert any(said in line for line in found), found


@pytest.mark.parametrize(
    "what",
    [{}, {"SCI": changed(100.0009, 3)}, {"SCI": changed(0.0, 1)}, {"DQ": flagged(1)}],
    ids=["nothing", "within the error", "one pixel in 20,000", "one flag in 20,000"],
)
def test_what_is_within_the_tolerance_is_not(tmp_path: Path, what: dict[str, Any]) -> None:
    assert compare(a_product(tmp_path / "a.fits"), a_product(tmp_path / "b.fits", **what), Tolerance()) == []


@pytest.mark.parametrize(("rows", "said"), [([1, 3], "rows differs"), ([1], "shapes")])
def test_windows_that_differ_are_found(tmp_path: Path, rows: list[int], said: str) -> None:
    for name, values in (("a", [1, 2]), ("b", rows)):
        asdf.AsdfFile({"NIS": {"filename": name, "rows": np.array(values)}}).write_to(tmp_path / f"{name}.asdf")
    found = compare(tmp_path / "a.asdf", tmp_path / "b.asdf", Tolerance())
    assert len(found) == 1 and said in found[0]
