"""Superstripe exposures as files: each stripe has pixel flags of its own, repeated stripes have read times."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from stdatamodels.jwst import datamodels

from jwcal.core.data import Ramp, RateCube
from jwcal.core.errors import InvalidData
from jwcal.core.products.read import open_exposure
from jwcal.core.products.write import write_cube, write_ramp
from jwcal.core.scratch import Scratch
from tests.builders import NCOLUMNS, NROWS, a_ramp, a_rate_cube
from tests.tiny_exposure import write_uncal

POSITIONS = 3
SUPERSTRIPES = {"subarray.num_superstripe": POSITIONS}
MOMENTS = [f"int_{when}_{scale}" for scale in ("MJD_UTC", "BJD_TDB") for when in ("start", "mid", "end")]


def read_ramp(path: Path) -> Ramp:
    ramp = open_exposure(path).read(Scratch(None))
    assert isinstance(ramp, Ramp)
    return ramp


def a_superstripe_ramp(**arrays: Any) -> Ramp:
    flags = np.arange(POSITIONS * NROWS * NCOLUMNS, dtype=np.uint32).reshape(POSITIONS, NROWS, NCOLUMNS)
    return a_ramp(nints=2 * POSITIONS, metadata=SUPERSTRIPES, **({"pixeldq": flags} | arrays))


def test_a_raw_superstripe_exposure_gets_pixel_flags_for_each_position(tmp_path: Path) -> None:
    ramp = read_ramp(write_uncal(tmp_path, nints=2 * POSITIONS, header=SUPERSTRIPES))
    assert ramp.pixeldq.shape == (POSITIONS, *ramp.data.shape[-2:])
    assert not ramp.pixeldq.any()


def test_a_superstripe_ramp_comes_back_as_it_was_written(tmp_path: Path) -> None:
    ramp = a_superstripe_ramp()
    write_ramp(ramp, tmp_path / "a_ramp.fits")
    found = read_ramp(tmp_path / "a_ramp.fits")
    for name in ("data", "groupdq", "pixeldq"):
        np.testing.assert_array_equal(getattr(found, name), getattr(ramp, name))


def test_a_superstripe_ramp_opens_as_an_official_one(tmp_path: Path) -> None:
    write_ramp(a_superstripe_ramp(), tmp_path / "a_ramp.fits")
    with datamodels.open(str(tmp_path / "a_ramp.fits")) as model:
        assert type(model) is datamodels.SuperstripeRampModel
        assert model.pixeldq.shape == (POSITIONS, NROWS, NCOLUMNS)


def test_part_of_a_set_of_superstripes_is_refused(tmp_path: Path) -> None:
    exposure = open_exposure(write_uncal(tmp_path, nints=POSITIONS + 1, header=SUPERSTRIPES))
    with pytest.raises(InvalidData, match="whole sets") as caught:
        exposure.read(Scratch(None))
    assert caught.value.keyword == "SSTR_NST"


def test_read_times_come_back(tmp_path: Path) -> None:
    times = np.array([[0.1, 0.2], [0.4, 0.5], [0.9, 1.0]])
    write_ramp(a_ramp(read_times=times), tmp_path / "a_ramp.fits")
    found = read_ramp(tmp_path / "a_ramp.fits").read_times
    assert found is not None
    np.testing.assert_array_equal(found, times)


def test_writing_read_times_leaves_the_metadata_in_memory_alone(tmp_path: Path) -> None:
    ramp = a_ramp(read_times=np.array([[0.1], [0.2], [0.3]]))
    write_ramp(ramp, tmp_path / "a_ramp.fits")
    assert ramp.metadata.get("exposure.read_times") is None


def test_rates_of_integrations_carry_the_times_of_their_stripes(tmp_path: Path) -> None:
    times = np.zeros(2 * POSITIONS, datamodels.CubeModel().get_dtype("int_times_stripe"))
    times["integration_number"], times["stripe_number"] = [1, 1, 1, 2, 2, 2], [1, 2, 3, 1, 2, 3]
    for name in MOMENTS:
        times[name] = 60000 + np.arange(2 * POSITIONS)
    cube: RateCube = a_rate_cube(tables={"int_times_stripe": times})
    write_cube(cube, tmp_path / "a_rateints.fits")
    with datamodels.open(str(tmp_path / "a_rateints.fits")) as model:
        for name in times.dtype.names:
            np.testing.assert_array_equal(model.int_times_stripe[name], times[name])


def test_what_becomes_of_a_ramp_beyond_the_memory_limit_is_in_scratch_files_too(tmp_path: Path) -> None:
    file = write_uncal(tmp_path, ngroups=4, counts=np.ones((1, 4, 400, 400), np.uint16))
    scratch = Scratch(int((psutil.Process().memory_info().rss + (2 << 20)) / 0.8), tmp_path)
    ramp = open_exposure(file).read(scratch)
    assert isinstance(ramp, Ramp)
    array: Any = ramp.new_array((2, 3), np.float32)
    while isinstance(array, np.ndarray | memoryview):
        array = array.obj if isinstance(array, memoryview) else array.base
    assert isinstance(array, mmap.mmap)
    scratch.close()
