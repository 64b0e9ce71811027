"""Persistence windows in ASDF files, by detector: what one exposure leaves for the next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jwcal.core.array_types import Float64
from jwcal.core.errors import UnreadableFile
from jwcal.core.products.replacing import replacing

PERSISTENCE_WINDOWS = "persistence windows"
"""As the model of a side product; no data model of the format library."""


def read_windows(path: Path, detector: str, length: int, windows: Float64) -> None:
    """Fill `windows` (end times in s) from a file; a missing file, detector or other `length` leaves them closed."""
    import asdf

    if not path.exists():
        return
    try:
        with asdf.open(path) as file:
            entry = file.tree.get(detector)
            if entry is None or entry["pers_time"] != length:
                return
            windows[entry["rows"][:], entry["cols"][:]] = entry["vals"][:]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UnreadableFile(f"not a persistence file ({error})", file=path, remedy="leave it out") from error


def write_windows(path: Path, entry: Mapping[str, Any]) -> None:
    """Write or replace one detector's windows in the file at `path`."""
    import asdf

    tree: dict[str, Any] = {}
    if path.exists():
        with asdf.open(path, memmap=False, lazy_load=False) as file:
            tree = {name: value for name, value in file.tree.items() if name not in ("asdf_library", "history")}
    tree[str(entry["detector"])] = {name: value for name, value in entry.items() if name != "detector"}
    with replacing(path) as staging:
        asdf.AsdfFile(tree).write_to(staging)
