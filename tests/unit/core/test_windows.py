"""Persistence windows go from one exposure to the next through a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jwcal.core.errors import OutputError, UnreadableFile
from jwcal.core.products.windows import read_windows, write_windows


def an_entry(detector: str = "NRCA1", value: float = 5.0) -> dict[str, Any]:
    """One open window, at row 2 and column 3."""
    return {
        "detector": detector,
        "pers_time": 120,
        "rows": np.array([2]),
        "cols": np.array([3]),
        "vals": np.array([value]),
    }


def windows_of(path: Path, detector: str = "NRCA1", length: int = 120) -> list[tuple[int, int, float]]:
    """The open windows (row, column, end)."""
    windows = np.zeros((4, 5))
    read_windows(path, detector, length, windows)
    return [(int(row), int(column), float(windows[row, column])) for row, column in np.argwhere(windows)]


def test_windows_come_back(tmp_path: Path) -> None:
    write_windows(tmp_path / "p.asdf", an_entry())
    assert windows_of(tmp_path / "p.asdf") == [(2, 3, 5.0)]


def test_windows_of_another_detector_or_length_stay_closed(tmp_path: Path) -> None:
    write_windows(tmp_path / "p.asdf", an_entry())
    assert windows_of(tmp_path / "p.asdf", "NRCA2") == []
    assert windows_of(tmp_path / "p.asdf", length=60) == []


def test_an_absent_file_leaves_the_windows_closed(tmp_path: Path) -> None:
    assert windows_of(tmp_path / "absent.asdf") == []


def test_detectors_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "p.asdf"
    for detector, value in (("NRCA1", 1.0), ("NRCA2", 2.0), ("NRCA1", 3.0)):
        write_windows(path, an_entry(detector, value))
    assert windows_of(path, "NRCA1") == [(2, 3, 3.0)]
    assert windows_of(path, "NRCA2") == [(2, 3, 2.0)]
    assert [found.name for found in tmp_path.iterdir()] == ["p.asdf"]


def test_what_is_no_persistence_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "p.asdf").write_text("no")
    with pytest.raises(UnreadableFile, match=r"p\.asdf"):
        windows_of(tmp_path / "p.asdf")


def test_a_write_that_fails_leaves_the_older_windows(tmp_path: Path) -> None:
    path = tmp_path / "p.asdf"
    write_windows(path, an_entry())
    with pytest.raises(Exception, match="object"):
        write_windows(path, an_entry() | {"vals": object()})
    assert windows_of(path) == [(2, 3, 5.0)]
    assert [found.name for found in tmp_path.iterdir()] == ["p.asdf"]


def test_a_directory_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"absent/p\.asdf"):
        write_windows(tmp_path / "absent" / "p.asdf", an_entry())


def test_the_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_windows(tmp_path / "p.asdf", an_entry())
    assert (tmp_path / "p.asdf").stat().st_mode == (tmp_path / "other").stat().st_mode
