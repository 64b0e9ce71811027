"""Products are whole or not there, hold everything of their input, and open like official ones."""

import errno
import mmap
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

from jwcal.core.data import GuiderRamp, Ramp, SideProduct
from jwcal.core.errors import InvalidData, OutputError, UnreadableFile
from jwcal.core.products.planes import read_array, read_dq_plane
from jwcal.core.products.read import open_exposure, read_plane
from jwcal.core.products.replacing import output_error
from jwcal.core.products.write import (
    check_directory,
    write_cube,
    write_guider,
    write_image,
    write_ramp,
    write_side_product,
)
from jwcal.core.scratch import Scratch
from tests.builders import NCOLUMNS, NROWS, a_guider_cube, a_ramp, a_rate_cube, a_rate_image
from tests.tiny_exposure import SHAPE, write_uncal

PLANES = ("data", "err", "dq", "var_poisson", "var_rnoise")
INT_TIMES = np.array(
    [(1, 60000.0, 60000.1, 60000.2, 60000.3, 60000.4, 60000.5), (2, *[60001.0] * 6)],
    datamodels.CubeModel().get_dtype("int_times"),
)
OWN = {"DATE", "FILENAME", "DATAMODL", "BITPIX", "BZERO", "BSCALE"}
"""Keywords that tell of the file itself."""


def test_a_full_disk_is_told_from_other_failures() -> None:
    for error in (
        OSError(errno.ENOSPC, "No space left"),
        OSError("Not enough space on disk: requested 2, available 1"),
    ):
        assert "the disk is full" in str(output_error(Path("x.fits"), error))
    assert "the disk is full" not in str(output_error(Path("x.fits"), OSError(errno.EIO, "Input/output error")))


def read_ramp(path: Path, scratch: Scratch | None = None) -> Ramp:
    ramp = open_exposure(path).read(scratch or Scratch(None))
    assert isinstance(ramp, Ramp)
    return ramp


def cards(header: fits.Header) -> list[tuple[str, Any]]:
    """Keywords and values but those of the file itself."""
    return [(card.keyword, card.value) for card in header.cards if card.keyword and card.keyword not in OWN]


def test_a_ramp_comes_back_as_it_was_written(tmp_path: Path) -> None:
    ramp = a_ramp()
    write_ramp(ramp, tmp_path / "a_ramp.fits")
    found = read_ramp(tmp_path / "a_ramp.fits")
    for name in ("data", "groupdq", "pixeldq"):
        expected = getattr(ramp, name)
        assert getattr(found, name).dtype == expected.dtype
        np.testing.assert_array_equal(getattr(found, name), expected)
    ignored = {"date", "filename", "model_type"}
    assert dict(ramp.metadata.leaves()).items() <= dict(found.metadata.leaves()).items()
    assert dict(found.metadata.leaves()).keys() - dict(ramp.metadata.leaves()).keys() == ignored


def test_the_optional_planes_of_a_ramp_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    planes = {
        "zeroframe": rng.random((2, NROWS, NCOLUMNS)).astype(np.float32),
        "refout": rng.random((2, 3, NROWS, 1)).astype(np.float32),
        "average_dark_current": rng.random((NROWS, NCOLUMNS)).astype(np.float32),
    }
    write_ramp(a_ramp(metadata={"exposure.zero_frame": True}, **planes), tmp_path / "a_ramp.fits")
    found = read_ramp(tmp_path / "a_ramp.fits")
    for name, expected in planes.items():
        np.testing.assert_array_equal(getattr(found, name), expected)


def test_a_zero_frame_that_the_header_disowns_is_not_used(tmp_path: Path) -> None:
    plane = np.ones((2, NROWS, NCOLUMNS), np.float32)
    write_ramp(a_ramp(metadata={"exposure.zero_frame": False}, zeroframe=plane), tmp_path / "a_ramp.fits")
    assert read_ramp(tmp_path / "a_ramp.fits").zeroframe is None


