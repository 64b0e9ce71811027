from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from jwcal.client.cli import app
from jwcal.client.compare import compare
from jwcal.core.errors import UnreadableFile

SHAPE = (8, 8)


def a_product(path: Path, keywords: dict[str, Any] | None = None, **changes: Any) -> Path:
    """SCI 100, ERR 1, DQ 0; `changes` maps an extension to ``{index: value}``."""
    planes = {
        "SCI": np.full(SHAPE, 100, np.float32),
        "ERR": np.full(SHAPE, 1, np.float32),
        "DQ": np.zeros(SHAPE, np.uint32),
    }
    for name, places in changes.items():
        for index, value in places.items():
            planes[name][index] = value
    primary = fits.PrimaryHDU()
    primary.header["EXP_TYPE"] = "NRC_IMAGE"
    primary.header["DATE"] = path.name
    primary.header.update(keywords or {})
    fits.HDUList([primary, *(fits.ImageHDU(data, name=name) for name, data in planes.items())]).writeto(path)
    return path


def found(a: Path, b: Path, name: str = "SCI", *, rtol: float = 1e-5, sigma: float = 0.0) -> Any:
    return {extension.name: extension for extension in compare(a, b, rtol=rtol, sigma=sigma).extensions}[name]


def test_a_product_equals_itself_but_for_its_date(tmp_path: Path) -> None:
    a, b = a_product(tmp_path / "a.fits"), a_product(tmp_path / "b.fits")
    assert compare(a, b, rtol=0, sigma=0).is_equal(0)


def test_values_within_the_relative_tolerance_agree(tmp_path: Path) -> None:
    a, b = a_product(tmp_path / "a.fits"), a_product(tmp_path / "b.fits", SCI={(0, 0): 100.05, (0, 1): 102.0})
    difference = found(a, b, rtol=1e-3)
    assert (difference.beyond, difference.largest, difference.largest_sigma) == (1, 2.0, 2.0)


def test_values_within_a_fraction_of_the_error_agree(tmp_path: Path) -> None:
    a, b = a_product(tmp_path / "a.fits"), a_product(tmp_path / "b.fits", SCI={(0, 0): 100.5})
    assert found(a, b, rtol=0, sigma=0.6).beyond == 0
    assert found(a, b, rtol=0, sigma=0.4).beyond == 1


def test_nan_counts_where_only_one_file_has_it(tmp_path: Path) -> None:
    a = a_product(tmp_path / "a.fits", SCI={(0, 0): np.nan, (1, 1): np.nan})
    b = a_product(tmp_path / "b.fits", SCI={(0, 0): np.nan, (2, 2): np.nan, (3, 3): np.nan})
    difference = found(a, b)
    assert (difference.nan_only_in_a, difference.nan_only_in_b, difference.beyond) == (1, 2, 0)
    assert not difference.is_equal(0)


def test_an_infinite_value_is_no_finite_one(tmp_path: Path) -> None:
    a, b = a_product(tmp_path / "a.fits", SCI={(0, 0): np.inf}), a_product(tmp_path / "b.fits")
    assert found(a, b).beyond == 1


def test_flags_are_counted_by_mnemonic(tmp_path: Path) -> None:
    a = a_product(tmp_path / "a.fits", DQ={(0, 0): 2, (1, 1): 1})
    b = a_product(tmp_path / "b.fits", DQ={(0, 0): 4, (1, 1): 1, (2, 2): 2**31})
    difference = found(a, b, "DQ")
    assert difference.flags == {"SATURATED": (1, 0), "JUMP_DET": (0, 1), "REFERENCE_PIXEL": (0, 1)}
    assert difference.beyond == 2


def test_a_changed_keyword_is_a_difference(tmp_path: Path) -> None:
    a, b = a_product(tmp_path / "a.fits"), a_product(tmp_path / "b.fits", {"S_JUMP": "COMPLETE"})
    assert compare(a, b, rtol=0, sigma=0).keywords == [("PRIMARY", "S_JUMP", None, "COMPLETE")]
    assert compare(a, b, rtol=0, sigma=0, ignored=frozenset({"S_JUMP"})).is_equal(0)


def test_an_extension_of_one_file_only_is_a_difference(tmp_path: Path) -> None:
    a, b = a_product(tmp_path / "a.fits"), a_product(tmp_path / "b.fits")
    with fits.open(b, mode="append") as hdus:
        hdus.append(fits.ImageHDU(np.zeros(3, np.float32), name="EXTRA"))
    assert "not in" in found(a, b, "EXTRA").problem


def test_a_fraction_may_be_allowed_to_differ(tmp_path: Path) -> None:
    a, b = a_product(tmp_path / "a.fits"), a_product(tmp_path / "b.fits", SCI={(0, 0): 0.0})
    assert compare(a, b, rtol=0, sigma=0).is_equal(1 / 64)
    assert not compare(a, b, rtol=0, sigma=0).is_equal(1 / 128)


def test_what_is_no_fits_file_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "a.fits"
    text.write_text("no")
    with pytest.raises(UnreadableFile, match="a\\.fits"):
        compare(text, text, rtol=0, sigma=0)


def test_the_exit_status_tells_equal_from_different(tmp_path: Path) -> None:
    a, b = a_product(tmp_path / "a.fits"), a_product(tmp_path / "b.fits", DQ={(0, 0): 4})
    runner = CliRunner()
    assert runner.invoke(app, ["compare", str(a), str(a)]).exit_code == 0
    different = runner.invoke(app, ["compare", str(a), str(b)])
    assert different.exit_code == 1
    assert "JUMP_DET" in different.stdout
