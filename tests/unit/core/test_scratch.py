"""Arrays larger than the memory limit live in a file, with the same contents."""

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from jwcal.core.errors import InvalidParameter, OutputError
from jwcal.core.scratch import Scratch

MIB = 1 << 20


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def open_files(directory: Path) -> list[os.stat_result]:
    """Files in `directory` that this process holds open, deleted ones too."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if entry.readlink().is_relative_to(directory):
                found.append(entry.stat())
        except FileNotFoundError:
            continue  # the listing's own
    return found


def waiting(*, seconds: float) -> Iterator[None]:
    """A short sleep at each turn, until the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.01)
        yield


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    """Without any memory to spare, so that it hands pages back all the time."""
    made = Scratch(1, tmp_path)
    yield made
    made.close()


def test_without_a_limit_nothing_spills() -> None:
    assert not Scratch(None).must_spill(1 << 60)


def test_what_fits_stays_in_memory() -> None:
    assert not Scratch(2 * resident() + 1000 * MIB).must_spill(100 * MIB)


def test_what_does_not_fit_spills() -> None:
    assert Scratch(2 * resident() + 1000 * MIB).must_spill(2 * resident() + 1000 * MIB)


def test_a_limit_below_what_the_program_holds_is_refused_with_both_numbers() -> None:
    with pytest.raises(InvalidParameter, match=r"a memory limit of 1 MiB .* \(\d+ MiB\)") as caught:
        Scratch(MIB).must_spill(1)
    assert "--memory-limit" in str(caught.value.remedy)


@pytest.mark.parametrize("spill", [False, True])
def test_an_array_is_zero_and_writable_wherever_it_lives(scratch: Scratch, spill: bool) -> None:
    array = scratch.zeros((3, 5, 7), np.float32, spill=spill)
    assert (array.shape, array.dtype) == ((3, 5, 7), np.float32)
    assert not array.any()
    array[1, 2, 3] = 4
    assert array.sum() == 4


def test_only_what_spills_has_a_file(tmp_path: Path, scratch: Scratch) -> None:
    in_memory = scratch.zeros((MIB,), np.uint8, spill=False)
    assert open_files(tmp_path) == []
    in_file = scratch.zeros((MIB,), np.uint8, spill=True)
    assert [status.st_size for status in open_files(tmp_path)] == [MIB]
    assert in_memory.size == in_file.size


def test_the_contents_survive_handing_the_pages_back(scratch: Scratch) -> None:
    expected = np.random.default_rng(1).random((64, 16384))
    array = scratch.zeros(expected.shape, np.float64, spill=True)
    for row, values in zip(array, expected, strict=True):
        row[:] = values
        time.sleep(0.001)
    time.sleep(0.05)
    np.testing.assert_array_equal(array, expected)


def test_pages_above_the_limit_leave_the_memory(scratch: Scratch) -> None:
    array = scratch.zeros((64 * MIB,), np.uint8, spill=True)
    before = resident()
    array[:] = 7
    assert any(resident() < before + 16 * MIB for _ in waiting(seconds=5))
    assert array[-1] == 7


def test_no_name_is_left_in_the_directory(tmp_path: Path, scratch: Scratch) -> None:
    array = scratch.zeros((1000,), np.uint8, spill=True)
    assert list(tmp_path.iterdir()) == []
    assert array.size == 1000


def test_the_space_is_taken_at_once(tmp_path: Path, scratch: Scratch) -> None:
    array = scratch.zeros((4 * MIB,), np.uint8, spill=True)
    (status,) = open_files(tmp_path)
    assert 512 * status.st_blocks >= array.nbytes


def test_an_array_outlives_its_scratch_and_then_its_file_goes(tmp_path: Path) -> None:
    scratch = Scratch(1, tmp_path)
    array = scratch.zeros((MIB,), np.uint8, spill=True)
    array[:] = 3
    scratch.close()
    assert array.sum() == 3 * MIB
    del array
    assert open_files(tmp_path) == []


def test_a_disk_without_space_is_an_output_error(tmp_path: Path, scratch: Scratch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(OutputError, match="no scratch space for 2 MiB") as caught:
            scratch.zeros((2 * MIB,), np.uint8, spill=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.file == str(tmp_path)
    assert "TMPDIR" in str(caught.value.remedy)


def test_a_directory_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="absent"):
        Scratch(1, tmp_path / "absent").zeros((10,), np.uint8, spill=True)


def test_the_directory_is_that_of_temporary_files_unless_said_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = Scratch(1)
    array = scratch.zeros((10,), np.uint8, spill=True)
    assert [status.st_size for status in open_files(tmp_path)] == [array.nbytes]
    scratch.close()