def test_tables_come_back(tmp_path: Path) -> None:
    write_ramp(a_ramp(tables={"int_times": INT_TIMES}), tmp_path / "a_ramp.fits")
    found = read_ramp(tmp_path / "a_ramp.fits").tables["int_times"]
    assert found.tolist() == INT_TIMES.tolist()


def test_unsigned_counts_are_read_as_they_were_taken(tmp_path: Path) -> None:
    counts = np.linspace(0, 65535, 5 * SHAPE[0] * SHAPE[1]).astype(np.uint16).reshape(1, 5, *SHAPE)
    np.testing.assert_array_equal(read_ramp(write_uncal(tmp_path, counts=counts)).data, counts)


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """An exposure with keywords and extensions that no schema knows."""
    file = write_uncal(tmp_path)
    with fits.open(file, mode="update") as hdus:
        hdus[0].header["MYKEY"] = ("hello", "a word")
        hdus[0].header["COMMENT"] = "a remark"
        hdus[0].header["HISTORY"] = "taken at night"
        hdus[0].header["HISTORY"] = "and sent down in the morning"
        hdus["SCI"].header["MYSCI"] = (2.5, "of the pixels")
        hdus.append(fits.ImageHDU(np.arange(6, dtype=np.float32).reshape(2, 3), name="MYIMAGE"))
        hdus.append(fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.arange(3.0))], name="MYTABLE"))
    return file


def a_rewritten(file: Path, out: Path) -> Path:
    write_ramp(read_ramp(file), out)
    return out


def owner(array: Any) -> object:
    """What holds the memory of an array in the end."""
    while isinstance(array, np.ndarray | memoryview):
        array = array.obj if isinstance(array, memoryview) else array.base
    return array


def test_every_card_of_the_input_is_in_the_product(tmp_path: Path, strange: Path) -> None:
    out = a_rewritten(strange, tmp_path / "out_ramp.fits")
    with fits.open(strange) as before, fits.open(out) as after:
        for name in ("PRIMARY", "SCI"):
            lost = [card for card in cards(before[name].header) if card not in cards(after[name].header)]
            assert lost == []
        assert after[0].header.comments["MYKEY"] == "a word"
        assert list(after[0].header["HISTORY"]) == list(before[0].header["HISTORY"])


def test_every_extension_of_the_input_is_in_the_product(tmp_path: Path, strange: Path) -> None:
    out = a_rewritten(strange, tmp_path / "out_ramp.fits")
    with fits.open(strange) as before, fits.open(out) as after:
        assert {hdu.name for hdu in before} <= {hdu.name for hdu in after}
        np.testing.assert_array_equal(after["MYIMAGE"].data, before["MYIMAGE"].data)
        np.testing.assert_array_equal(after["MYTABLE"].data["a"], before["MYTABLE"].data["a"])


def test_a_product_of_a_product_gains_no_second_copy_of_anything(tmp_path: Path, strange: Path) -> None:
    once = a_rewritten(strange, tmp_path / "once_ramp.fits")
    twice = a_rewritten(once, tmp_path / "twice_ramp.fits")
    with fits.open(once) as before, fits.open(twice) as after:
        assert sorted(hdu.name for hdu in after) == sorted(hdu.name for hdu in before)
        assert sorted(map(str, cards(after[0].header))) == sorted(map(str, cards(before[0].header)))


def test_a_rate_carries_what_its_exposure_had_beside_the_schema(tmp_path: Path, strange: Path) -> None:
    write_image(a_rate_image(), tmp_path / "a_rate.fits", extra=read_ramp(strange).extra)
    with fits.open(tmp_path / "a_rate.fits") as hdus:
        assert hdus[0].header["MYKEY"] == "hello"
        assert hdus["MYIMAGE"].data.shape == (2, 3)


def test_a_rate_opens_as_an_official_image(tmp_path: Path) -> None:
    image = a_rate_image()
    write_image(image, tmp_path / "a_rate.fits")
    with datamodels.open(tmp_path / "a_rate.fits") as model:
        assert type(model) is datamodels.ImageModel
        model.validate()
        assert model.meta.filename == "a_rate.fits"
        assert model.meta.exposure.group_time == 10.0
        for name in PLANES:
            np.testing.assert_array_equal(getattr(model, name), getattr(image, name))


