"""What goes wrong is said in one line with file, cause and remedy, and leaves no partial product."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from jwcal.core.errors import (
    InvalidData,
    InvalidKeyword,
    InvalidParameter,
    InvalidReference,
    JwcalError,
    MissingKeyword,
    MissingReference,
    OutputError,
    UnknownParameter,
    UnreadableFile,
)
from jwcal.detector1 import RunResult, run
from tests.tiny_exposure import SHAPE, SLOPE, write_references, write_uncal


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_references(tmp_path_factory.mktemp("references"))


def calibrate(file: Path, references: dict[str, str], **options: Any) -> RunResult:
    """Into ``out`` beside the file, without any CRDS cache."""
    given = {"output_dir": file.parent / "out"} | options
    return run(file, overrides=references, context="jwst_0000.pmap", use_crds_parameters=False, **given)


def refused(kind: type[JwcalError], file: Path, references: dict[str, str], **options: Any) -> str:
    """The error's text, after checking that it is whole and that nothing was left behind."""
    with pytest.raises(kind) as caught:
        calibrate(file, references, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.remedy
    assert left_behind(file.parent / "out") == []
    return text


def left_behind(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def test_an_absent_file(tmp_path: Path, references: dict[str, str]) -> None:
    file = tmp_path / "absent_uncal.fits"
    assert str(file) in refused(UnreadableFile, file, references)


def test_a_directory(tmp_path: Path, references: dict[str, str]) -> None:
    assert str(tmp_path) in refused(UnreadableFile, tmp_path, references)


@pytest.mark.parametrize("contents", [b"", b"\0" * 4000, b"this is no FITS file" * 300])
def test_a_file_that_is_not_fits(tmp_path: Path, references: dict[str, str], contents: bytes) -> None:
    file = tmp_path / "x_uncal.fits"
    file.write_bytes(contents)
    assert str(file) in refused(UnreadableFile, file, references)


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file(tmp_path: Path, references: dict[str, str], fraction: float) -> None:
    file = write_uncal(tmp_path)
    file.write_bytes(file.read_bytes()[: int(fraction * file.stat().st_size)])
    assert str(file) in refused(UnreadableFile, file, references)


def test_a_product_that_is_no_ramp(tmp_path: Path, references: dict[str, str]) -> None:
    file = write_uncal(tmp_path)
    with fits.open(file, mode="update") as hdus:
        hdus["SCI"].data = np.zeros(SHAPE, np.float32)
    assert "shape (24, 24)" in refused(InvalidData, file, references)


def test_a_file_without_pixels(tmp_path: Path, references: dict[str, str]) -> None:
    file = tmp_path / "x_uncal.fits"
    fits.PrimaryHDU().writeto(file)
    assert "SCI" in refused(UnreadableFile, file, references)


@pytest.mark.parametrize(
    ("path", "keyword"),
    [
        ("instrument.name", "INSTRUME"),
        ("instrument.detector", "DETECTOR"),
        ("exposure.type", "EXP_TYPE"),
        ("exposure.readpatt", "READPATT"),
        ("exposure.nframes", "NFRAMES"),
        ("exposure.group_time", "TGROUP"),
        ("exposure.frame_time", "TFRAME"),
        ("subarray.xstart", "SUBSTRT1"),
        ("observation.date", "DATE-OBS"),
    ],
)
def test_a_missing_keyword(tmp_path: Path, references: dict[str, str], path: str, keyword: str) -> None:
    file = write_uncal(tmp_path, header={path: None})
    text = refused(MissingKeyword, file, references)
    assert keyword in text
    assert str(file) in text


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("TELESCOP", "HST"),
        ("INSTRUME", "WFC3"),
        ("NGROUPS", 9),
        ("NGROUPS", "many"),
        ("TGROUP", 0.0),
        ("TGROUP", -10.0),
        ("TGROUP", "ten"),
        ("NFRAMES", 0),
        ("NFRAMES", "one"),
        ("SUBSTRT1", "left"),
    ],
)
def test_a_wrong_keyword(tmp_path: Path, references: dict[str, str], keyword: str, value: Any) -> None:
    file = write_uncal(tmp_path)
    with fits.open(file, mode="update") as hdus:
        del hdus["ASDF"]  # it holds the right values, which win over what cannot be
        hdus[0].header[keyword] = value
        if keyword == "SUBSTRT1":
            hdus["SCI"].header[keyword] = value
    text = refused(JwcalError, file, references)
    assert keyword in text or "TELESCOP" in text
    assert str(file) in text