def test_a_rate_opens_in_astropy(tmp_path: Path) -> None:
    image = a_rate_image()
    write_image(image, tmp_path / "a_rate.fits")
    with fits.open(tmp_path / "a_rate.fits") as hdus:
        hdus.verify("exception")
        assert {hdu.name for hdu in hdus} == {"PRIMARY", "SCI", "ERR", "DQ", "VAR_POISSON", "VAR_RNOISE", "ASDF"}
        np.testing.assert_array_equal(hdus["SCI"].data, image.data)
        np.testing.assert_array_equal(hdus["DQ"].data, image.dq)
        assert hdus["DQ"].data.dtype == np.uint32
        assert hdus[0].header["INSTRUME"] == "NIRCAM"


@pytest.mark.parametrize(
    ("metadata", "model"),
    [
        ({"exposure.type": "MIR_MRS"}, "IFUImageModel"),
        ({"exposure.type": "NRS_IFU"}, "IFUImageModel"),
        ({"exposure.type": "NRS_LAMP", "instrument.lamp_mode": "IFU"}, "IFUImageModel"),
        ({"exposure.type": "NRS_LAMP", "instrument.lamp_mode": "MSASPEC"}, "ImageModel"),
        ({"exposure.type": "NRS_MSASPEC"}, "ImageModel"),
    ],
)
def test_the_rate_of_an_integral_field_has_its_own_model(tmp_path: Path, metadata: dict[str, Any], model: str) -> None:
    write_image(a_rate_image(metadata), tmp_path / "a_rate.fits")
    assert fits.getheader(tmp_path / "a_rate.fits")["DATAMODL"] == model


def test_rates_of_integrations_open_as_an_official_cube(tmp_path: Path) -> None:
    cube = a_rate_cube(tables={"int_times": INT_TIMES})
    write_cube(cube, tmp_path / "a_rateints.fits")
    with datamodels.open(tmp_path / "a_rateints.fits") as model:
        assert type(model) is datamodels.CubeModel
        for name in PLANES:
            np.testing.assert_array_equal(getattr(model, name), getattr(cube, name))
        assert list(map(tuple, model.int_times.tolist())) == INT_TIMES.tolist()


def test_guide_star_images_open_as_official_ones(tmp_path: Path) -> None:
    cube = a_guider_cube()
    write_guider(cube, tmp_path / "a_cal.fits")
    with datamodels.GuiderCalModel(str(tmp_path / "a_cal.fits")) as model:
        for name in ("data", "err", "dq"):
            np.testing.assert_array_equal(getattr(model, name), getattr(cube, name))


def test_a_guide_star_ramp_comes_back_as_it_was_written(tmp_path: Path) -> None:
    cube = a_guider_cube()
    counts = np.arange(2 * 3 * NROWS * NCOLUMNS, dtype=np.float32).reshape(2, 3, NROWS, NCOLUMNS)
    write_guider(GuiderRamp(data=counts, dq=cube.dq, metadata=cube.metadata), tmp_path / "a_uncal.fits")
    found = open_exposure(tmp_path / "a_uncal.fits").read(Scratch(None))
    assert isinstance(found, GuiderRamp)
    np.testing.assert_array_equal(found.data, counts)
    np.testing.assert_array_equal(found.dq, cube.dq)


def test_a_side_product_has_the_metadata_of_its_exposure(tmp_path: Path) -> None:
    side = SideProduct(model="ImageModel", arrays={"data": np.ones((NROWS, NCOLUMNS), np.float32)})
    write_side_product(side, a_ramp().metadata, tmp_path / "a_side.fits")
    assert fits.getheader(tmp_path / "a_side.fits")["READPATT"] == "RAPID"
    assert fits.getdata(tmp_path / "a_side.fits", "SCI").all()


def test_the_logs_of_a_run_are_in_its_product(tmp_path: Path) -> None:
    write_image(a_rate_image(), tmp_path / "a_rate.fits", logs={"calwebb_detector1": ["step jump done"]})
    with datamodels.open(tmp_path / "a_rate.fits") as model:
        assert model.cal_logs.instance == {"calwebb_detector1": ["step jump done"]}


def test_writing_changes_nothing_of_the_product_in_memory(tmp_path: Path) -> None:
    image = a_rate_image()
    before, extra = image.metadata.copy(), {"PRIMARY": {"header": [["MYKEY", 1, ""]]}}
    write_image(image, tmp_path / "a_rate.fits", extra=extra)
    assert image.metadata.tree == before.tree
    assert extra == {"PRIMARY": {"header": [["MYKEY", 1, ""]]}}


def test_a_product_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "a_rate.fits"
    path.write_text("old")
    write_image(a_rate_image(), path)
    assert fits.getheader(path)["FILENAME"] == path.name
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def without_room(write: Callable[[], None]) -> None:
    """Call `write` where files end after a few kB, as they do on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a_rate.fits"
    with pytest.raises(OutputError) as caught:
        without_room(lambda: write_image(a_rate_image(), path))
    assert caught.value.file == str(path)
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_older_product(tmp_path: Path) -> None:
    path = tmp_path / "a_rate.fits"
    path.write_text("old")
    with pytest.raises(OutputError):
        without_room(lambda: write_image(a_rate_image(), path))
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_metadata_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="object"):
        write_image(a_rate_image({"my.thing": object()}), tmp_path / "a_rate.fits")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"absent/a_rate\.fits"):
        write_image(a_rate_image(), tmp_path / "absent" / "a_rate.fits")


def test_an_output_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    check_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_is_no_output_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        check_directory(tmp_path / "file")


def test_a_ramp_beyond_the_memory_limit_is_the_same_from_a_scratch_file(tmp_path: Path) -> None:
    counts = np.random.default_rng(1).integers(0, 65535, (1, 4, 400, 400), np.uint16)
    file = write_uncal(tmp_path, ngroups=4, counts=counts)
    room = 2 << 20
    scratch = Scratch(int((psutil.Process().memory_info().rss + room) / 0.8), tmp_path)
    ramp = read_ramp(file, scratch)
    assert isinstance(owner(ramp.data), mmap.mmap)
    np.testing.assert_array_equal(ramp.data, counts)
    scratch.close()


def test_group_flags_of_another_shape_are_refused(tmp_path: Path) -> None:
    write_ramp(a_ramp(), tmp_path / "a_ramp.fits")
    with fits.open(tmp_path / "a_ramp.fits", mode="update") as hdus:
        hdus["GROUPDQ"].data = hdus["GROUPDQ"].data[:, :2]
    with pytest.raises(InvalidData, match="GROUPDQ has shape"):
        read_ramp(tmp_path / "a_ramp.fits")


def test_a_users_plane_comes_in_native_order(tmp_path: Path) -> None:
    flags = np.arange(6, dtype=np.uint32).reshape(2, 3)
    fits.PrimaryHDU(flags).writeto(tmp_path / "dq.fits")
    assert read_array(tmp_path / "dq.fits").dtype.isnative
    np.testing.assert_array_equal(read_dq_plane(tmp_path / "dq.fits"), flags)


def test_the_science_image_comes_before_others(tmp_path: Path) -> None:
    first, science = (fits.ImageHDU(np.full((2, 3), value), name=name) for name, value in (("ERR", 1.0), ("SCI", 2.0)))
    fits.HDUList([fits.PrimaryHDU(), first, science]).writeto(tmp_path / "a.fits")
    assert (read_plane(tmp_path / "a.fits") == 2).all()


@pytest.mark.parametrize("read", [read_array, read_plane])
def test_a_users_plane_that_is_none_is_refused_by_name(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    empty, text = tmp_path / "empty.fits", tmp_path / "text.fits"
    fits.PrimaryHDU().writeto(empty)
    text.write_text("no FITS")
    for path in (empty, text, tmp_path / "absent.fits"):
        with pytest.raises(UnreadableFile, match=path.name) as caught:
            read(path)
        assert caught.value.remedy