def test_no_groups(tmp_path: Path, references: dict[str, str]) -> None:
    file = write_uncal(tmp_path, ngroups=1)
    with fits.open(file) as hdus:
        header = hdus["SCI"].header
        primary = hdus[0].header
    header["NAXIS3"] = 0
    primary["NGROUPS"] = 0
    blocks = [fits.PrimaryHDU(header=primary).header.tostring(), header.tostring()]
    file.write_bytes("".join(blocks).encode())
    assert str(file) in refused(JwcalError, file, references)


@pytest.mark.parametrize("ngroups", [1, 2])
def test_one_or_two_groups_still_give_a_slope(tmp_path: Path, references: dict[str, str], ngroups: int) -> None:
    file = write_uncal(tmp_path, ngroups=ngroups)
    result = calibrate(file, references)
    rate = fits.getdata(result.products[-1], "SCI")
    assert np.isfinite(rate).any()
    if ngroups == 2:
        np.testing.assert_allclose(rate, SLOPE, rtol=1e-5)


def test_a_wholly_saturated_exposure(tmp_path: Path, references: dict[str, str]) -> None:
    file = write_uncal(tmp_path, counts=np.full((1, 5, *SHAPE), 65535, np.uint16))
    text = refused(InvalidData, file, references)
    assert "saturated" in text
    assert str(file) in text


@pytest.mark.parametrize("reftype", ["superbias", "dark", "linearity", "saturation"])
def test_nan_in_a_reference_harms_that_pixel_only(tmp_path: Path, reftype: str) -> None:
    shapes = {"dark": (10, *SHAPE), "linearity": (2, *SHAPE)}
    data = np.full(
        shapes.get(reftype, SHAPE), {"superbias": 1000, "dark": 0, "saturation": 60000}.get(reftype, 0), np.float32
    )
    if reftype == "linearity":
        data[1] = 1
    data[..., 5, 7] = np.nan
    result = calibrate(write_uncal(tmp_path), write_references(tmp_path / "refs", **{reftype: data}))
    rate = fits.getdata(result.products[-1], "SCI")
    rate[5, 7] = SLOPE
    np.testing.assert_allclose(rate, SLOPE, rtol=1e-4)


@pytest.mark.parametrize("reftype", ["gain", "readnoise"])
@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0])
def test_a_pixel_without_gain_or_noise_is_not_used(tmp_path: Path, reftype: str, value: float) -> None:
    data = np.full(SHAPE, {"gain": 2, "readnoise": 10}[reftype], np.float32)
    data[5, 7] = value
    result = calibrate(write_uncal(tmp_path), write_references(tmp_path / "refs", **{reftype: data}))
    rate = fits.getdata(result.products[-1], "SCI")
    rate[5, 7] = SLOPE
    np.testing.assert_allclose(rate, SLOPE, rtol=1e-4)


def test_a_reference_of_another_shape(tmp_path: Path) -> None:
    references = write_references(tmp_path / "refs", superbias=np.zeros((7, 9), np.float32))
    text = refused(InvalidReference, write_uncal(tmp_path), references)
    assert "superbias.fits" in text
    assert "9 x 7" in text


def test_a_reference_that_is_not_there(tmp_path: Path, references: dict[str, str]) -> None:
    file = write_uncal(tmp_path)
    assert "/nowhere/dark.fits" in refused(MissingReference, file, references | {"dark": "/nowhere/dark.fits"})


def test_a_reference_that_is_no_reference(tmp_path: Path, references: dict[str, str]) -> None:
    wrong = tmp_path / "dark.fits"
    wrong.write_text("no")
    assert str(wrong) in refused(InvalidReference, write_uncal(tmp_path), references | {"dark": str(wrong)})


def test_an_override_that_no_step_asks_for(tmp_path: Path, references: dict[str, str]) -> None:
    assert "'photom'" in refused(InvalidParameter, write_uncal(tmp_path), references | {"photom": "N/A"})


def test_unknown_names_are_named(tmp_path: Path, references: dict[str, str]) -> None:
    file = write_uncal(tmp_path)
    assert "nope" in refused(UnknownParameter, file, references, parameters={"jump": {"nope": 1}})
    assert "nope" in refused(UnknownParameter, file, references, parameters={"nope": {"skip": True}})
    assert "nope" in refused(UnknownParameter, file, references, skip=["nope"])
    assert "nope" in refused(UnknownParameter, file, references, only_through="nope")
    assert "NOPE" in refused(InvalidParameter, file, references, plan="nope".upper())


def test_a_value_that_cannot_be(tmp_path: Path, references: dict[str, str]) -> None:
    file = write_uncal(tmp_path)
    text = refused(InvalidParameter, file, references, parameters={"jump": {"rejection_threshold": "high"}})
    assert "jump.rejection_threshold" in text


def test_the_plan_of_another_kind_of_exposure(tmp_path: Path) -> None:
    assert "EXP_TYPE" in refused(InvalidKeyword, write_uncal(tmp_path), {}, plan="GUIDER")


def test_an_output_directory_that_is_a_file(tmp_path: Path, references: dict[str, str]) -> None:
    place = tmp_path / "file"
    place.write_text("")
    assert str(place) in refused(OutputError, write_uncal(tmp_path), references, output_dir=place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_directory_without_permission(tmp_path: Path, references: dict[str, str]) -> None:
    place = tmp_path / "closed"
    place.mkdir(mode=0o500)
    assert "permission" in refused(OutputError, write_uncal(tmp_path), references, output_dir=place)


def a_process(
    file: Path,
    references: dict[str, str],
    *,
    before: Callable[[], None] | None = None,
    options: str = "",
    path: str = "",
) -> "subprocess.Popen[str]":
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from jwcal.detector1 import run\nfrom jwcal.core.errors import JwcalError\n"
        f"try:\n    run({str(file)!r}, output_dir={str(file.parent / 'out')!r}, overrides={references!r},"
        f" context='jwst_0000.pmap', use_crds_parameters=False, {options})\n"
        "except JwcalError as error:\n    print(type(error).__name__, error)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])},
    )


def test_a_full_disk(tmp_path: Path, references: dict[str, str]) -> None:
    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then fails, as it does on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    file = write_uncal(tmp_path)
    process = a_process(
        file, references, before=no_room, options="only_through='dq_init'", path=os.environ.get("PYTHONPATH", "")
    )
    out, err = process.communicate(timeout=120)
    assert out.startswith("OutputError"), err
    assert out.count("\n") == 1
    assert "remedy" in out
    assert left_behind(tmp_path / "out") == []


def test_an_interrupted_run(tmp_path: Path, references: dict[str, str]) -> None:
    (tmp_path / "slow_hook.py").write_text(
        f"import pathlib, time\ndef wait(product):\n    pathlib.Path({str(tmp_path / 'here')!r}).touch()\n"
        "    time.sleep(60)\n    return product\n"
    )
    options = "parameters={'dq_init': {'post_hooks': ['slow_hook:wait']}}"

    def heed() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # shells let background jobs ignore it

    process = a_process(write_uncal(tmp_path), references, before=heed, options=options, path=str(tmp_path))
    for _ in range(600):
        if (tmp_path / "here").exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert left_behind(tmp_path / "out") == []
